/** What went wrong with one part of a view, with a way to try again. */

import { el } from "../../dom";
import { t } from "../../strings";

export interface Problem {
  readonly node: HTMLElement;
  readonly say: (error: unknown) => void;
  readonly clear: () => void;
}

export function createProblem(retry: () => void): Problem {
  const said = el("span", { class: "inline-problem", attrs: { role: "alert" } });
  const again = el("button", { class: "action", attrs: { type: "button" }, on: { click: retry } }, t("Try again"));
  const node = el("p", { class: "pair-problem" }, said, again);
  const clear = () => {
    said.textContent = "";
    again.hidden = true;
  };
  clear();
  return {
    node,
    clear,
    say(error) {
      said.textContent = error instanceof Error ? error.message : String(error);
      again.hidden = false;
    },
  };
}
