/**
 * A real training run of the smallest language model, a table of character pairs trained by gradient descent, as the
 * training view receives it.
 */

import { random } from "../../src/engine/random";
import type { EvalReport, StepReport, UpdateReport } from "../../src/protocol/engineApi";
import type { PaintedText, RunSnapshot, RunState } from "../../src/protocol/webviewApi";
import { tinyTrace } from "./tinyTrace";

const BATCH = 256;
const WARMUP = 50;
const TOP_RATE = 40;

/** Trains for `done` of `steps` steps and returns the snapshot of the run. */
export function tinyRun(text: string, done: number, steps: number, state: RunState): RunSnapshot {
  const chars = [...new Set(text)].sort();
  const V = chars.length;
  const ids = Array.from(text, (char) => chars.indexOf(char));
  const validationStart = Math.floor(ids.length * 0.9);
  const logits = Array.from({ length: V }, () => new Float64Array(V));
  const draw = random(3, "tinyRun");
  const reports: StepReport[] = [];
  const evals: EvalReport[] = [];
  const updates: UpdateReport[] = [];
  const samples: { step: number; text: string }[] = [];

  const lossOf = (from: number, to: number) => {
    let sum = 0;
    for (let i = from; i < to; i++) sum -= Math.log(softmax(logits[ids[i - 1] as number]!)[ids[i] as number]!);
    return sum / (to - from);
  };
  const sample = () => {
    let [id, written] = [ids[0] as number, ""];
    while (written.length < 160) {
      const p = softmax(logits[id]!);
      let left = draw.uniform();
      id = p.findIndex((share) => {
        left -= share;
        return left <= 0;
      });
      if (id < 0) id = V - 1;
      written += chars[id];
    }
    return written;
  };

  for (let step = 1; step <= done; step++) {
    const started = performance.now();
    const lr = step < WARMUP ? (TOP_RATE * step) / WARMUP : (TOP_RATE / 2) * (1 + Math.cos((Math.PI * step) / steps));
    const gradients = new Map<number, Float64Array>();
    let loss = 0;
    for (let i = 0; i < BATCH; i++) {
      const at = 1 + draw.below(validationStart - 1);
      const [from, to] = [ids[at - 1] as number, ids[at] as number];
      const p = softmax(logits[from]!);
      loss -= Math.log(p[to]!) / BATCH;
      const row = gradients.get(from) ?? new Float64Array(V);
      p.forEach((share, j) => {
        row[j]! += (share - (j === to ? 1 : 0)) / BATCH;
      });
      gradients.set(from, row);
    }
    const weights = rms(logits.flatMap((row) => [...row]));
    let squares = 0;
    for (const [from, row] of gradients) {
      row.forEach((g, j) => {
        squares += g * g;
        logits[from]![j]! -= lr * g;
      });
    }
    const seconds = Math.max(1e-6, (performance.now() - started) / 1000);
    reports.push({ step, loss, lr, gradNorm: Math.sqrt(squares), tokensPerSecond: BATCH / seconds });
    if (step % 100 === 0) {
      const valLoss = lossOf(validationStart, ids.length);
      evals.push({ step, loss: valLoss, perplexity: Math.exp(valLoss), tokens: ids.length - validationStart });
      const moved = (lr * Math.sqrt(squares)) / V;
      updates.push({ step, layers: [{ name: "table", ratio: moved / weights }] });
    }
    if (step % 250 === 0) samples.push({ step, text: sample() });
  }

  const { model } = tinyTrace("a").info;
  return {
    dir: "/models/stories",
    name: "stories",
    preset: "char",
    state,
    prepared: null,
    started: { model, train: trainConfig(steps), device: "cpu", deviceReason: "no compatible GPU" },
    reports,
    evals,
    updates,
    warnings: [],
    samples,
    checkpointStep: done - (done % 250),
    record: {
      settings: { "train.batchSize": BATCH, "train.blockSize": 1, "train.schedule.lr": TOP_RATE },
      facts: { name: "stories", preset: "char", "data.kind": "text", parameters: V * V, steps },
    },
  };
}

/** The surprisal of each character by a table that counts the pairs in the text itself. */
export function tinyPaint(text: string): PaintedText {
  const chars = [...new Set(text)].sort();
  const counts = chars.map(() => new Float64Array(chars.length).fill(1));
  const ids = Array.from(text, (char) => chars.indexOf(char));
  for (let i = 1; i < ids.length; i++) counts[ids[i - 1] as number]![ids[i] as number]! += 1;
  const share = (row: Float64Array, id: number) => (row[id] as number) / row.reduce((sum, n) => sum + n, 0);
  const rows = ids.map((_, i) => counts[ids[i - 1] ?? -1]);
  return {
    step: 500,
    text,
    page: 0,
    pages: 3,
    source: "story.txt",
    surprisal: {
      tokens: ids.map((id, i) => ({
        id,
        token: text[i] as string,
        start: i,
        end: i + 1,
        special: false,
        bytes: new TextEncoder().encode(text[i]),
      })),
      surprisal: Float32Array.from(rows, (row, i) => (row ? -Math.log2(share(row, ids[i] as number)) : Number.NaN)),
      entropy: Float32Array.from(rows, (row) =>
        row ? row.reduce((sum, _, id) => sum - share(row, id) * Math.log2(share(row, id)), 0) : Number.NaN,
      ),
      rank: Uint32Array.from(rows, (row, i) =>
        row ? 1 + row.filter((n) => n > (row[ids[i] as number] as number)).length : 0,
      ),
      alternatives: {
        count: 1,
        ids: Uint32Array.from(rows, (row) => (row ? row.indexOf(Math.max(...row)) : 0)),
        probabilities: Float32Array.from(rows, (row) => (row ? Math.max(...row.map((_, id) => share(row, id))) : 0)),
      },
      texts: Object.fromEntries(chars.map((char, id) => [id, char])),
    },
  };
}

/** The evaluation of a two-digit adder that never carries, on all sums of numbers below 100. */
export function carrylessTask(): NonNullable<EvalReport["task"]> {
  const confusion = [2, 1, 0].map(() => Array.from({ length: 10 }, () => new Array<number>(10).fill(0)));
  const byCarry = [0, 1, 2].map((carries) => ({ carries, right: 0, of: 0 }));
  for (let a = 0; a < 100; a++) {
    for (let b = 0; b < 100; b++) {
      const [ones, tens] = [(a % 10) + (b % 10), Math.floor(a / 10) + Math.floor(b / 10)];
      const answered = [0, tens % 10, ones % 10];
      const expected = Array.from(String(a + b).padStart(3, "0"), Number);
      expected.forEach((digit, place) => {
        confusion[place]![digit]![answered[place] as number]! += 1;
      });
      const carries = byCarry[Number(ones > 9) + Number(tens + Number(ones > 9) > 9)]!;
      carries.of += 1;
      if (expected.every((digit, place) => digit === answered[place])) carries.right += 1;
    }
  }
  const byDigit = confusion.map((rows) => rows.reduce((sum, row, digit) => sum + (row[digit] as number), 0) / 10_000);
  return { byDigit, byCarry, confusion };
}

const trainConfig = (steps: number) => ({
  seed: 3,
  steps,
  batchSize: BATCH,
  gradientAccumulation: 1,
  blockSize: 1,
  dropout: 0,
  attentionDropout: true,
  init: "gpt2" as const,
  optimizer: { kind: "adam" as const, beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0 },
  schedule: { kind: "cosine" as const, lr: TOP_RATE, minLr: 0, warmup: WARMUP },
  maxGradNorm: 0,
  evalEvery: 100,
  evalBatches: 1,
  checkpointEvery: 250,
  sampleEvery: 250,
});

const rms = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length) || 1;

function softmax(x: Float64Array): Float64Array {
  const top = Math.max(...x);
  const exps = x.map((y) => Math.exp(y - top));
  const total = exps.reduce((sum, y) => sum + y, 0);
  return exps.map((y) => y / total);
}
