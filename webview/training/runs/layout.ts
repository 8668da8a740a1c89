/** The columns of the table of runs, and the table to save. */

import type { RunRow } from "../../../src/protocol/webviewApi";
import { formatCount, formatDuration, formatParameters } from "../../base/format";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import type { Column } from "../../parts/sortableTable";
import { NONE } from "../run";

export interface RunColumn extends Column<RunRow> {
  readonly text: (row: RunRow) => string;
}

const number = (value: number | null, format: (x: number) => string) => (value === null ? NONE : format(value));

export const columnsOf = (): RunColumn[] => [
  { label: t("run"), isText: true, value: ({ name }) => name, text: ({ name }) => name },
  { label: t("preset"), isText: true, value: ({ preset }) => preset, text: ({ preset }) => preset || NONE },
  { label: t("step"), value: ({ step }) => step, text: ({ step }) => number(step, formatCount) },
  { label: t("training loss"), value: ({ loss }) => loss, text: ({ loss }) => number(loss, (x) => x.toFixed(3)) },
  {
    label: t("validation loss"),
    value: ({ valLoss }) => valLoss,
    text: ({ valLoss }) => number(valLoss, (x) => x.toFixed(3)),
  },
  {
    label: t("parameters"),
    value: ({ parameters }) => parameters,
    text: ({ parameters }) => number(parameters, formatParameters),
  },
  { label: t("time"), value: ({ seconds }) => seconds, text: ({ seconds }) => number(seconds, formatDuration) },
  {
    label: t("changed settings"),
    isText: true,
    value: ({ changed }) => changed || null,
    text: ({ changed }) => changed,
  },
];

/** All rows with all digits. */
export const runsTable = (rows: readonly RunRow[]): TableData => {
  const columns = columnsOf();
  return {
    title: t("Runs"),
    columns: columns.map(({ label }) => label),
    isGuarded: true,
    rows: rows.length,
    row: (i) => columns.map(({ value }) => value(rows[i] as RunRow) ?? ""),
  };
};
