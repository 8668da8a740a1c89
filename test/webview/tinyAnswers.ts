/** Answers to a page's questions about a tiny trace, computed from its real values. */

import type { Handlers } from "../../src/protocol/rpc";
import type { AttentionGrid, AttentionKind, WeightSummary } from "../../src/protocol/traceApi";
import type { TraceQuestions } from "../../src/protocol/webviewApi";
import { type TinyTrace, tinyTrace } from "./tinyTrace";

/** Handlers for questions about the trace that `shown` returns. */
export function tinyAnswers(shown: () => TinyTrace): Handlers<TraceQuestions> {
  const unanswered = (method: string) => (): never => {
    throw new Error(`The tests' page does not answer ${method}.`);
  };
  return {
    traceTensor: ({ name, head }) => shown().tensor(name, head),
    findTokens: ({ query, count }) => shown().find(query, count),
    releaseTrace: () => null,
    tokenize: ({ text }) => [...tinyTrace(text).info.tokens],
    checkpoints: () => [],
    describe: () => shown().modules,
    intervene: unanswered("intervene"),
    lens: unanswered("lens"),
    expectations: unanswered("expectations"),
    sampler: unanswered("sampler"),
    attribution: unanswered("attribution"),
    overview: unanswered("overview"),
    attentionGrid: ({ size, kind }) => attentionGrid(shown(), size, kind),
    neighbors: unanswered("neighbors"),
    projection: unanswered("projection"),
    vocabularyTokens: unanswered("vocabularyTokens"),
    weightSummary: ({ name, size }) => weightSummary(shown(), name, size),
    surprisal: unanswered("surprisal"),
    scorePrompt: unanswered("scorePrompt"),
    generationTrace: unanswered("generationTrace"),
    compareTraces: unanswered("compareTraces"),
    compareWeights: unanswered("compareWeights"),
  };
}

/** The tiles of each pattern, and those scores that the tests need. */
function attentionGrid({ info, tensor }: TinyTrace, size: number, kind: AttentionKind = "self"): AttentionGrid {
  const name = (layer: number) =>
    ({ self: `blocks.${layer}.attn.`, encoder: `enc.blocks.${layer}.attn.`, cross: `blocks.${layer}.cross.` })[kind];
  const shapes = new Map(info.values.map((value) => [value.name, value.shape]));
  let L = 0;
  while (shapes.has(`${name(L)}pattern`)) L++;
  const [, H, T, S] = shapes.get(`${name(0)}pattern`) as [number, number, number, number];
  const kernel = Math.ceil(Math.max(T, S) / size);
  const [rows, cols] = [Math.ceil(T / kernel), Math.ceil(S / kernel)];
  const tiles = new Float32Array(L * H * rows * cols);
  const unknown = () => new Float32Array(L * H).fill(Number.NaN);
  const scores = { previousToken: unknown(), firstToken: unknown(), induction: unknown(), entropy: unknown() };
  for (let i = 0; i < L * H; i++) {
    const { data } = tensor(`${name(Math.floor(i / H))}pattern`, i % H);
    data.forEach((weight, at) => {
      const tile = (i * rows + Math.floor(Math.floor(at / S) / kernel)) * cols + Math.floor((at % S) / kernel);
      tiles[tile] = Math.max(tiles[tile] as number, weight);
    });
    const queries = Array.from({ length: T - 1 }, (_, q) => q + 1);
    const mean = (key: (query: number) => number) =>
      queries.reduce((sum, q) => sum + (data[q * S + key(q)] as number), 0) / queries.length;
    scores.firstToken[i] = mean(() => 0);
    if (kind !== "cross") scores.previousToken[i] = mean((q) => q - 1);
  }
  return { layers: L, heads: H, rows, cols, tiles, scores };
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
