/** The pane of one view: its title, a summary, and the body that the view fills. A pane does not fold. */

import { el, uniqueId } from "../base/dom";
import type { Section } from "../parts/section";

export interface Pane extends Section {
  /** Holds buttons beside the title. */
  readonly tools: HTMLElement;
}

export function createPane(title: string, isOpen: () => boolean): Pane {
  const id = uniqueId("pane");
  const summary = el("span", { class: "pane-summary" });
  const tools = el("span", { class: "pane-tools" });
  const body = el("div", { class: "section-body" });
  const node = el(
    "section",
    { class: "pane-section", attrs: { "aria-labelledby": id } },
    el("div", { class: "pane-header" }, el("h2", { class: "pane-title", id }, title), summary, tools),
    body,
  );
  return {
    node,
    body,
    tools,
    isOpen,
    summarize: (text) => {
      summary.textContent = text;
    },
  };
}
