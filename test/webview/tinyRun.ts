/**
 * A real run of the smallest language model, a table of character pairs trained by gradient descent, as the training
 * view would be told of it.
 */

import { random } from "../../src/engine/random";
import type { EvalReport, StepReport } from "../../src/engine/train/config";
import type { RunSnapshot, RunState } from "../../src/protocol/webviewApi";
import { tinyTrace } from "./tinyTrace";

const BATCH = 256;
const WARMUP = 50;
const TOP_RATE = 40;

/** Trains for `done` of `steps` steps and answers everything that is known then. */
export function tinyRun(text: string, done: number, steps: number, state: RunState): RunSnapshot {
  const chars = [...new Set(text)].sort();
  const V = chars.length;
  const ids = Array.from(text, (char) => chars.indexOf(char));
  const held = Math.floor(ids.length * 0.9);
  const logits = Array.from({ length: V }, () => new Float64Array(V));
  const draw = random(3, "tinyRun");
  const reports: StepReport[] = [];
  const evals: EvalReport[] = [];
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
      const at = 1 + draw.below(held - 1);
      const [from, to] = [ids[at - 1] as number, ids[at] as number];
      const p = softmax(logits[from]!);
      loss -= Math.log(p[to]!) / BATCH;
      const row = gradients.get(from) ?? new Float64Array(V);
      p.forEach((share, j) => {
        row[j]! += (share - (j === to ? 1 : 0)) / BATCH;
      });
      gradients.set(from, row);
    }
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
      const valLoss = lossOf(held, ids.length);
      evals.push({ step, loss: valLoss, perplexity: Math.exp(valLoss), tokens: ids.length - held });
    }
    if (step % 250 === 0) samples.push({ step, text: sample() });
  }

  const { model } = tinyTrace("a").info;
  return {
    dir: "/models/stories",
    name: "stories",
    preset: "char",
    state,
    started: { model, train: trainConfig(steps), device: "cpu", deviceReason: "no graphics adapter was found" },
    reports,
    evals,
    samples,
    checkpointStep: done - (done % 250),
  };
}

const trainConfig = (steps: number) => ({
  seed: 3,
  steps,
  batchSize: BATCH,
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

function softmax(x: Float64Array): Float64Array {
  const top = Math.max(...x);
  const exps = x.map((y) => Math.exp(y - top));
  const total = exps.reduce((sum, y) => sum + y, 0);
  return exps.map((y) => y / total);
}
