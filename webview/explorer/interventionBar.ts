/** The active interventions as chips, with undo and redo. The page and the Interventions view each show this bar. */

import { el, fill, setAttr } from "../base/dom";
import { t } from "../base/strings";
import type { ExplorerTools } from "../trace/inspection";
import { type ActiveIntervention, changed, historyKey, redone, undone } from "../trace/interventionHistory";
import { interventionText } from "./interventionText";

type Interventions = ExplorerTools["interventions"];

export function createInterventionBar(interventions: Interventions): HTMLElement {
  // A disabled button would lose the focus when its last step is undone.
  const action = (label: string, title: string, isPossible: () => boolean, press: () => void) => {
    const node = el(
      "button",
      { class: "action", title, attrs: { type: "button" }, on: { click: () => isPossible() && press() } },
      label,
    );
    return { node, update: () => setAttr(node, "aria-disabled", isPossible() ? null : "true") };
  };
  const set = (change: typeof undone) => interventions.set(change(interventions.get()));
  const actions = [
    action(
      t("Undo"),
      t("Undo (Ctrl+Z)"),
      () => interventions.get().past.length > 0,
      () => set(undone),
    ),
    action(
      t("Redo"),
      t("Redo (Ctrl+Y)"),
      () => interventions.get().future.length > 0,
      () => set(redone),
    ),
    action(
      t("Remove all"),
      "",
      () => interventions.get().list.length > 0,
      () => set((history) => changed(history, [])),
    ),
  ] as const;
  const chips = el("ul", { class: "chips" });
  const node = el(
    "div",
    { class: "interventions", attrs: { role: "group", "aria-label": t("Active interventions") } },
    ...actions.map((each) => each.node),
    chips,
  );
  const remove = (one: ActiveIntervention) =>
    set((history) =>
      changed(
        history,
        history.list.filter((each) => each !== one),
      ),
    );
  const draw = () => {
    const hadFocus = chips.contains(document.activeElement);
    for (const each of actions) each.update();
    fill(chips, ...interventions.get().list.map((each) => chip(each, () => remove(each))));
    if (hadFocus) actions[0].node.focus();
  };
  interventions.subscribe(draw);
  draw();
  return node;
}

function chip(intervention: ActiveIntervention, remove: () => void): HTMLElement {
  const text = interventionText(intervention);
  return el(
    "li",
    { class: "chip" },
    text,
    el(
      "button",
      {
        class: "chip-remove",
        title: t("Remove"),
        attrs: { type: "button", "aria-label": t("Remove {0}", text) },
        on: { click: remove },
      },
      "×",
    ),
  );
}

/** Undoes and redoes interventions by keyboard, except in a text field, which has its own undo. */
export function addHistoryKeys(interventions: Interventions): void {
  document.addEventListener("keydown", (event) => {
    const [target] = event.composedPath();
    if (target instanceof HTMLTextAreaElement) return;
    if (target instanceof HTMLInputElement && target.type !== "range" && target.type !== "checkbox") return;
    const change = historyKey(event);
    if (!change) return;
    event.preventDefault();
    interventions.set(change(interventions.get()));
  });
}
