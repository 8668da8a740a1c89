/** The model's modules as PyTorch prints them, with the shapes that this text gave, and each weight in small. */

import type { WeightSummary } from "../../../src/protocol/traceApi";
import { el, fill, setAttr } from "../../base/dom";
import { formatBytes, formatCount, formatPercent, formatShape, formatShort, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { textField } from "../../base/toolkit";
import { createHeatmap } from "../../charts/heatmap";
import { saveable } from "../../charts/pen";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection, View, ViewContext } from "../../trace/inspection";
import { traceText } from "../../trace/provenance";
import { type ArchitectureNode, architecture, firstOpen, type ShownRow, shownRows } from "./layout";
import { treeDrawing } from "./picture";

/** Rows and columns of a weight's picture at most. */
const PICTURE = 64;

export function createArchitectureView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Architecture"));
  const problem = createProblem(() => void load());
  const search = textField(t("Find a module, a weight or a value"), t("Find: attn, weight, resid…"));
  const headings = [t("Module"), t("Shape"), t("Type"), t("Parameters"), t("Share"), t("Bytes")];
  const body = el("tbody", {});
  const table = el(
    "table",
    { class: "architecture", attrs: { role: "treegrid", "aria-label": t("Modules of the model") } },
    el("thead", {}, el("tr", {}, ...headings.map((name) => el("th", { attrs: { scope: "col" } }, name)))),
    body,
  );
  let inspection: Inspection | null = null;
  let root: ArchitectureNode | null = null;
  let open = new Set<string>();
  let rows: readonly ShownRow[] = [];
  /** The row that has the focus, by its id. */
  let current = "";
  /** The weight whose numbers are shown under its row. */
  let opened: string | null = null;
  const weight = createWeightPicture(save);

  const data = createDataBar(
    {
      fileName: () => `architecture-${inspection?.trace.model.name ?? ""}`.replace(/[^\w.-]+/g, "-"),
      table: () => root && architectureTable(root),
      of: () => inspection,
      ...saveable(() => treeDrawing(t("Modules of {0}", inspection?.trace.model.name ?? ""), headings, rows)),
    },
    save,
  );
  section.body.append(
    el(
      "p",
      { class: "small muted" },
      t("As PyTorch prints it. Values are what this text gave: B batch, positions and widths as in their shapes."),
    ),
    search,
    problem.node,
    el("div", { class: "architecture-scroller" }, table),
    data.node,
  );

  const press = (node: ArchitectureNode) => {
    if (node.kind === "value") {
      // A view that is shown can scroll to what is chosen.
      explorer?.open(/\.attn\.(pattern|scores)$/.test(node.name) ? "attention" : "layers");
      selection.set({ ...(node.layer !== null && { layer: node.layer }), value: node.name });
    } else if (node.kind === "weight") {
      opened = opened === node.id ? null : node.id;
      draw();
      if (opened && inspection) weight.show(inspection, node);
    } else {
      if (node.layer !== null) selection.set({ layer: node.layer });
      toggle(node, !open.has(node.id));
    }
  };
  const toggle = (node: ArchitectureNode, isOpen: boolean) => {
    if (isOpen) open.add(node.id);
    else open.delete(node.id);
    draw();
  };
  const focusOn = (id: string) => {
    current = id;
    draw();
    body.querySelector<HTMLElement>('tr[tabindex="0"]')?.focus();
  };

  const draw = () => {
    if (!root) return;
    rows = shownRows(root, open, search.value);
    if (!rows.some(({ node }) => node.id === current)) current = rows[0]?.node.id ?? "";
    const hadFocus = body.contains(document.activeElement);
    const drawn = rows.flatMap((row) => {
      const line = drawRow(row, row.node.id === current, row.node.id === opened, inspection);
      line.addEventListener("click", () => {
        current = row.node.id;
        press(row.node);
      });
      if (row.node.id !== opened) return [line];
      const cell = el("td", { attrs: { colspan: 6, role: "gridcell" } }, weight.node);
      return [line, el("tr", { class: "weight-row", attrs: { role: "row", "aria-level": row.level } }, cell)];
    });
    fill(body, ...drawn);
    if (hadFocus) body.querySelector<HTMLElement>('tr[tabindex="0"]')?.focus();
    data.update();
  };

  search.addEventListener("input", draw);
  body.addEventListener("keydown", (event) => {
    // Keys of a weight's picture are its own.
    if (!(event.target instanceof HTMLTableRowElement)) return;
    const at = rows.findIndex(({ node }) => node.id === current);
    const row = rows[at];
    if (!row) return;
    const { node, level, isOpen } = row;
    const go = (to: ShownRow | undefined) => to && focusOn(to.node.id);
    const keys: Readonly<Record<string, () => void>> = {
      ArrowDown: () => go(rows[at + 1]),
      ArrowUp: () => go(rows[at - 1]),
      Home: () => go(rows[0]),
      End: () => go(rows.at(-1)),
      ArrowRight: () => (node.children.length > 0 && !isOpen ? toggle(node, true) : go(rows[at + 1])),
      ArrowLeft: () =>
        isOpen ? toggle(node, false) : go(rows.slice(0, at).findLast((before) => before.level < level)),
      Enter: () => press(node),
      " ": () => press(node),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  const load = async () => {
    const asked = inspection;
    if (!asked) return;
    try {
      const modules = await asked.modules();
      if (inspection !== asked) return;
      problem.clear();
      const first = root === null || root.label !== modules.kind;
      root = architecture(modules, asked.trace.values);
      if (first) open = firstOpen(root);
      section.summarize(t("{0} parameters, {1}", formatCount(modules.parameters), formatBytes(modules.bytes)));
      if (opened) opened = null;
      draw();
    } catch (error) {
      if (inspection === asked) problem.say(error);
    }
  };

  return {
    section,
    asksTensors: true,
    show(next) {
      inspection = next;
      void load();
    },
  };
}

function drawRow(
  { node, level, isOpen, position, siblings }: ShownRow,
  isCurrent: boolean,
  isOpened: boolean,
  inspection: Inspection | null,
): HTMLElement {
  const unfolds = node.children.length > 0 || node.kind === "weight";
  const expanded = node.kind === "weight" ? isOpened : isOpen;
  const name = el(
    "td",
    { class: `architecture-name ${node.kind}`, attrs: { role: "gridcell" } },
    el("span", { class: unfolds ? "chevron" : "no-chevron", attrs: { "aria-hidden": "true" } }),
    el("span", { class: "mono" }, node.label),
    node.kind === "weight" ? null : el("span", { class: "architecture-detail mono muted" }, node.detail),
  );
  name.style.paddingInlineStart = `${(level - 1) * 14}px`;
  const cell = (text: string, kind = "number", title = "") =>
    el("td", { class: kind, ...(title && { title }), attrs: { role: "gridcell" } }, text);
  const share = el("td", { class: "share", attrs: { role: "gridcell" } });
  if (node.parameters > 0)
    share.append(bar(node.share), el("span", { class: "share-text" }, formatPercent(node.share)));
  return el(
    "tr",
    {
      title: titleOf(node, inspection),
      attrs: {
        role: "row",
        tabindex: isCurrent ? 0 : -1,
        "aria-level": level,
        "aria-posinset": position,
        "aria-setsize": siblings,
        "aria-expanded": unfolds ? String(expanded) : null,
      },
    },
    name,
    cell(node.shape ? formatShape(node.shape) : ""),
    cell(node.dtype, "number muted"),
    cell(node.parameters > 0 ? formatCount(node.parameters) : ""),
    share,
    cell(node.bytes > 0 ? formatBytes(node.bytes) : "", "number", t("{0} bytes", formatCount(node.bytes))),
  );
}

function titleOf(node: ArchitectureNode, inspection: Inspection | null): string {
  if (node.kind === "module") return node.detail;
  const run = node.kind === "value" && inspection ? `\n${traceText(inspection)}` : "";
  const error = node.relativeError === null ? "" : `\n${t("quantizing error {0}", formatPercent(node.relativeError))}`;
  return `${node.name} ${node.shape ? formatShape(node.shape) : ""}\n${node.detail}${error}${run}`;
}

function bar(share: number): HTMLElement {
  const inner = el("span", { class: "share-fill" });
  inner.style.width = `${100 * share}%`;
  return el("span", { class: "share-track", attrs: { "aria-hidden": "true" } }, inner);
}

/** A weight in small: the mean of each of its tiles, its histogram, and what its numbers are like. */
function createWeightPicture(save: ViewContext["save"]) {
  const facts = el("p", { class: "small" });
  const problem = createProblem(() => void load());
  const picture = createHeatmap(() => undefined);
  const histogram = createHeatmap(() => undefined);
  let shown: WeightSummary | null = null;
  let wanted: { readonly inspection: Inspection; readonly name: string } | null = null;
  const of = () => wanted?.inspection;
  const data = createDataBar(
    {
      fileName: () => shown?.name ?? "weight",
      table: () => shown && tileTable(shown),
      of,
      picture: picture.picture,
      svg: picture.svg,
    },
    save,
  );
  const histogramData = createDataBar(
    {
      fileName: () => `${shown?.name ?? "weight"}-histogram`,
      table: () => shown && histogramTable(shown),
      of,
      picture: histogram.picture,
      svg: histogram.svg,
    },
    save,
  );
  const pictures = el(
    "div",
    { class: "weight-pictures" },
    el("h3", { class: "subheading" }, t("Mean of each tile")),
    picture.node,
    data.node,
    el("h3", { class: "subheading" }, t("Histogram: weights by value")),
    histogram.node,
    histogramData.node,
  );
  const node = el("div", { class: "weight-summary" }, facts, problem.node, pictures);

  const load = async () => {
    const asked = wanted;
    if (!asked) return;
    const { inspection, name } = asked;
    facts.textContent = t("computing…");
    setAttr(node, "aria-busy", "true");
    problem.clear();
    pictures.hidden = true;
    try {
      const summary = await inspection.ask("weightSummary", { name, size: PICTURE });
      if (wanted !== asked) return;
      shown = summary;
      pictures.hidden = false;
      const { min, max, mean, std } = summary;
      facts.textContent = t(
        "min {0}, max {1}, mean {2}, standard deviation {3}",
        ...[min, max, mean, std].map(formatValue),
      );
      drawTiles(picture, summary, inspection);
      drawHistogram(histogram, summary, inspection);
      data.update();
      histogramData.update();
    } catch (error) {
      if (wanted !== asked) return;
      facts.textContent = "";
      problem.say(error);
    }
    setAttr(node, "aria-busy", null);
  };

  return {
    node,
    show(inspection: Inspection, { name }: ArchitectureNode): void {
      wanted = { inspection, name };
      void load();
    },
  };
}

/** The weight's model and step: it is of no run. */
const modelText = ({ trace: { model } }: Inspection): string =>
  model.step > 0 ? `${model.name}, ${t("step {0}", formatCount(model.step))}` : model.name;

function drawTiles(
  picture: ReturnType<typeof createHeatmap>,
  { name, shape, picture: { rows, cols, values } }: WeightSummary,
  inspection: Inspection,
): void {
  const [height, width] = shape.length > 1 ? [shape.at(-2) as number, shape.at(-1) as number] : [1, shape[0] ?? 1];
  const [tall, wide] = [Math.ceil(height / rows), Math.ceil(width / cols)];
  const range = (i: number, size: number, end: number) =>
    size === 1 ? String(i) : `${i * size}–${Math.min(end, (i + 1) * size) - 1}`;
  picture.show({
    title: t("{0}, mean of each tile", name),
    rows,
    cols,
    values,
    scale: "diverging",
    rowLabels: Array.from({ length: rows }, (_, i) => String(i * tall)),
    colLabels: "numbers",
    rowHeight: rows === 1 ? 18 : Math.max(3, Math.min(8, Math.floor(256 / rows))),
    describe: (row, col) => {
      const index =
        shape.length > 1 ? `${range(row, tall, height)}, ${range(col, wide, width)}` : range(col, wide, width);
      const mean = tall * wide === 1 ? "" : `${t("mean of")} `;
      return `${mean}${name}[${index}] = ${formatValue(values[row * cols + col] as number)}\n${modelText(inspection)}`;
    },
  });
}

/** Where each bin of the histogram begins, and the last one ends. */
const edgesOf =
  ({ min, max, histogram }: WeightSummary) =>
  (bin: number) =>
    min + ((max - min) * bin) / histogram.length;

function drawHistogram(
  picture: ReturnType<typeof createHeatmap>,
  summary: WeightSummary,
  inspection: Inspection,
): void {
  const { name, histogram } = summary;
  const bins = histogram.length;
  const edge = edgesOf(summary);
  picture.show({
    title: t("{0}, weights by value", name),
    rows: 1,
    cols: bins,
    values: Float32Array.from(histogram),
    scale: "sequential",
    curve: "sqrt",
    rowLabels: [],
    colLabels: Array.from({ length: bins }, (_, i) => (i % 8 === 0 ? formatShort(edge(i)) : "")),
    rowHeight: 24,
    describe: (_, bin) =>
      `${name}: ${t("{0} weights from {1} to {2}", formatCount(histogram[bin] as number), formatValue(edge(bin)), formatValue(edge(bin + 1)))}\n${modelText(inspection)}`,
  });
}

const histogramTable = (summary: WeightSummary) => {
  const { name, histogram } = summary;
  const edge = edgesOf(summary);
  return {
    title: t("{0}, weights by value", name),
    columns: ["from", "to", "weights"],
    rows: histogram.length,
    row: (i: number) => [edge(i), edge(i + 1), histogram[i] as number],
  };
};

const tileTable = ({ name, picture: { rows, cols, values } }: WeightSummary) => ({
  title: t("{0}, mean of each tile", name),
  columns: ["tile", ...Array.from({ length: cols }, (_, i) => String(i))],
  rows,
  row: (row: number) => [row, ...values.subarray(row * cols, (row + 1) * cols)],
});

const flat = (node: ArchitectureNode): ArchitectureNode[] => [node, ...node.children.flatMap(flat)];

function architectureTable(root: ArchitectureNode) {
  const nodes = flat(root);
  return {
    title: t("Modules of the model"),
    columns: ["kind", "name", "label", "detail", "shape", "dtype", "parameters", "share", "bytes"],
    rows: nodes.length,
    row: (i: number) => {
      const { kind, name, label, detail, shape, dtype, parameters, share, bytes } = nodes[i] as ArchitectureNode;
      return [kind, name, label, detail, shape ? formatShape(shape) : "", dtype, parameters, share, bytes];
    },
  };
}
