/** What is known of a run, kept up to date with what the host tells. */

import type { Facts, RunSnapshot } from "../../../src/protocol/webviewApi";
import { indexAt, type Points } from "../../charts/series";

/** One field of reports over their steps; reports without it are left out. */
export function pointsOf<R extends { readonly step: number }>(
  reports: readonly R[],
  value: (report: R) => number | undefined,
): Points {
  const with_ = reports.filter((report) => value(report) !== undefined);
  return { x: with_.map(({ step }) => step), y: with_.map((report) => value(report) as number) };
}

/** What the curves are drawn over. */
export type XAxis = "step" | "tokens" | "seconds";

/**
 * Where the steps of a run are on an axis; null where the run does not say. Tokens are the steps times a batch's tokens,
 * seconds the tokens by the speed that was reported: pauses do not count.
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

/** Tokens that a step learns from; null where the settings do not say. */
export function tokensPerStep(run: RunSnapshot): number | null {
  const settings = settingsOf(run);
  const [batch, block] = [settings["train.batchSize"], settings["train.blockSize"]];
  const batches = settings["train.gradientAccumulation"] ?? 1;
  if (typeof batch !== "number" || typeof block !== "number" || typeof batches !== "number") return null;
  return batch * block * batches;
}

/** By dotted name: those of the run's record or, before it is written, those that the run started with. */
export function settingsOf({ record, started }: RunSnapshot): Facts {
  if (record) return record.settings;
  if (!started) return {};
  const { steps, batchSize, blockSize, seed } = started.train;
  return { "train.steps": steps, "train.batchSize": batchSize, "train.blockSize": blockSize, "train.seed": seed };
}

/** The points at their places on another axis. */
export const movedTo = ({ x, y }: Points, position: (step: number) => number): Points => ({ x: x.map(position), y });

/** The step that the run is at. */
export const stepOf = (run: RunSnapshot): number => run.reports.at(-1)?.step ?? run.checkpointStep ?? 0;

/** How far the run was meant to go; null where it is not known. */
export function stepsOf({ started, record }: RunSnapshot): number | null {
  const steps = started?.train.steps ?? record?.facts.steps;
  return typeof steps === "number" ? steps : null;
}

/** Which buttons make sense now. */
export interface RunActions {
  readonly pause: boolean;
  /** Goes on after a pause. */
  readonly unpause: boolean;
  readonly stop: boolean;
  /** Goes on from the last checkpoint. */
  readonly resume: boolean;
  /** What diverged does so again when it goes on: another run begins with other settings. */
  readonly branch: boolean;
  /** The model can be used and looked at. */
  readonly use: boolean;
}

export function actionsOf({ state: { phase, diverged = false }, checkpointStep }: RunSnapshot): RunActions {
  const ended = phase === "stopped" || phase === "done" || phase === "failed";
  return {
    pause: phase === "running",
    unpause: phase === "paused",
    stop: phase === "running" || phase === "paused" || phase === "preparing",
    resume: (phase === "stopped" || phase === "failed") && checkpointStep !== null && !diverged,
    branch: diverged,
    use: ended && checkpointStep !== null,
  };
}
