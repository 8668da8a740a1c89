/** What a run left in its folder, so that it can be looked at and compared without the engine, and its curves go on when it is resumed. */

import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { CheckpointInfo, EvalReport, StepReport } from "../../protocol/engineApi";
import type {
  Facts,
  RunRecord,
  RunSnapshot,
  RunState,
  RunWarning,
  SampleReport,
  UpdateReport,
} from "../../protocol/webviewApi";

export interface RunReports {
  readonly reports: readonly StepReport[];
  readonly evals: readonly EvalReport[];
  readonly updates: readonly UpdateReport[];
  readonly warnings: readonly RunWarning[];
  readonly samples: readonly SampleReport[];
}

export const REPORTS_FILE = "reports.jsonl";

/** One JSON value a line: a step's report, or `{eval}`, `{updates}`, `{warning}`, `{sample}`. A line that was cut off by a crash is left out. */
export async function readReports(dir: string): Promise<RunReports> {
  const text = await readFile(join(dir, REPORTS_FILE), "utf8").catch(() => "");
  const reports: StepReport[] = [];
  const evals: EvalReport[] = [];
  const updates: UpdateReport[] = [];
  const warnings: RunWarning[] = [];
  const samples: SampleReport[] = [];
  for (const line of text.split("\n")) {
    const value = parse(line);
    if (!isObject(value)) continue;
    if (isReport(value)) reports.push(value);
    else if (isReport(value.eval)) evals.push(value.eval);
    else if (isUpdates(value.updates)) updates.push(value.updates);
    else if (isWarning(value.warning)) warnings.push(value.warning);
    else if (isSample(value.sample)) samples.push(value.sample);
  }
  return { reports, evals, updates, warnings, samples };
}

/** What was reported until a step, it included. */
export function upTo({ reports, evals, updates, warnings, samples }: RunReports, last: number): RunReports {
  const until = <R extends { readonly step: number }>(all: readonly R[]) => all.filter(({ step }) => step <= last);
  return {
    reports: until(reports),
    evals: until(evals),
    updates: until(updates),
    warnings: until(warnings),
    samples: until(samples),
  };
}

/** A chart of more points than this shows no more. */
const MAX_REPORTS = 4000;

/** Every second, fourth, … report, so that there are at most as many as a chart can show; `every` says which. */
export function thin(
  reports: readonly StepReport[],
  every = 1,
): { readonly kept: readonly StepReport[]; readonly every: number } {
  const kept = every === 1 ? reports : reports.filter(({ step }) => step % every === 0);
  return kept.length > MAX_REPORTS ? thin(kept, 2 * every) : { kept, every };
}

/** A run as its folder has it. Never throws: what cannot be read is missing in it. */
export async function readRun(dir: string): Promise<RunSnapshot> {
  const [reports, record] = await Promise.all([readReports(dir), readRecord(dir)]);
  const facts = record?.facts ?? {};
  const step = typeof facts.step === "number" ? facts.step : (reports.reports.at(-1)?.step ?? null);
  const done = step !== null && typeof facts.steps === "number" && step >= facts.steps;
  return {
    ...reports,
    reports: thin(reports.reports).kept,
    dir,
    name: typeof facts.name === "string" ? facts.name : basename(dir),
    preset: typeof facts.preset === "string" ? facts.preset : "",
    state: endOf(facts, done, reports.warnings),
    started: null,
    checkpointStep: step,
    record,
  };
}

/** How a run ended, as far as its folder says. */
function endOf(facts: Facts, done: boolean, warnings: readonly RunWarning[]): RunState {
  if (facts["ended.reason"] === "diverged") {
    return { phase: "failed", message: warnings.at(-1)?.message ?? null, secondsLeft: null, diverged: true };
  }
  return { phase: done ? "done" : "stopped", message: null, secondsLeft: null };
}

/** training.json of a model folder; null where there is none, or none that can be read. */
export async function readRecord(dir: string): Promise<RunRecord | null> {
  const value = parse(await readFile(join(dir, "training.json"), "utf8").catch(() => ""));
  if (!isObject(value)) return null;
  const { settings, ...facts } = value;
  return { settings: flat(settings), facts: flat(facts) };
}

/** What a run has kept of itself, the newest last, as the engine lists it: folders that are whole models. */
export async function readCheckpoints(dir: string): Promise<CheckpointInfo[]> {
  const folder = join(dir, "checkpoints");
  const names = await readdir(folder).catch(() => []);
  const found = await Promise.all(
    names.map(async (name): Promise<CheckpointInfo[]> => {
      const path = join(folder, name);
      // A name with a dot in front, or with .tmp, is one that is being written; adapters alone are no model.
      const files: readonly string[] = await readdir(path).catch(() => []);
      if (/^\.|\.tmp/.test(name) || !files.includes("model.safetensors")) return [];
      const facts = (await readRecord(path))?.facts;
      if (typeof facts?.step !== "number") return [];
      const { step, loss, valLoss, accuracy } = facts;
      return [{ step, dir: path, loss: number(loss), valLoss: number(valLoss), accuracy: number(accuracy) }];
    }),
  );
  return found.flat().sort((a, b) => a.step - b.step);
}

const number = (value: unknown): number | null => (typeof value === "number" ? value : null);

/** `{ a: { b: 1 }, c: [2, 3] }` is `{ "a.b": 1, "c": "2, 3" }`. */
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

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Both kinds have a step and a loss; the engine writes the other numbers with them. */
const isReport = (value: unknown): value is StepReport & EvalReport =>
  isObject(value) && typeof value.step === "number" && typeof value.loss === "number";

const isUpdates = (value: unknown): value is UpdateReport =>
  isObject(value) && typeof value.step === "number" && Array.isArray(value.layers);

const isWarning = (value: unknown): value is RunWarning =>
  isObject(value) && typeof value.step === "number" && typeof value.message === "string";

const isSample = (value: unknown): value is SampleReport =>
  isObject(value) && typeof value.step === "number" && typeof value.text === "string";
