/** A weight at a glance: statistics, the mean of each tile, and a histogram. */

import type { WeightSummary } from "../../../src/protocol/traceApi";
import { el, setAttr } from "../../base/dom";
import { formatCount, formatShort, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection } from "../../trace/inspection";

/** Maximum rows and columns of the picture. */
const PICTURE = 64;

export function createWeightPicture(save: Save) {
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
      drawing: picture.drawing,
    },
    save,
  );
  const histogramData = createDataBar(
    {
      fileName: () => `${shown?.name ?? "weight"}-histogram`,
      table: () => shown && histogramTable(shown),
      of,
      drawing: histogram.drawing,
    },
    save,
  );
  const pictures = el(
    "div",
    { class: "weight-pictures" },
    el("h3", { class: "subheading" }, t("Mean of each tile")),
    picture.node,
    data.node,
    el("h3", { class: "subheading" }, t("Histogram of the weights")),
    histogram.node,
    histogramData.node,
  );
  const node = el("div", { class: "weight-summary" }, facts, problem.node, pictures);

  const load = async () => {
    const request = wanted;
    if (!request) return;
    const { inspection, name } = request;
    facts.textContent = t("computing…");
    setAttr(node, "aria-busy", "true");
    problem.clear();
    pictures.hidden = true;
    try {
      const summary = await inspection.ask("weightSummary", { name, size: PICTURE });
      if (wanted !== request) return;
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
      if (wanted !== request) return;
      facts.textContent = "";
      problem.say(error);
    }
    setAttr(node, "aria-busy", null);
  };

  return {
    node,
    /** Shows a weight by its name in the checkpoint. */
    show(inspection: Inspection, name: string): void {
      wanted = { inspection, name };
      void load();
    },
  };
}

/** The model and step of a weight, which belongs to no trace. */
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

/** The lower edge of each bin; that of the bin after the last is the upper edge of the last. */
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
    title: t("{0}, histogram", name),
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
    title: t("{0}, histogram", name),
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
