/** The bar under a chart: shows its table, and copies or saves its numbers and its picture. */

import { el, fill, setAttr } from "../base/dom";
import { formatCount, formatValue } from "../base/format";
import { t } from "../base/strings";
import { type TableData, toCsv } from "../charts/csv";
import { type TraceOrigin, toJson } from "./tableJson";

export type Save = (name: string, data: Uint8Array) => void;

export interface DataSource {
  /** Without an extension, such as "attention-layer0-head1". */
  readonly fileName: () => string;
  readonly table: () => TableData | null;
  /** The trace of the numbers, or the traces that they compare, for the JSON file. */
  readonly of?: () => TraceOrigin | readonly TraceOrigin[] | null | undefined;
  readonly picture?: () => HTMLCanvasElement | null;
  readonly svg?: () => string | null;
}

export interface DataBar {
  readonly node: HTMLElement;
  /** Draws the table again after the numbers have changed. */
  readonly update: () => void;
}

const MAX_ROWS = 200;
const MAX_COLUMNS = 66;

/** `open` shows the table from the start. */
export function createDataBar(source: DataSource, save: Save, open = false): DataBar {
  const status = el("span", { class: "small muted", attrs: { role: "status" } });
  const holder = el("div", { class: "data-holder" });

  const csv = () => {
    const table = source.table();
    return table ? toCsv(table) : null;
  };
  const saveText = (ending: string, text: string | null | undefined) => {
    if (text) save(`${source.fileName()}.${ending}`, new TextEncoder().encode(text));
  };
  const action = (label: string, press: () => void) =>
    el("button", { class: "action", attrs: { type: "button" }, on: { click: press } }, label);

  const toggle = action(t("Show table"), () => {
    open = !open;
    draw();
  });
  const draw = () => {
    setAttr(toggle, "aria-expanded", String(open));
    toggle.textContent = open ? t("Hide table") : t("Show table");
    const table = open ? source.table() : null;
    fill(holder, ...(table ? drawTable(table) : []));
  };
  draw();

  const bar = el(
    "div",
    { class: "data-bar" },
    toggle,
    action(t("Copy CSV"), async () => {
      const text = csv();
      if (text === null) return;
      await navigator.clipboard.writeText(text);
      status.textContent = t("Copied.");
      setTimeout(() => {
        status.textContent = "";
      }, 2000);
    }),
    action(t("Save CSV"), () => saveText("csv", csv())),
    action(t("Save JSON"), () => {
      const table = source.table();
      saveText("json", table && toJson(table, [source.of?.() ?? []].flat()));
    }),
    source.picture &&
      action(t("Save PNG"), async () => {
        const picture = source.picture?.();
        const blob = picture && (await new Promise<Blob | null>((resolve) => picture.toBlob(resolve, "image/png")));
        if (blob) save(`${source.fileName()}.png`, new Uint8Array(await blob.arrayBuffer()));
      }),
    source.svg && action(t("Save SVG"), () => saveText("svg", source.svg?.())),
    status,
  );
  return { node: el("div", { class: "data" }, bar, holder), update: draw };
}

function drawTable(table: TableData): HTMLElement[] {
  const rows = Math.min(table.rows, MAX_ROWS);
  const cols = Math.min(table.columns.length, MAX_COLUMNS);
  const head = el("tr", {}, ...table.columns.slice(0, cols).map((name) => el("th", { attrs: { scope: "col" } }, name)));
  const body = Array.from({ length: rows }, (_, i) => {
    const [first, ...rest] = table.row(i).slice(0, cols);
    return el("tr", {}, el("th", { attrs: { scope: "row" } }, cellText(first ?? "")), ...rest.map(drawCell));
  });
  const note = [
    rows < table.rows && t("first {0} of {1} rows", formatCount(rows), formatCount(table.rows)),
    cols < table.columns.length && t("first {0} of {1} columns", formatCount(cols), formatCount(table.columns.length)),
  ].filter((part) => part !== false);
  return [
    el(
      "div",
      { class: "data-table", attrs: { tabindex: 0, role: "region", "aria-label": t("Table: {0}", table.title) } },
      el("table", {}, el("caption", {}, table.title), el("thead", {}, head), el("tbody", {}, ...body)),
    ),
    ...(note.length > 0
      ? [el("p", { class: "small muted" }, t("Shows the {0}. The CSV file has all of them.", note.join(", ")))]
      : []),
  ];
}

const cellText = (value: string | number): string =>
  typeof value === "string" ? value : Number.isInteger(value) ? String(value) : formatValue(value);

const drawCell = (value: string | number): HTMLElement =>
  el("td", typeof value === "string" ? { class: "text" } : {}, cellText(value));
