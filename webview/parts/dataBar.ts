/** The menu of a chart: shows its table, and copies or saves its numbers and its picture. */

import { el, fill } from "../base/dom";
import { formatCount, formatValue } from "../base/format";
import { t } from "../base/strings";
import { readTheme } from "../base/theme";
import { captioned } from "../charts/caption";
import { type TableData, toCsv } from "../charts/csv";
import { canvasOf, type Drawing, svgOf } from "../charts/pen";
import { openMenu } from "./menu";
import { originLines, type TraceOrigin, toJson } from "./tableJson";

export type Save = (name: string, data: Uint8Array) => void;

export interface DataSource {
  /** Without an extension, such as "attention-layer0-head1". */
  readonly fileName: () => string;
  readonly table: () => TableData | null;
  /** The trace of the numbers, or the traces that they compare, for files. */
  readonly of?: () => TraceOrigin | readonly TraceOrigin[] | null | undefined;
  /** The picture, to save with a title and the traces. */
  readonly drawing?: () => Drawing | null | undefined;
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

  const traces = () => [source.of?.() ?? []].flat();
  const saveText = (ending: string, text: string | null | undefined) => {
    if (text) save(`${source.fileName()}.${ending}`, new TextEncoder().encode(text));
  };
  const csv = () => {
    const table = source.table();
    return table && toCsv(table);
  };
  const copyCsv = async () => {
    const text = csv();
    if (text === null) return;
    await navigator.clipboard.writeText(text);
    status.textContent = t("Copied.");
    setTimeout(() => {
      status.textContent = "";
    }, 2000);
  };
  const saveJson = () => {
    const table = source.table();
    saveText("json", table && toJson(table, traces()));
  };
  const picture = () => {
    const drawing = source.drawing?.();
    return drawing ? captioned(drawing, traces().flatMap(originLines), readTheme()) : null;
  };
  const savePng = async () => {
    const shown = picture();
    if (!shown) return;
    const blob = await new Promise<Blob | null>((done) => canvasOf(shown, readTheme()).toBlob(done, "image/png"));
    if (blob) save(`${source.fileName()}.png`, new Uint8Array(await blob.arrayBuffer()));
  };
  const saveSvg = () => {
    const shown = picture();
    saveText("svg", shown && svgOf(shown, readTheme()));
  };

  const name = t("Table, copy and save");
  const more = el(
    "button",
    {
      class: "more-button",
      title: name,
      attrs: { type: "button", "aria-label": name, "aria-haspopup": "menu" },
      on: {
        click() {
          const { left, bottom } = more.getBoundingClientRect();
          openMenu(
            name,
            [
              { label: open ? t("Hide table") : t("Show table"), run: toggle },
              { label: t("Copy CSV"), run: copyCsv },
              { label: t("Save CSV"), run: () => saveText("csv", csv()) },
              { label: t("Save JSON"), run: saveJson },
              ...(source.drawing
                ? [
                    { label: t("Save PNG"), run: savePng },
                    { label: t("Save SVG"), run: saveSvg },
                  ]
                : []),
            ],
            [left, bottom],
          );
        },
      },
    },
    "⋯",
  );
  const toggle = () => {
    open = !open;
    draw();
  };
  const node = el("div", { class: "data" }, el("div", { class: "data-bar" }, more, status), holder);
  const draw = () => {
    node.dataset.open = String(open);
    const table = open ? source.table() : null;
    fill(holder, ...(table ? drawTable(table) : []));
  };
  draw();
  return { node, update: draw };
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
