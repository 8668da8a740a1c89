/** The token whose probability or logit is watched: the one entered as text or id, else the most likely one. */

import { el } from "../../base/dom";
import type { Store } from "../../base/store";
import { t } from "../../base/strings";
import { textField } from "../../base/toolkit";
import type { Inspection } from "../../trace/inspection";
import { searched } from "../../trace/nextToken/layout";
import { visibleText } from "../../trace/tokens/layout";

export interface Target {
  readonly id: number;
  readonly label: string;
  /** True if the user chose it. Otherwise it is the most likely token, which changes with the position. */
  readonly isChosen: boolean;
}

export type Watched = Store<{ readonly target: Target | null }>;

const TYPING_PAUSE = 300;

export function createTargetField(watched: Watched, inspection: () => Inspection | null): HTMLElement {
  const field = textField(t("Token to watch"), t("Watch a token: text or #id"));
  const status = el("span", { class: "small", attrs: { role: "status" } });
  let typing: ReturnType<typeof setTimeout> | undefined;
  const find = async () => {
    const from = inspection();
    const query = field.value;
    if (!from) return;
    if (query === "") return watched.set({ target: null });
    try {
      const { found } = await from.find(searched(query), 1);
      if (inspection() !== from || field.value !== query) return;
      const best = found[0];
      if (!best) {
        status.textContent = t("No token has this text.");
        return;
      }
      const label = visibleText(query.startsWith("#") ? best.token : query);
      watched.set({ target: { id: best.id, label, isChosen: true } });
    } catch (error) {
      status.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  field.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => void find(), TYPING_PAUSE);
  });
  watched.subscribe(({ target }) => {
    status.textContent = target
      ? t("watched: “{0}”, #{1}{2}", target.label, target.id, target.isChosen ? "" : ` (${t("the most likely")})`)
      : "";
    if (!target?.isChosen) return;
    if (document.activeElement !== field) field.value = `#${target.id}`;
  });
  return el("div", { class: "pair-controls" }, field, status);
}
