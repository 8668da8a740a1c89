/** How runs differ: what they were asked for, and what came out. */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { formatCount, formatDuration, formatParameters } from "../../base/format";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import { positions, settingsOf, stepOf } from "../curves/layout";

/** The names of the settings that are not the same in every run. */
export function differingSettings(runs: readonly RunSnapshot[]): string[] {
  const all = runs.map(settingsOf);
  const names = [...new Set(all.flatMap((settings) => Object.keys(settings)))].sort();
  return names.filter((name) => new Set(all.map((settings) => settings[name] ?? null)).size > 1);
}

/** A column for each run: its figures, then the settings that differ. A cell that is not known is a dash. */
export function comparisonTable(runs: readonly RunSnapshot[]): TableData {
  const figures: [string, (run: RunSnapshot) => string][] = [
    [t("Preset"), (run) => run.preset || NONE],
    [t("Step"), (run) => formatCount(stepOf(run))],
    [t("Training loss"), (run) => run.reports.at(-1)?.loss.toFixed(4) ?? NONE],
    [t("Validation loss"), (run) => run.evals.at(-1)?.loss.toFixed(4) ?? NONE],
    [t("Best validation loss"), (run) => bestOf(run)?.toFixed(4) ?? NONE],
    [t("Perplexity"), (run) => run.evals.at(-1)?.perplexity.toPrecision(4) ?? NONE],
    [t("Accuracy"), (run) => percent(run.evals.at(-1)?.accuracy)],
    [t("Parameters"), (run) => parametersOf(run)],
    [t("Time in steps"), (run) => timeOf(run)],
  ];
  const settings = differingSettings(runs).map((name): [string, (run: RunSnapshot) => string] => [
    name,
    (run) => String(settingsOf(run)[name] ?? NONE),
  ]);
  const rows = [...figures, ...settings].filter(([, value]) => runs.some((run) => value(run) !== NONE));
  return {
    title: t("Figures, and settings that differ"),
    columns: [t("figure or setting"), ...runs.map(({ name }) => name)],
    rows: rows.length,
    row: (i) => {
      const [name, value] = rows[i] as (typeof rows)[number];
      return [name, ...runs.map(value)];
    },
  };
}

const NONE = "–";

const bestOf = ({ evals }: RunSnapshot): number | null =>
  evals.reduce<number | null>((low, { loss }) => (low === null || loss < low ? loss : low), null);

const percent = (share: number | undefined): string => (share === undefined ? NONE : `${(100 * share).toFixed(2)} %`);

function parametersOf({ started, record }: RunSnapshot): string {
  const parameters = started?.model.parameters ?? record?.facts.parameters;
  return typeof parameters === "number" ? formatParameters(parameters) : NONE;
}

function timeOf(run: RunSnapshot): string {
  const seconds = positions(run, "seconds");
  return seconds ? formatDuration(seconds(stepOf(run))) : NONE;
}
