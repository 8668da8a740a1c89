/**
 * The learning rate range test (Smith, 2017, "Cyclical learning rates"; as in fastai): a short training whose learning
 * rate grows exponentially. A good rate is where the loss falls fastest; where the loss rises, the rate is too high.
 */

import type { FoundRate, RatePoint, Schedule, Settings, TrainConfig, TrainParams } from "../api/run";
import { decoderOf } from "../nn/config";
import { setUp, startOf } from "./run";
import { createStepper } from "./stepper";

const LOWEST = 1e-6;
const HIGHEST = 10;
const STEPS = 120;
/** Decay of the smoothed loss per step. */
const SMOOTHING = 0.85;
/** Stops above this multiple of the lowest smoothed loss: larger rates add no information. */
const DIVERGED = 3;

/** Tests learning rates without writing any files. Throws the signal's reason when canceled. */
export async function findLearningRate(
  run: Omit<TrainParams, "out">,
  { signal, report }: { readonly signal: AbortSignal; readonly report: (point: RatePoint) => void },
): Promise<FoundRate> {
  const setup = await setUp(run, { signal, report: () => {} });
  const { preset, material, device } = setup;
  const { cfg, data } = material;
  const { model, trained, state } = await startOf(setup);
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
      // Lets other requests of this process run.
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

/** An exponential moving average without bias toward 0 (as in Adam). */
function debiasedMean(decay: number): (value: number) => number {
  let sum = 0;
  let weight = 0;
  return (value) => {
    sum = decay * sum + (1 - decay) * value;
    weight = decay * weight + (1 - decay);
    return sum / weight;
  };
}

/** Points on each side for fitting a slope. */
const REACH = 5;

/** The learning rate with the steepest fall of the loss by log rate, before the lowest loss. */
export function steepest(points: readonly RatePoint[]): number {
  const lowest = points.reduce((low, { loss }, i) => (loss < (points[low] as RatePoint).loss ? i : low), 0);
  let found = { slope: 0, lr: (points[lowest]?.lr ?? LOWEST) / 10 };
  for (let i = REACH; i + REACH < points.length && i <= lowest; i++) {
    const slope = slopeOf(points.slice(i - REACH, i + REACH + 1).map(({ loss }) => loss));
    if (slope < found.slope) found = { slope, lr: (points[i] as RatePoint).lr };
  }
  return found.lr;
}

/** Least-squares slope of evenly spaced values. */
function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  let [product, square] = [0, 0];
  values.forEach((value, i) => {
    product += (i - middle) * value;
    square += (i - middle) ** 2;
  });
  return product / square;
}

/** The setting that makes `lr` the peak rate of the schedule. */
function peakAt({ schedule }: Pick<TrainConfig, "schedule">, lr: number, dModel: number): Settings {
  if (schedule.kind !== "noam") return { "train.schedule.lr": lr };
  return { "train.schedule.factor": Number((lr * Math.sqrt(dModel * peakStep(schedule))).toPrecision(3)) };
}

const peakStep = ({ warmup }: Extract<Schedule, { kind: "noam" }>) => Math.max(1, warmup);
