/** A table that its headers sort. */

import { el, fill, setAttr } from "../base/dom";

export interface Column<Row> {
  readonly label: string;
  readonly isText?: true;
  /** The value to sort by; null where there is none. */
  readonly value: (row: Row) => number | string | null;
}

export interface Order {
  readonly column: number;
  readonly isDescending: boolean;
}

/** Rows sorted by a column; those without a value are last in both directions. */
export function sorted<Row>(rows: readonly Row[], columns: readonly Column<Row>[], order: Order): Row[] {
  const { value } = columns[order.column] ?? (columns[0] as Column<Row>);
  const sign = order.isDescending ? -1 : 1;
  return [...rows].sort((one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === null || b === null) return Number(a === null) - Number(b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b));
  });
}

/**
 * Cells of a row, in the order of the columns, come from `draw`. Rows are drawn again when they change; a control with
 * the attribute `data-key` keeps the focus.
 */
export function createSortableTable<Row>(label: string, draw: (row: Row) => HTMLElement) {
  let order: Order = { column: 0, isDescending: false };
  let rows: readonly Row[] = [];
  let columns: readonly Column<Row>[] = [];
  const head = el("tr");
  const body = el("tbody");
  const node = el(
    "div",
    { class: "data-table sortable", attrs: { tabindex: 0, role: "region", "aria-label": label } },
    el("table", {}, el("caption", {}, label), el("thead", {}, head), body),
  );

  const drawHead = () => {
    const focused = [...head.children].findIndex((cell) => cell.contains(document.activeElement));
    fill(
      head,
      ...columns.map(({ label, isText }, column) => {
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
    const { activeElement } = document;
    const key = body.contains(activeElement) ? activeElement?.getAttribute("data-key") : null;
    fill(body, ...sorted(rows, columns, order).map(draw));
    if (key) body.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)?.focus();
  };

  return {
    node,
    show(nextRows: readonly Row[], nextColumns: readonly Column<Row>[]) {
      rows = nextRows;
      columns = nextColumns;
      drawHead();
      drawBody();
    },
    /** The rows in the order of the table. */
    rows: () => sorted(rows, columns, order),
  };
}
