/** The tokens of the text in one scrolling row, which shows the selection of all views. */

import { el, fill, setAttr } from "../base/dom";
import type { Store } from "../base/store";
import { t } from "../base/strings";
import type { Inspection, Selection } from "../trace/inspection";
import { moveToken } from "../trace/tokens/chips";
import { type TokenChip, tokenChips } from "../trace/tokens/layout";

export interface TokenStrip {
  readonly node: HTMLElement;
  readonly show: (inspection: Inspection) => void;
}

export function createTokenStrip(selection: Store<Selection>): TokenStrip {
  const node = el("div", {
    class: "strip",
    attrs: { role: "listbox", "aria-label": t("Tokens of the text"), "aria-orientation": "horizontal" },
  });
  let chips: readonly HTMLElement[] = [];
  let selected: HTMLElement | undefined;

  const mark = (index: number) => {
    const chip = chips[index];
    if (selected) setAttr(selected, "aria-selected", "false");
    if (selected) selected.tabIndex = -1;
    selected = chip;
    if (!chip) return;
    setAttr(chip, "aria-selected", "true");
    chip.tabIndex = 0;
    const start = chip.offsetLeft;
    const end = start + chip.offsetWidth;
    // Keep a few tokens visible on either side.
    const margin = Math.min(80, node.clientWidth / 4);
    if (start - margin < node.scrollLeft) node.scrollLeft = start - margin;
    else if (end + margin > node.scrollLeft + node.clientWidth) node.scrollLeft = end + margin - node.clientWidth;
  };

  selection.subscribe((now, before) => {
    if (now.token !== before.token) mark(now.token);
  });
  node.addEventListener("keydown", (event) => {
    const to = moveToken(event.key, selection.get().token, chips.length);
    if (to === null) return;
    event.preventDefault();
    selection.set({ token: to });
    chips[to]?.focus({ preventScroll: true });
  });
  node.addEventListener("click", ({ target }) => {
    const chip = target instanceof Element ? target.closest<HTMLElement>("[data-token]") : null;
    if (chip) selection.set({ token: Number(chip.dataset.token) });
  });

  return {
    node,
    show({ trace }) {
      chips = tokenChips(trace.tokens).map(drawChip);
      fill(node, ...chips);
      mark(selection.get().token);
    },
  };
}

function drawChip({ index, id, label, kind, joined }: TokenChip): HTMLElement {
  const chip = el(
    "span",
    {
      class: `strip-token mono ${kind}${joined ? " joined" : ""}`,
      title: t("Token {0}: “{1}”, id {2}", index, label, id),
      attrs: { role: "option", "aria-selected": "false", tabindex: -1 },
    },
    label,
  );
  chip.dataset.token = String(index);
  return chip;
}
