/** The scores of a set's prompts as a sortable table. */

import { el } from "../../base/dom";
import { formatCount, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { createSortableTable } from "../../parts/sortableTable";
import { visibleText } from "../../trace/tokens/layout";
import { type ChosenToken, columnsOf, type PromptColumn, type PromptRow } from "./layout";

/** `open` is called with a prompt that is clicked. */
export function createPromptTable(open: (prompt: string) => void) {
  let columns: readonly PromptColumn[] = [];
  const table = createSortableTable<PromptRow>(t("Scores of the prompts"), (row) => drawRow(row, open, columns));
  table.node.classList.add("prompt-table");
  return {
    node: table.node,
    show(rows: readonly PromptRow[], tokens: readonly ChosenToken[]) {
      columns = columnsOf(tokens);
      table.show(rows, columns);
    },
    rows: table.rows,
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
