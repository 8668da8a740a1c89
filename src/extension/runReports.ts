/** The reports that a run left in its folder, so that its curves go on when it is resumed in another window. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { EvalReport, StepReport } from "../protocol/engineApi";

export interface RunReports {
  readonly reports: readonly StepReport[];
  readonly evals: readonly EvalReport[];
}

/** One JSON value a line: a step's report, or `{eval}`. A line that was cut off by a crash is left out. */
export async function readReports(dir: string): Promise<RunReports> {
  const text = await readFile(join(dir, "reports.jsonl"), "utf8").catch(() => "");
  const reports: StepReport[] = [];
  const evals: EvalReport[] = [];
  for (const line of text.split("\n")) {
    const value = parse(line);
    if (isReport(value)) reports.push(value);
    else if (value && "eval" in value && isReport(value.eval)) evals.push(value.eval);
  }
  return { reports, evals };
}

function parse(line: string): object | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}

/** Both kinds have a step and a loss; the engine writes the other numbers with them. */
const isReport = (value: unknown): value is StepReport & EvalReport =>
  typeof value === "object" &&
  value !== null &&
  "step" in value &&
  typeof value.step === "number" &&
  "loss" in value &&
  typeof value.loss === "number";
