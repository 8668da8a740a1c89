/** Reads a run's folder, so that the run can be shown, compared and resumed without the engine. */

import { basename, join } from "node:path";
import { chunksOf } from "../../files/regular";
import type { EvalReport, SampleReport, StepReport, UpdateReport } from "../../protocol/engineApi";
import { append, emptyReports, newRun, type RunReports } from "../../protocol/runState";
import type { Facts, RunRecord, RunSnapshot, RunState, RunWarning } from "../../protocol/webviewApi";
import { parseRecord, RUN_RECORD, readRecordText } from "../models/modelFolders";

const REPORTS_FILE = "reports.jsonl";

/**
 * The reports of a run up to and including the step `last`, none where there is no file. Each line is a JSON value: a
 * step's report, or `{eval}`, `{updates}`, `{warning}`, `{sample}`. Skips a line that a crash cut off.
 */
export async function readReports(dir: string, last = Infinity): Promise<RunReports> {
  const run = emptyReports();
  const add = <R extends { readonly step: number }>(list: R[], report: R) => {
    if (report.step <= last) append(list, [report]);
  };
  try {
    for await (const line of linesOf(join(dir, REPORTS_FILE))) {
      const value = parseRecord(line);
      if (!value) continue;
      if (isReport(value)) add(run.reports, value);
      else if (isReport(value.eval)) add(run.evals, value.eval);
      else if (isUpdates(value.updates)) add(run.updates, value.updates);
      else if (isWarning(value.warning)) add(run.warnings, value.warning);
      else if (isSample(value.sample)) add(run.samples, value.sample);
    }
  } catch {
    // A file that cannot be read has no further reports.
  }
  return run;
}

const MAX_LINE = 1_000_000;

async function* linesOf(file: string): AsyncGenerator<string> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of chunksOf(file, 1 << 16)) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    // No report has such a long line.
    if (rest.length > MAX_LINE) rest = "";
    yield* lines;
  }
  yield rest;
}

/** A run as its folder describes it. Never throws: parts that cannot be read are missing. */
export async function readRun(dir: string): Promise<RunSnapshot> {
  const [reports, record] = await Promise.all([readReports(dir), readRecord(dir)]);
  const { name, preset, step: recorded, steps } = record?.facts ?? {};
  const step = typeof recorded === "number" ? recorded : (reports.reports.at(-1)?.step ?? null);
  const isDone = step !== null && typeof steps === "number" && step >= steps;
  return {
    ...newRun(dir, typeof name === "string" ? name : basename(dir), typeof preset === "string" ? preset : ""),
    ...reports,
    state: endOf(record, isDone, reports.warnings),
    checkpointStep: step,
    record,
  };
}

/** How a run ended, according to its folder. */
function endOf(record: RunRecord | null, isDone: boolean, warnings: readonly RunWarning[]): RunState {
  if (record?.facts["ended.reason"] === "diverged") {
    return { phase: "failed", message: warnings.at(-1)?.message ?? null, secondsLeft: null, diverged: true };
  }
  return { phase: isDone ? "done" : "stopped", message: null, secondsLeft: null };
}

/** training.json of a model folder; null if it is missing or damaged. */
export async function readRecord(dir: string): Promise<RunRecord | null> {
  const value = parseRecord(await readRecordText(join(dir, RUN_RECORD)).catch(() => ""));
  if (!value) return null;
  const { settings, ...facts } = value;
  return { settings: flat(settings), facts: flat(facts) };
}

/** `{ a: { b: 1 }, c: [2, 3] }` becomes `{ "a.b": 1, "c": "2, 3" }`. */
function flat(value: unknown, prefix = ""): Facts {
  if (!isObject(value)) return {};
  const entries = Object.entries(value).flatMap(([key, each]): [string, Facts[string]][] => {
    const name = `${prefix}${key}`;
    if (Array.isArray(each))
      return [[name, each.map((part) => (isObject(part) ? JSON.stringify(part) : String(part))).join(", ")]];
    if (isObject(each)) return Object.entries(flat(each, `${name}.`));
    return [[name, typeof each === "string" || typeof each === "number" || typeof each === "boolean" ? each : null]];
  });
  return Object.fromEntries(entries);
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Step and evaluation reports both have a step and a loss; the engine writes their other numbers along with them. */
const isReport = (value: unknown): value is StepReport & EvalReport =>
  isObject(value) && typeof value.step === "number" && typeof value.loss === "number";

const isUpdates = (value: unknown): value is UpdateReport =>
  isObject(value) && typeof value.step === "number" && Array.isArray(value.layers);

const isWarning = (value: unknown): value is RunWarning =>
  isObject(value) && typeof value.step === "number" && typeof value.message === "string";

const isSample = (value: unknown): value is SampleReport =>
  isObject(value) && typeof value.step === "number" && typeof value.text === "string";
