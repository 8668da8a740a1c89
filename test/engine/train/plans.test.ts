/** Learning rate search and memory estimate before a run, and concurrent runs. */

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RatePoint, TrainParams } from "../../../src/engine/api/run";
import { classicDecoder } from "../../../src/engine/nn/config";
import { presetNamed, withSettings } from "../../../src/engine/presets/settings";
import { findLearningRate, steepest } from "../../../src/engine/train/findLearningRate";
import { estimateMemory } from "../../../src/engine/train/memory";
import { estimate, train } from "../../../src/engine/train/run";
import { cats, tinyRun } from "../../helpers/tinyRun";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-plans-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const newRun = (name: string, set: TrainParams["set"] = {}): TrainParams =>
  tinyRun(join(dir, name), cats(40), {
    "train.blockSize": 16,
    "train.batchSize": 8,
    "train.steps": 8,
    "train.evalEvery": 8,
    "train.evalBatches": 1,
    "train.sampleEvery": 8,
    ...set,
  });

describe("the learning-rate finder", () => {
  test("suggests the rate with the steepest fall of the loss, before it rises", () => {
    const points = Array.from({ length: 60 }, (_, i) => {
      const x = i / 10;
      return { lr: 10 ** (x - 6), loss: 4 - 2 / (1 + Math.exp(-3 * (x - 3))) + Math.max(0, x - 5) ** 2 };
    });
    expect(Math.log10(steepest(points))).toBeCloseTo(-3, 1);
  });

  test("reports each rate, stops when the loss rises, suggests a rate that learns, and writes no files", async () => {
    const reported: RatePoint[] = [];
    const run = newRun("none");
    const { signal } = new AbortController();
    const { points, suggestion, set } = await findLearningRate(run, {
      signal,
      report: (point) => reported.push(point),
    });
    expect(points).toEqual(reported);
    const lowest = Math.min(...points.map(({ loss }) => loss));
    expect(lowest).toBeLessThan((points[0]?.loss ?? 0) - 0.5);
    expect(suggestion).toSatisfy((lr: number) => lr > 1e-4 && lr < 0.3);
    expect(set).toEqual({ "train.schedule.lr": suggestion });
    expect(await readdir(dir)).toEqual([]);
  });

  test("stops immediately when it is canceled", async () => {
    const stop = new AbortController();
    const reported: RatePoint[] = [];
    const report = (point: RatePoint) => {
      reported.push(point);
      stop.abort();
    };
    await expect(findLearningRate(newRun("none"), { signal: stop.signal, report })).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(reported).toHaveLength(1);
  });

  test("suggests the factor of Noam's schedule that reaches the rate", async () => {
    const set = { "train.batchSize": 16, "model.dModel": 16, "model.nHeads": 2, "model.nLayers": 1 };
    const run = { preset: "adder", name: "", device: "cpu", set } as const;
    const { signal } = new AbortController();
    const { suggestion, set: found } = await findLearningRate(run, { signal, report: () => {} });
    const factor = Number(found["train.schedule.factor"]);
    expect(factor / Math.sqrt(16 * 84)).toBeCloseTo(suggestion, 4);
  });
});

describe("the memory estimate", () => {
  test("counts parameters and reports that a small model fits", async () => {
    const { signal } = new AbortController();
    const found = await estimate(newRun("none"), { signal });
    expect(found).toMatchObject({ fits: true, advice: null });
    expect(found.parameters).toBeGreaterThan(3000);
    expect(found.neededBytes).toBeLessThan(found.freeBytes);
    expect(await readdir(dir)).toEqual([]);
  });

  test("suggests an equivalent batch that fits into the same memory", () => {
    const { model, train } = withSettings(presetNamed("char"), { "train.batchSize": 96 });
    const cfg = classicDecoder({ ...model, vocabSize: 65, nCtx: train.blockSize });
    const { neededBytes } = estimateMemory({ cfg, train, lora: null }, 2 ** 40);
    const { advice } = estimateMemory({ cfg, train, lora: null }, neededBytes / 2);
    const [, batchSize, passes] =
      /train\.batchSize: (\d+) with train\.gradientAccumulation=(\d+)/.exec(advice ?? "") ?? [];
    expect(Number(batchSize) * Number(passes)).toBe(96);
    const smaller = { ...train, batchSize: Number(batchSize), gradientAccumulation: Number(passes) };
    expect(estimateMemory({ cfg, train: smaller, lora: null }, neededBytes / 2).fits).toBe(true);
  });
});

test("two concurrent runs have the same losses as each has alone", async () => {
  const lossesOf = async (name: string, seed: number) => {
    const losses: number[] = [];
    const { signal } = new AbortController();
    const set = { "train.seed": seed, "train.dropout": 0.1 };
    await train(newRun(name, set), {
      signal,
      whilePaused: async () => {},
      report: (event) => event.kind === "steps" && losses.push(...event.reports.map(({ loss }) => loss)),
    });
    return losses;
  };
  const alone = [await lossesOf("a", 1), await lossesOf("b", 2)];
  expect(await Promise.all([lossesOf("c", 1), lossesOf("d", 2)])).toEqual(alone);
}, 60_000);

test("accumulated passes equal one large batch, up to rounding", async () => {
  const lossesOf = async (name: string, set: TrainParams["set"]) => {
    const losses: number[] = [];
    const { signal } = new AbortController();
    const { eval: last } = await train(newRun(name, set), {
      signal,
      whilePaused: async () => {},
      report: (event) => event.kind === "steps" && losses.push(...event.reports.map(({ loss }) => loss)),
    });
    return [...losses, last?.loss ?? Number.NaN];
  };
  const whole = await lossesOf("whole", {});
  const parts = await lossesOf("parts", { "train.batchSize": 2, "train.gradientAccumulation": 4 });
  for (const [i, loss] of parts.entries()) expect(loss).toBeCloseTo(whole[i] as number, 5);
}, 60_000);
