/** Where a number on the page is from: its tensor, its index there, and the run. Every view writes it with these. */

import { formatCount, formatValue } from "../base/format";
import { t } from "../base/strings";
import type { Inspection } from "./inspection";

/** Reads as `blocks.0.attn.q[0, 1, 2, 3] = 0.123456`, and in a line of its own `tiny-stories, step 2,000, run 4`. */
export const valueText = (inspection: Inspection, name: string, index: readonly number[], value: number): string =>
  `${name}[${index.join(", ")}] = ${formatValue(value)}\n${runText(inspection)}`;

/** The run that a number is from: the model, how far it was trained, and the trace. */
export function runText({ trace, base }: Inspection): string {
  const { model } = trace;
  const run = base ? t("run {0} (run {1}, changed)", trace.trace, base.trace.trace) : t("run {0}", trace.trace);
  const parts = [model.name, model.step > 0 && t("step {0}", formatCount(model.step)), run];
  return parts.filter((part) => part !== false).join(", ");
}
