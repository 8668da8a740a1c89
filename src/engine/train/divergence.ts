/** Watching a run's losses for what goes wrong, and saying it in a sentence. */

import type { RunWarning, StepReport, TrainConfig } from "../api/run";
import { EngineError } from "../errors";
import type { TrainState } from "./stepper";

/** Steps whose losses are smoothed before they are judged. */
const SETTLING = 20;
/** Of the best smoothed loss: above it a run has diverged. */
const RISE = 3;

/** Says of each step what is wrong with it; null where nothing is. `saved` is the step of the last checkpoint. */
export function divergenceWatch(
  vocabSize: number,
  { schedule, maxGradNorm }: Pick<TrainConfig, "schedule" | "maxGradNorm">,
): (report: StepReport, saved: number) => Omit<RunWarning, "step"> | null {
  const guessing = Math.log(vocabSize);
  const warmup = "warmup" in schedule ? schedule.warmup : 0;
  const clipping =
    maxGradNorm === 0 ? "a limit of the gradient norm, such as 1" : "a smaller limit of the gradient norm";
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
        ? "the loss is no longer a number"
        : Number.isFinite(gradNorm)
          ? `the loss rose to ${loss.toFixed(1)}, far above the ${guessing.toFixed(1)} of guessing`
          : `the gradients of a loss of ${loss.toPrecision(3)} are no longer numbers`;
      const before = last
        ? `, after a loss of ${last.loss.toFixed(2)} and a gradient norm of ${last.gradNorm.toPrecision(3)}`
        : "";
      return { message: `Training diverged at step ${step}: ${what} at ${rate}${before}; ${advice}.`, ends: true };
    }
    last = report;
    if (++seen < SETTLING || step <= warmup) return null;
    best = Math.min(best, smooth);
    // Of a loss near 0 three times as much is still little.
    const hasRisen = smooth > RISE * best && smooth - best > guessing / 4;
    if (!hasRisen) isWarned &&= smooth > (RISE * best) / 2;
    if (!hasRisen || isWarned) return null;
    isWarned = true;
    const message = `The loss is diverging at step ${step}: smoothed it is ${smooth.toFixed(2)}, and was ${best.toFixed(2)} at best, at ${rate} and a gradient norm of ${gradNorm.toPrecision(3)}; if it does not come back, ${advice}.`;
    return { message, ends: false };
  };
}

/** Refuses to keep what cannot be gone on from. */
export function requireNumbers(step: number, { params, m, v }: TrainState): void {
  for (const part of [params, m, v]) {
    for (const [name, values] of part) {
      if (values.every(Number.isFinite)) continue;
      throw new EngineError(
        "diverged",
        `Training diverged at step ${step}: ${name} has values that are no longer numbers; train again with a smaller learning rate, or branch from the last checkpoint with one.`,
      );
    }
  }
}
