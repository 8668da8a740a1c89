/** Shows an error in a part of a view, with a button that tries again. */

import { el, fill } from "../base/dom";
import { t } from "../base/strings";

export interface Problem {
  readonly node: HTMLElement;
  readonly say: (error: unknown) => void;
  readonly clear: () => void;
}

export function createProblem(again: () => void): Problem {
  const node = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const retry = () => {
    node.replaceChildren();
    again();
  };
  return {
    node,
    say: (error) =>
      fill(
        node,
        error instanceof Error ? error.message : String(error),
        " ",
        el("button", { class: "action", attrs: { type: "button" }, on: { click: retry } }, t("Retry")),
      ),
    clear: () => node.replaceChildren(),
  };
}
