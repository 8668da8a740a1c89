/** Detects divergence from a run's losses and explains it in a sentence. */

import type { RunWarning, StepReport, TrainConfig } from "../api/run";
import { EngineError } from "../errors";
import type { TrainState } from "./stepper";

/** Steps before the smoothed loss is judged. */
const SETTLING = 20;
/** A run diverges above this multiple of its best smoothed loss. */
const RISE = 3;

/** Returns a function that checks each step, and returns null if it is fine. `saved` is the step of the last checkpoint. */
export function divergenceWatch(
  vocabSize: number,
  { schedule, maxGradNorm }: Pick<TrainConfig, "schedule" | "maxGradNorm">,
): (report: StepReport, saved: number) => Omit<RunWarning, "step"> | null {
  const guessing = Math.log(vocabSize);
  const warmup = "warmup" in schedule ? schedule.warmup : 0;
  const clipping = maxGradNorm === 0 ? "a maximum gradient norm, such as 1" : "a smaller maximum gradient norm";
  let smooth: number | undefined;
  let best = Infinity;
  let isWarned = false;
  let seen = 0;
  let last: StepReport | undefined;

  return (report, saved) => {
    const { step, loss, gradNorm, lr } = report;
    const rate = `a learning rate of ${lr.toPrecision(3)}`;
    const advice = `${saved > 0 ? `branch from the checkpoint of step ${saved}` : "train again"} with a smaller learning rate or ${clipping}`;
    smooth = smooth === undefined ? loss : 0.9 * smooth + 0.1 * loss;
    const isHopeless = smooth > RISE * guessing + 5;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm) || isHopeless) {
      const what = !Number.isFinite(loss)
        ? "the loss is not finite"
        : Number.isFinite(gradNorm)
          ? `the loss rose to ${loss.toFixed(1)}, far above ${guessing.toFixed(1)}, the loss of random guessing,`
          : `the gradients are not finite (loss ${loss.toPrecision(3)})`;
      const before = last
        ? `, after a loss of ${last.loss.toFixed(2)} and a gradient norm of ${last.gradNorm.toPrecision(3)}`
        : "";
      return {
        message: `Training diverged at step ${step}: ${what} at ${rate}${before}. ${sentence(advice)}.`,
        ends: true,
      };
    }
    last = report;
    if (++seen < SETTLING || step <= warmup) return null;
    best = Math.min(best, smooth);
    // Near 0, three times the loss is still a small loss.
    const hasRisen = smooth > RISE * best && smooth - best > guessing / 4;
    if (!hasRisen) isWarned &&= smooth > (RISE * best) / 2;
    if (!hasRisen || isWarned) return null;
    isWarned = true;
    const message = `The loss is diverging at step ${step}: the smoothed loss is ${smooth.toFixed(2)}, up from ${best.toFixed(2)} at its best, at ${rate} and a gradient norm of ${gradNorm.toPrecision(3)}. If it does not recover, ${advice}.`;
    return { message, ends: false };
  };
}

const sentence = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

/** Throws for a state that a run cannot resume from. */
export function requireNumbers(step: number, { params, m, v }: TrainState): void {
  for (const part of [params, m, v]) {
    for (const [name, values] of part) {
      if (values.every(Number.isFinite)) continue;
      throw new EngineError(
        "diverged",
        `Training diverged at step ${step}: ${name} has values that are not finite. Train again with a smaller learning rate, or branch from the last checkpoint with one.`,
      );
    }
  }
}
