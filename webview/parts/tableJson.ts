/** A table as JSON, in the form that docs/explorer-views.md describes. */

import type { TableData } from "../charts/csv";
import type { Inspection } from "../inspection";

/** `of` is the run that was looked at. Numbers keep their full precision; JSON has no NaN and no ∞, so these are null. */
export function toJson({ title, columns, rows, row }: TableData, of: Inspection | null): string {
  const fields = {
    title,
    model: of && { name: of.trace.model.name, step: of.trace.model.step },
    run: of && { number: of.trace.trace, text: of.source.text, interventions: of.trace.interventions ?? [] },
    columns,
  };
  const head = Object.entries(fields).map(([name, value]) => `  "${name}": ${JSON.stringify(value)},\n`);
  const lines = Array.from({ length: rows }, (_, i) => `    ${JSON.stringify(row(i))}`);
  return `{\n${head.join("")}  "rows": [\n${lines.join(",\n")}\n  ]\n}\n`;
}
