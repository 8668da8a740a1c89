/** The branches of a generation as an indented list, each with the text that it adds to its parent. */

import { el, fill, setAttr } from "../../base/dom";
import { formatCount } from "../../base/format";
import { t } from "../../base/strings";
import { visibleText } from "../../trace/tokens/layout";
import { type Branch, bitsOf, stepsOf, textOf, treeRows, writtenLabel } from "./layout";

export interface BranchTree {
  readonly node: HTMLElement;
  readonly show: (branches: readonly Branch[], shown: number) => void;
}

/** `choose` is called with the id of a branch that is clicked or moved to. */
export function createBranchTree(choose: (id: number) => void): BranchTree {
  const node = el("ul", { class: "branches", attrs: { role: "tree", "aria-label": t("Branches") } });
  let ids: readonly number[] = [];
  let chosen = 0;

  node.addEventListener("click", ({ target }) => {
    const item = target instanceof Element ? target.closest<HTMLElement>("[data-branch]") : null;
    if (item) choose(Number(item.dataset.branch));
  });
  node.addEventListener("keydown", (event) => {
    const at = ids.indexOf(chosen);
    const moves: Record<string, number> = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: ids.length - 1 };
    const to = ids[moves[event.key] ?? -1];
    if (to === undefined) return;
    event.preventDefault();
    choose(to);
  });

  return {
    node,
    show(branches, shown) {
      const focused = node.contains(document.activeElement);
      const rows = treeRows(branches);
      ids = rows.map(({ branch }) => branch.id);
      chosen = shown;
      fill(node, ...rows.map(({ branch, level }) => drawRow(branches, branch, level, branch.id === shown)));
      if (focused) node.querySelector<HTMLElement>("[aria-selected=true]")?.focus({ preventScroll: true });
    },
  };
}

function drawRow(branches: readonly Branch[], branch: Branch, level: number, isShown: boolean): HTMLElement {
  const { id, from, parent, reason, spans, steps } = branch;
  const all = stepsOf(branches, id);
  const own = spans ? visibleText(textOf(spans.slice(from))) : steps.map(writtenLabel).join("");
  const bits = `${bitsOf(all).toFixed(1)} bits`;
  const end =
    reason === null
      ? t("generating…")
      : reason === "eos"
        ? t("end of text")
        : reason === "canceled"
          ? t("stopped")
          : "";
  const item = el(
    "li",
    {
      class: "branch",
      title: t("{0} tokens with a total surprisal of {1}", formatCount(all.length), bits),
      attrs: { role: "treeitem", "aria-level": level, "aria-selected": String(isShown), tabindex: isShown ? 0 : -1 },
    },
    el("span", { class: "branch-from small muted" }, parent === null ? t("first") : t("step {0}", from + 1)),
    el("span", { class: "branch-text mono" }, own),
    el("span", { class: "branch-end small muted" }, end),
    el("span", { class: "branch-bits number" }, bits),
  );
  item.dataset.branch = String(id);
  setAttr(item, "data-level", level);
  item.style.setProperty("--level", String(level - 1));
  return item;
}
