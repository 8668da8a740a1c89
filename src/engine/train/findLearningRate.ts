/**
 * The learning-rate range test (Smith, 2017, "Cyclical learning rates"; as fastai has it): a short training whose
 * learning rate grows by a factor each step. Where the loss falls fastest is a good rate to begin with; where it rises
 * again is too much.
 */

import type { FoundRate, RatePoint, Schedule, Settings, TrainConfig, TrainParams } from "../api/run";
import { decoderOf } from "../nn/config";
import { setUp, startOf } from "./run";
import { createStepper } from "./stepper";

const LOWEST = 1e-6;
const HIGHEST = 10;
const STEPS = 120;
/** How much of the smoothed loss is kept from step to step. */
const SMOOTHING = 0.85;
/** Of the lowest smoothed loss: above it, larger rates teach nothing more. */
const DIVERGED = 3;

/** Tries learning rates on a run that is not kept: nothing is written. Throws the signal's reason when canceled. */
export async function findLearningRate(
  run: Omit<TrainParams, "out">,
  { signal, report }: { readonly signal: AbortSignal; readonly report: (point: RatePoint) => void },
): Promise<FoundRate> {
  const planned = await setUp(run, { signal, report: () => {} });
  const { preset, material, device } = planned;
  const { cfg, data } = material;
  const { model, trained, state } = await startOf(planned);
  const stepper = await createStepper(cfg, preset.train, state, { device, seed: preset.train.seed, trained });
  const points: RatePoint[] = [];
  const smoothed = debiasedMean(SMOOTHING);
  let best = Infinity;
  try {
    for (let step = 1; step <= STEPS; step++) {
      signal.throwIfAborted();
      const lr = LOWEST * (HIGHEST / LOWEST) ** ((step - 1) / (STEPS - 1));
      const [result] = await stepper.run(step, [data.batch(step)], () => lr);
      const loss = smoothed(result?.loss as number);
      if (!Number.isFinite(loss)) break;
      const point = { lr, loss };
      points.push(point);
      report(point);
      best = Math.min(best, loss);
      if (step > STEPS / 10 && loss > DIVERGED * best) break;
      // Other requests of this process get their turn.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  } finally {
    await stepper.release();
    await trained.release();
    data.release();
  }
  const suggestion = Number(steepest(points).toPrecision(2));
  return { points, suggestion, set: peakAt(preset.train, suggestion, decoderOf(model.cfg).dModel) };
}

/** An exponential moving average that does not begin at 0. */
function debiasedMean(kept: number): (value: number) => number {
  let sum = 0;
  let weight = 0;
  return (value) => {
    sum = kept * sum + (1 - kept) * value;
    weight = kept * weight + (1 - kept);
    return sum / weight;
  };
}

/** Points on both sides that a slope is fitted to. */
const REACH = 5;

/** The learning rate at which the loss falls fastest over the logarithm of the rate, before it is at its lowest. */
export function steepest(points: readonly RatePoint[]): number {
  const lowest = points.reduce((low, { loss }, i) => (loss < (points[low] as RatePoint).loss ? i : low), 0);
  let found = { slope: 0, lr: (points[lowest]?.lr ?? LOWEST) / 10 };
  for (let i = REACH; i + REACH < points.length && i <= lowest; i++) {
    const slope = slopeOf(points.slice(i - REACH, i + REACH + 1).map(({ loss }) => loss));
    if (slope < found.slope) found = { slope, lr: (points[i] as RatePoint).lr };
  }
  return found.lr;
}

/** Least squares over evenly spaced values. */
function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  let [product, square] = [0, 0];
  values.forEach((value, i) => {
    product += (i - middle) * value;
    square += (i - middle) ** 2;
  });
  return product / square;
}

/** The setting with which a schedule's highest rate is `lr`. */
function peakAt({ schedule }: Pick<TrainConfig, "schedule">, lr: number, dModel: number): Settings {
  if (schedule.kind !== "noam") return { "train.schedule.lr": lr };
  return { "train.schedule.factor": Number((lr * Math.sqrt(dModel * peakStep(schedule))).toPrecision(3)) };
}

const peakStep = ({ warmup }: Extract<Schedule, { kind: "noam" }>) => Math.max(1, warmup);
