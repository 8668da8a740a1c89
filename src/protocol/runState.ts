/**
 * The state of a training run, folded from its events by the extension, by its page, and by the reader of run folders.
 *
 * A `LiveRun` changes in place, in amortized constant time for each report, and its lists stay short: see `append`.
 */

import type { TrainEvent } from "./engineApi";
import type { RunPhase, RunSnapshot, RunState } from "./webviewApi";

/** Everything a run reported, each list in the order of its steps. */
export type RunReports = Pick<RunSnapshot, "reports" | "evals" | "updates" | "warnings" | "samples">;

type MutableReports = { readonly [K in keyof RunReports]: RunReports[K][number][] };
type MutableFields = Omit<RunSnapshot, keyof RunReports>;

export type LiveRun = { -readonly [K in keyof MutableFields]: MutableFields[K] } & MutableReports;

export const emptyReports = (): MutableReports => ({ reports: [], evals: [], updates: [], warnings: [], samples: [] });

/** A run that has not reported anything yet. */
export const newRun = (dir: string, name: string, preset: string): LiveRun => ({
  dir,
  name,
  preset,
  state: { phase: "preparing", message: null, secondsLeft: null },
  prepared: null,
  started: null,
  ...emptyReports(),
  checkpointStep: null,
  record: null,
});

/** A run that continues from `snapshot`, with lists of its own. */
export const liveRun = (snapshot: RunSnapshot): LiveRun => ({ ...snapshot, ...reportsUntil(snapshot, Infinity) });

/** The reports up to and including a step, in new lists. */
export function reportsUntil({ reports, evals, updates, warnings, samples }: RunReports, last: number): MutableReports {
  const until = <R extends AtStep>(list: readonly R[]) => list.filter(({ step }) => step <= last);
  return {
    reports: until(reports),
    evals: until(evals),
    updates: until(updates),
    warnings: until(warnings),
    samples: until(samples),
  };
}

export function applyEvent(run: LiveRun, event: TrainEvent): void {
  const isStopping = run.state.phase === "stopping";
  switch (event.kind) {
    case "prepare":
      run.prepared = event.fraction;
      if (!isStopping) run.state = inPhase(run.state, "preparing", event.message);
      break;
    case "start": {
      const { model, train, device, deviceReason } = event;
      run.prepared = null;
      run.started = { model, train, device, deviceReason };
      if (!isStopping) run.state = inPhase(run.state, "running");
      break;
    }
    case "paused":
      if (!isStopping) run.state = inPhase(run.state, event.paused ? "paused" : "running");
      break;
    case "steps":
      append(run.reports, event.reports);
      run.state = { ...run.state, secondsLeft: event.secondsLeft };
      break;
    case "eval":
      append(run.evals, [event.report]);
      break;
    case "updates":
      append(run.updates, [{ step: event.step, layers: event.layers }]);
      break;
    case "warning":
      append(run.warnings, [{ step: event.step, message: event.message }]);
      break;
    case "sample":
      append(run.samples, [{ step: event.step, text: event.text }]);
      break;
    case "checkpoint":
      run.checkpointStep = event.step;
      break;
  }
}

/** The state in another phase; only a run that is running or paused has time left. */
export const inPhase = ({ secondsLeft }: RunState, phase: RunPhase, message: string | null = null): RunState => ({
  phase,
  message,
  secondsLeft: phase === "running" || phase === "paused" ? secondsLeft : null,
});

interface AtStep {
  readonly step: number;
}

/** A chart cannot show more points than this. */
const MAX_REPORTS = 4000;

/**
 * Appends reports in the order of their steps. A run that went back to a checkpoint reports some steps again: the newer
 * report counts.
 *
 * Steps are grouped by a stride of 1, 2, 4, … that grows with the run, so that there are fewer than `MAX_REPORTS` groups.
 * A list keeps the first report of each group, and the newest report of all.
 */
export function append<R extends AtStep>(list: R[], reports: readonly R[]): void {
  for (const report of reports) {
    const { step } = report;
    while (list.length > 0 && (list.at(-1) as R).step >= step) list.pop();
    const stride = 2 ** Math.max(0, Math.ceil(Math.log2(step / (MAX_REPORTS - 2))));
    const startsGroup = (i: number) => i === 0 || groupOf(list[i - 1] as R, stride) !== groupOf(list[i] as R, stride);
    // Only the newest report may be there without being the first of its group.
    if (list.length > 0 && !startsGroup(list.length - 1)) list.pop();
    list.push(report);
    if (list.length <= MAX_REPORTS) continue;
    const kept = list.filter((_, i) => i === list.length - 1 || startsGroup(i));
    list.splice(0, list.length, ...kept);
  }
}

const groupOf = ({ step }: AtStep, stride: number): number => Math.floor(step / stride);

/** Runs that can be compared with one. The chart has six colors. */
export const MAX_COMPARED = 5;
