/** What is known of a run, kept up to date with what the host tells. */

import type { TrainEvent } from "../../../src/protocol/engineApi";
import type { RunSnapshot, RunState } from "../../../src/protocol/webviewApi";
import type { Points } from "../../charts/series";

/** A run as the page knows it: the host's snapshot and how far the preparation is. */
export interface Run extends RunSnapshot {
  /** Of the preparation, 0 to 1; null where its end is not known. */
  readonly prepared: number | null;
}

export const fromSnapshot = (snapshot: RunSnapshot): Run => ({ ...snapshot, prepared: null });

/** The run after an event of its training. */
export function afterEvent(run: Run, event: TrainEvent): Run {
  switch (event.kind) {
    case "prepare":
      return { ...run, prepared: event.fraction, state: { ...run.state, message: event.message } };
    case "start": {
      const { model, train, device, deviceReason } = event;
      return { ...run, prepared: null, started: { model, train, device, deviceReason } };
    }
    case "steps": {
      const state = { ...run.state, secondsLeft: event.secondsLeft };
      return { ...run, state, reports: appended(run.reports, event.reports) };
    }
    case "eval":
      return { ...run, evals: appended(run.evals, [event.report]) };
    case "sample":
      return { ...run, samples: [...run.samples, { step: event.step, text: event.text }] };
    case "checkpoint":
      return { ...run, checkpointStep: event.step };
    case "paused":
      return run;
  }
}

export const afterState = (run: Run, state: RunState): Run => ({ ...run, state });

/** A run that went back to a checkpoint reports some steps again: the newer report counts. */
function appended<R extends { readonly step: number }>(known: readonly R[], news: readonly R[]): readonly R[] {
  const first = news[0]?.step;
  if (first === undefined) return known;
  const last = known.at(-1);
  const kept = last && last.step >= first ? known.filter(({ step }) => step < first) : known;
  return [...kept, ...news];
}

/** One field of reports over their steps; reports without it are left out. */
export function pointsOf<R extends { readonly step: number }>(
  reports: readonly R[],
  value: (report: R) => number | undefined,
): Points {
  const with_ = reports.filter((report) => value(report) !== undefined);
  return { x: with_.map(({ step }) => step), y: with_.map((report) => value(report) as number) };
}

/** The step that the run is at. */
export const stepOf = (run: Run): number => run.reports.at(-1)?.step ?? run.checkpointStep ?? 0;

/** Which buttons make sense now. */
export interface RunActions {
  readonly pause: boolean;
  /** Goes on after a pause. */
  readonly unpause: boolean;
  readonly stop: boolean;
  /** Goes on from the last checkpoint. */
  readonly resume: boolean;
  /** The model can be used and looked at. */
  readonly use: boolean;
}

export function actionsOf({ state: { phase }, checkpointStep }: Run): RunActions {
  const ended = phase === "stopped" || phase === "done" || phase === "failed";
  return {
    pause: phase === "running",
    unpause: phase === "paused",
    stop: phase === "running" || phase === "paused" || phase === "preparing",
    resume: (phase === "stopped" || phase === "failed") && checkpointStep !== null,
    use: ended && checkpointStep !== null,
  };
}
