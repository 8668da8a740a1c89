/** The scores of a set's prompts as a table that its headers sort. */

import { el, fill, setAttr } from "../../base/dom";
import { formatCount, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { visibleText } from "../../trace/tokens/layout";
import { type ChosenToken, columnsOf, type Order, type PromptColumn, type PromptRow, sorted } from "./layout";

/** `open` is called with a prompt that is clicked. */
export function createPromptTable(open: (prompt: string) => void) {
  let order: Order = { column: 0, isDescending: false };
  let rows: readonly PromptRow[] = [];
  let tokens: readonly ChosenToken[] = [];
  const head = el("tr");
  const body = el("tbody");
  const node = el(
    "div",
    {
      class: "data-table prompt-table",
      attrs: { tabindex: 0, role: "region", "aria-label": t("Scores of the prompts") },
    },
    el("table", {}, el("caption", {}, t("Scores of the prompts")), el("thead", {}, head), body),
  );

  const drawHead = () => {
    const focused = [...head.children].findIndex((cell) => cell.contains(document.activeElement));
    fill(
      head,
      ...columnsOf(tokens).map(({ label, isText }, column) => {
        const isSorted = order.column === column;
        const arrow = isSorted ? (order.isDescending ? " ▼" : " ▲") : "";
        const sort = () => {
          order = { column, isDescending: isSorted && !order.isDescending };
          drawHead();
          drawBody();
        };
        const cell = el(
          "th",
          { ...(isText && { class: "text" }), attrs: { scope: "col" } },
          el("button", { class: "sort", attrs: { type: "button" }, on: { click: sort } }, `${label}${arrow}`),
        );
        if (isSorted) setAttr(cell, "aria-sort", order.isDescending ? "descending" : "ascending");
        return cell;
      }),
    );
    head.children[focused]?.querySelector("button")?.focus();
  };

  const drawBody = () => {
    const columns = columnsOf(tokens);
    fill(body, ...sorted(rows, columns, order).map((row) => drawRow(row, open, columns)));
  };

  return {
    node,
    show(nextRows: readonly PromptRow[], nextTokens: readonly ChosenToken[]) {
      rows = nextRows;
      tokens = nextTokens;
      drawHead();
      drawBody();
    },
    /** The rows in the order of the table. */
    rows: () => sorted(rows, columnsOf(tokens), order),
  };
}

function drawRow(row: PromptRow, open: (prompt: string) => void, columns: readonly PromptColumn[]): HTMLElement {
  const { number, outcome, prompt } = row;
  const link = el(
    "button",
    { class: "prompt-link", title: prompt, attrs: { type: "button" }, on: { click: () => open(prompt) } },
    prompt.replaceAll("\n", "↵"),
  );
  const first = [el("td", {}, formatCount(number)), el("th", { attrs: { scope: "row" } }, link)];
  if (outcome instanceof Error) {
    return el(
      "tr",
      {},
      ...first,
      el("td", { class: "text error", attrs: { colspan: columns.length - 2 } }, outcome.message),
    );
  }
  const numbers = columns.slice(2).map((column) => {
    const value = column.value(row);
    if (typeof value === "string") return el("td", { class: "text" }, `“${visibleText(value)}”`);
    return el("td", { title: value === null ? "" : formatValue(value) }, value === null ? "" : column.format(value));
  });
  if (outcome?.isTruncated) {
    numbers[0]?.append(el("span", { title: t("Longer than the context: only its end was read.") }, " …"));
  }
  return el("tr", {}, ...first, ...numbers);
}
