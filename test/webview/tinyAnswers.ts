/** What the engine computes from a tiny trace when a page asks: real numbers of that trace, from the engine's own functions. */

import type { Handlers } from "../../src/protocol/rpc";
import type { WeightSummary } from "../../src/protocol/traceApi";
import type { TraceQuestions } from "../../src/protocol/webviewApi";
import { type TinyTrace, tinyTrace } from "./tinyTrace";

/** The handlers of a page's questions about the trace that is shown now. */
export function tinyAnswers(shown: () => TinyTrace): Handlers<TraceQuestions> {
  const unanswered = (method: string) => (): never => {
    throw new Error(`The tests' page does not answer ${method}.`);
  };
  return {
    tensor: ({ name, head }) => shown().tensor(name, head),
    findTokens: ({ query, count }) => shown().find(query, count),
    releaseTrace: () => null,
    tokenize: ({ text }) => [...tinyTrace(text).info.tokens],
    checkpoints: () => [],
    describe: () => shown().modules,
    intervene: unanswered("intervene"),
    lens: unanswered("lens"),
    attribution: unanswered("attribution"),
    attentionGrid: unanswered("attentionGrid"),
    neighbours: unanswered("neighbours"),
    projection: unanswered("projection"),
    weightSummary: ({ name, size }) => weightSummary(shown(), name, size),
    surprisal: unanswered("surprisal"),
    generationTrace: unanswered("generationTrace"),
    compareTraces: unanswered("compareTraces"),
    compareWeights: unanswered("compareWeights"),
  };
}

function weightSummary({ weights }: TinyTrace, name: string, size: number): WeightSummary {
  const weight = weights[name];
  if (!weight) throw new Error(`There is no weight "${name}" here.`);
  const { shape, data } = weight;
  const [height, width] = shape as [number, number];
  const [tall, wide] = [Math.ceil(height / size), Math.ceil(width / size)];
  const [rows, cols] = [Math.ceil(height / tall), Math.ceil(width / wide)];
  const [min, max] = [Math.min(...data), Math.max(...data)];
  const mean = data.reduce((sum, x) => sum + x, 0) / data.length;
  const histogram = new Uint32Array(64);
  const [sums, counts] = [new Float64Array(rows * cols), new Float64Array(rows * cols)];
  data.forEach((x, i) => {
    const bin = Math.min(63, Math.floor((64 * (x - min)) / (max - min)));
    histogram[bin] = (histogram[bin] as number) + 1;
    const tile = Math.floor(Math.floor(i / width) / tall) * cols + Math.floor((i % width) / wide);
    sums[tile] = (sums[tile] as number) + x;
    counts[tile] = (counts[tile] as number) + 1;
  });
  const values = Float32Array.from(sums, (sum, tile) => sum / (counts[tile] as number));
  const std = Math.sqrt(data.reduce((sum, x) => sum + (x - mean) ** 2, 0) / data.length);
  return { name, shape, min, max, mean, std, histogram, picture: { rows, cols, values } };
}
