/** Compares runs by their metrics and settings. */

import type { RunSnapshot } from "../../../src/protocol/webviewApi";
import { formatCount, formatDuration, formatParameters } from "../../base/format";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import { positions } from "../curves/layout";
import { bestLossOf, NONE, parametersOf, settingsOf, stepOf } from "../run";

/** Names of the settings that differ between runs. */
export function differingSettings(runs: readonly RunSnapshot[]): string[] {
  const all = runs.map(settingsOf);
  const names = [...new Set(all.flatMap((settings) => Object.keys(settings)))].sort();
  return names.filter((name) => new Set(all.map((settings) => settings[name] ?? null)).size > 1);
}

/** One column per run: its metrics, then the differing settings. An unknown value is a dash. */
export function comparisonTable(runs: readonly RunSnapshot[]): TableData {
  const metrics: [string, (run: RunSnapshot) => string][] = [
    [t("Preset"), (run) => run.preset || NONE],
    [t("Step"), (run) => formatCount(stepOf(run))],
    [t("Training loss"), (run) => run.reports.at(-1)?.loss.toFixed(4) ?? NONE],
    [t("Validation loss"), (run) => run.evals.at(-1)?.loss.toFixed(4) ?? NONE],
    [t("Best validation loss"), (run) => bestLossOf(run)?.toFixed(4) ?? NONE],
    [t("Perplexity"), (run) => run.evals.at(-1)?.perplexity.toPrecision(4) ?? NONE],
    [t("Accuracy"), (run) => percent(run.evals.at(-1)?.accuracy)],
    [t("Parameters"), (run) => parametersText(run)],
    [t("Training time"), (run) => timeOf(run)],
  ];
  const settings = differingSettings(runs).map((name): [string, (run: RunSnapshot) => string] => [
    name,
    (run) => String(settingsOf(run)[name] ?? NONE),
  ]);
  const rows = [...metrics, ...settings].filter(([, value]) => runs.some((run) => value(run) !== NONE));
  return {
    title: t("Metrics and differing settings"),
    columns: [t("metric or setting"), ...runs.map(({ name }) => name)],
    rows: rows.length,
    row: (i) => {
      const [name, value] = rows[i] as (typeof rows)[number];
      return [name, ...runs.map(value)];
    },
  };
}

const percent = (share: number | undefined): string => (share === undefined ? NONE : `${(100 * share).toFixed(2)} %`);

function parametersText(run: RunSnapshot): string {
  const parameters = parametersOf(run);
  return parameters === null ? NONE : formatParameters(parameters);
}

function timeOf(run: RunSnapshot): string {
  const seconds = positions(run, "seconds");
  return seconds ? formatDuration(seconds(stepOf(run))) : NONE;
}
