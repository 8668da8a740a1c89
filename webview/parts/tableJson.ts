/** A table as JSON, in the format of docs/explorer-views.md. */

import type { TraceInfo } from "../../src/protocol/traceApi";
import { formatCount } from "../base/format";
import { t } from "../base/strings";
import type { TableData } from "../charts/csv";

/** The trace that a table's numbers come from. */
export interface TraceOrigin {
  readonly trace: Pick<TraceInfo, "model" | "trace" | "interventions">;
  readonly source: { readonly text: string };
}

/** The lines below a saved picture: the model and the trace, and the text. */
export function originLines({ trace: { model, trace, interventions = [] }, source }: TraceOrigin): string[] {
  const parts = [
    model.name,
    model.step > 0 && t("step {0}", formatCount(model.step)),
    t("trace {0}", trace),
    interventions.length > 0 && t("{0} interventions", interventions.length),
  ];
  return [parts.filter((part) => part !== false).join(", "), source.text.replaceAll(/\s+/g, " ").trim()];
}

/** `runs` are the traces of the numbers. Numbers keep their full precision; NaN and ∞ become null, because JSON has neither. */
export function toJson({ title, columns, rows, row }: TableData, runs: readonly TraceOrigin[]): string {
  const fields = {
    title,
    runs: runs.map(({ trace: { model, trace, interventions = [] }, source: { text } }) => ({
      model: { name: model.name, step: model.step },
      number: trace,
      text,
      interventions,
    })),
    columns,
  };
  const head = Object.entries(fields).map(([name, value]) => `  "${name}": ${JSON.stringify(value)},\n`);
  const lines = Array.from({ length: rows }, (_, i) => `    ${JSON.stringify(row(i))}`);
  return `{\n${head.join("")}  "rows": [\n${lines.join(",\n")}\n  ]\n}\n`;
}
