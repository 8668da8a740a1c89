/** A foldable group of values: their shapes, and the norm of the selected token's vector in each. */

import { el, setAttr } from "../../base/dom";
import { formatDigits, formatShape, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { prefixOf, titleOf, type ValueGroup, type ValueRow } from "./layout";

export interface GroupPart {
  readonly group: ValueGroup;
  readonly node: HTMLElement;
  readonly isOpen: () => boolean;
  readonly unfold: () => void;
  readonly showNorms: (norms: ReadonlyMap<string, number>, largest: number) => void;
  readonly markOpened: (name: string | null) => void;
}

export function createGroup(
  group: ValueGroup,
  startsOpen: boolean,
  choose: (row: ValueRow, part: GroupPart) => void,
  toggled: () => void,
): GroupPart {
  const title = titleOf(group);
  const total = normBar();
  const rows = group.values.map((row) => {
    const name = el(
      "button",
      {
        class: "value-name",
        attrs: { type: "button", "aria-expanded": "false" },
        on: { click: () => choose(row, part) },
      },
      row.label,
    );
    const bar = normBar();
    const shape = el(
      "td",
      { class: "shape", title: row.shape.map((size, i) => `${row.dimensions[i]} ${size}`).join(", ") },
      formatShape(row.shape),
    );
    return {
      row,
      name,
      bar,
      node: el(
        "tr",
        {},
        el("th", { attrs: { scope: "row" } }, name),
        shape,
        el("td", { class: "norm-cell" }, bar.node),
      ),
    };
  });
  const table = el(
    "table",
    { class: "value-table" },
    el("caption", { class: "visually-hidden" }, title),
    el(
      "thead",
      { class: "visually-hidden" },
      el("tr", {}, ...[t("Value"), t("Shape"), t("Norm")].map((name) => el("th", { attrs: { scope: "col" } }, name))),
    ),
    el("tbody", {}, ...rows.map(({ node }) => node)),
  );
  table.hidden = !startsOpen;
  const toggle = el(
    "button",
    { class: "layer-toggle", attrs: { type: "button", "aria-expanded": String(startsOpen) } },
    el("span", { class: "chevron", attrs: { "aria-hidden": "true" } }),
    el("span", { class: "layer-title", title }, title),
    total.node,
  );
  toggle.addEventListener("click", () => {
    table.hidden = !table.hidden;
    setAttr(toggle, "aria-expanded", String(!table.hidden));
    node.classList.toggle("closed", table.hidden);
    toggled();
  });
  const node = el("div", { class: `layer-group${startsOpen ? "" : " closed"}` }, el("h3", {}, toggle), table);
  const part: GroupPart = {
    group,
    node,
    isOpen: () => !table.hidden,
    unfold: () => {
      if (table.hidden) toggle.click();
    },
    showNorms(norms, largest) {
      for (const { row, bar } of rows) bar.show(norms.get(row.name), largest);
      total.show(group.block === null ? undefined : norms.get(`${prefixOf(group)}.residPost`), largest);
    },
    markOpened(name) {
      for (const each of rows) setAttr(each.name, "aria-expanded", String(each.row.name === name));
    },
  };
  return part;
}

/** A norm as a bar with its number; invisible while the norm is unknown. */
function normBar() {
  const fillBar = el("span", { class: "norm-fill" });
  const number = el("span", { class: "number" });
  const node = el(
    "span",
    { class: "norm" },
    el("span", { class: "norm-track", attrs: { "aria-hidden": "true" } }, fillBar),
    number,
  );
  return {
    node,
    show(value: number | undefined, largest: number) {
      node.style.visibility = value === undefined ? "hidden" : "visible";
      fillBar.style.width = value === undefined ? "0" : `${(100 * value) / largest}%`;
      number.textContent = value === undefined ? "" : formatDigits(value);
      node.title = value === undefined ? "" : t("L2 norm {0}", formatValue(value));
    },
  };
}
