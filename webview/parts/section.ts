/** A foldable section of a page, like those of VS Code's side bar. */

import { el, setAttr, uniqueId } from "../base/dom";

export interface Section {
  readonly node: HTMLElement;
  readonly body: HTMLElement;
  readonly isOpen: () => boolean;
  /** Sets a few words beside the title, which are visible while the section is folded too. */
  readonly summarize: (text: string) => void;
}

export function createSection(title: string, open: boolean, toggled: (open: boolean) => void): Section {
  const id = uniqueId("section");
  const summary = el("span", { class: "section-summary" });
  const body = el("div", { class: "section-body", id });
  const toggle = el(
    "button",
    { class: "section-toggle", attrs: { type: "button", "aria-expanded": String(open), "aria-controls": id } },
    el("span", { class: "chevron", attrs: { "aria-hidden": "true" } }),
    el("span", { class: "section-title" }, title),
    summary,
  );
  body.hidden = !open;
  toggle.addEventListener("click", () => {
    body.hidden = !body.hidden;
    setAttr(toggle, "aria-expanded", String(!body.hidden));
    toggled(!body.hidden);
  });
  return {
    node: el(
      "section",
      { class: "section", attrs: { "aria-label": title } },
      el("h2", { class: "section-header" }, toggle),
      body,
    ),
    body,
    isOpen: () => !body.hidden,
    summarize: (text) => {
      summary.textContent = text;
    },
  };
}
