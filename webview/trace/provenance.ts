/** Names the source of a number: its tensor, its index there, and the trace. */

import { formatCount, formatValue } from "../base/format";
import { t } from "../base/strings";
import type { Inspection } from "./inspection";

/** Reads as `blocks.0.attn.q[0, 1, 2, 3] = 0.123456`, and on the next line `tiny-stories, step 2,000, trace 4`. */
export const valueText = (inspection: Inspection, name: string, index: readonly number[], value: number): string =>
  `${name}[${index.join(", ")}] = ${formatValue(value)}\n${traceText(inspection)}`;

/** The model, its training step, and the trace. */
export function traceText({ trace, base }: Inspection): string {
  const { model } = trace;
  const number = base
    ? t("trace {0} (trace {1} with interventions)", trace.trace, base.trace.trace)
    : t("trace {0}", trace.trace);
  const parts = [model.name, model.step > 0 && t("step {0}", formatCount(model.step)), number];
  return parts.filter((part) => part !== false).join(", ");
}
