import { el } from "../base/dom";
import { t } from "../base/strings";
import type { Inspection } from "./inspection";

/** Explains why a view is not available for a trace from a file; "" for other traces. */
export const needsModel = ({ trace }: Inspection): string =>
  trace.opened
    ? t(
        "This needs the model, which a trace file does not contain. Type the text above to run it with the active model.",
      )
    : "";

/** Shows `content`, or for a trace from a file why it is not available. */
export function createModelGate(content: HTMLElement) {
  const reason = el("p", { class: "empty" });
  return {
    nodes: [reason, content],
    /** Returns whether the content is shown. */
    admits(inspection: Inspection): boolean {
      const text = needsModel(inspection);
      reason.textContent = text;
      reason.hidden = text === "";
      content.hidden = text !== "";
      return text === "";
    },
  };
}
