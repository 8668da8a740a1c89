/** Points of a run's curves, without drawing. */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { indexAt, type Points } from "../../charts/series";
import { tokensPerStep } from "../run";

/** One field of reports by step, from the reports that have it. */
export function pointsOf<R extends { readonly step: number }>(
  reports: readonly R[],
  value: (report: R) => number | undefined,
): Points {
  const valued = reports.filter((report) => value(report) !== undefined);
  return { x: valued.map(({ step }) => step), y: valued.map((report) => value(report) as number) };
}

export type XAxis = "step" | "tokens" | "seconds";

/**
 * Maps the steps of a run to an axis; null if the run lacks the data. Tokens are steps times tokens per step. Seconds are
 * tokens divided by the reported speed, so pauses do not count.
 */
export function positions(run: RunSnapshot, axis: XAxis): ((step: number) => number) | null {
  if (axis === "step") return (step) => step;
  const perStep = tokensPerStep(run);
  if (perStep === null) return null;
  if (axis === "tokens") return (step) => step * perStep;
  const steps: number[] = [];
  const seconds: number[] = [];
  let [before, sum] = [0, 0];
  for (const { step, tokensPerSecond } of run.reports) {
    if (!(tokensPerSecond > 0)) continue;
    sum += ((step - before) * perStep) / tokensPerSecond;
    before = step;
    steps.push(step);
    seconds.push(sum);
  }
  if (steps.length === 0) return null;
  return (step) => seconds[indexAt({ x: steps, y: seconds }, step)] ?? 0;
}

/** Points on another axis. */
export const movedTo = ({ x, y }: Points, position: (step: number) => number): Points => ({ x: x.map(position), y });
