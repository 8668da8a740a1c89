/** Attention of one head as a matrix, with every head of the model as a thumbnail to choose from. */

import { type Curve, sequentialScale } from "../../charts/colorScale";
import { createHeatmap } from "../../charts/heatmap";
import { el, fill, setAttr } from "../../dom";
import { formatPercent } from "../../format";
import { type Inspection, matrixOf, type Selection, type View, type ViewContext } from "../../inspection";
import { createDataBar } from "../../parts/dataBar";
import { t } from "../../strings";
import { onThemeChange, readTheme } from "../../theme";
import { dropdown } from "../../toolkit";
import { tokenLabel } from "../tokens/layout";
import { attentionSize, describeCell, isMasked, maxPool, patternName, strongestKeys } from "./layout";

/** Above this many tokens a thumbnail costs more to fetch than it says at its size. */
const MAX_THUMBNAIL_TOKENS = 512;
const MAX_THUMBNAILS = 192;
const THUMBNAIL_SIZE = 40;

export function createAttentionView({ section: makeSection, selection, save }: ViewContext): View {
  const section = makeSection(t("Attention"));
  const layerPicker = dropdown(t("Layer"), (value) => selection.set({ layer: Number(value) }));
  const headPicker = dropdown(t("Head"), (value) => selection.set({ head: Number(value) }));
  const curvePicker = dropdown(t("Colours"), (value) => {
    curve = value === "linear" ? "linear" : "sqrt";
    void load();
  });
  let curve: Curve = "linear";
  curvePicker.update(
    [
      { value: "linear", label: t("linear") },
      { value: "sqrt", label: t("square root") },
    ],
    curve,
  );
  const heatmap = createHeatmap((token) => selection.set({ token }));
  const problem = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const summary = el("p", { class: "small muted" });
  const thumbnails = el("div", { class: "head-grid" });
  let inspection: Inspection | null = null;
  let shown: { labels: string[]; values: Float32Array; T: number; layer: number; head: number } | null = null;
  let overview = noThumbnails;
  onThemeChange(() => overview.redraw());

  const fileName = () => (shown ? `attention-layer${shown.layer}-head${shown.head}` : "attention");
  const data = createDataBar({ fileName, table: () => shown && patternTable(shown), picture: heatmap.picture }, save);
  section.body.append(
    el(
      "div",
      { class: "pickers" },
      labelled(t("Layer"), layerPicker.node),
      labelled(t("Head"), headPicker.node),
      labelled(t("Colours"), curvePicker.node),
    ),
    problem,
    el("p", { class: "small muted axis-note" }, t("Rows are queries, columns are keys.")),
    heatmap.node,
    summary,
    data.node,
    thumbnails,
  );

  const summarize = () => {
    if (!shown) return;
    const { token } = selection.get();
    if (token >= shown.T) return;
    const parts = strongestKeys(shown.values, shown.T, token, 3).map(
      ({ key, weight }) => `“${shown?.labels[key]}” ${formatPercent(weight)}`,
    );
    summary.textContent = t("“{0}” looks at {1}", shown.labels[token] ?? "", parts.join(", "));
  };

  const load = async () => {
    if (!inspection) return;
    const asked = inspection;
    const { layer, head } = selection.get();
    section.summarize(t("layer {0}, head {1}", layer, head));
    for (const button of overview.buttons)
      setAttr(button, "aria-pressed", String(button.dataset.head === `${layer}.${head}`));
    try {
      const { rows, values } = matrixOf(await asked.tensor(patternName(layer), head));
      const now = selection.get();
      if (inspection !== asked || now.layer !== layer || now.head !== head) return;
      problem.textContent = "";
      const labels = asked.trace.tokens.map(tokenLabel);
      shown = { labels, values, T: rows, layer, head };
      heatmap.show({
        title: t("Attention of layer {0}, head {1}", layer, head),
        rows,
        cols: rows,
        values,
        scale: "sequential",
        curve,
        masked: isMasked,
        rowLabels: labels,
        colLabels: labels,
        rowHeight: "square",
        describe: (query, key) =>
          `${describeCell(labels, query, key, values[query * rows + key] as number)}\n${patternName(layer)}[0, ${head}, ${query}, ${key}]`,
      });
      heatmap.mark(now.token);
      summarize();
      data.update();
    } catch (error) {
      if (inspection === asked) problem.textContent = error instanceof Error ? error.message : String(error);
    }
  };

  selection.subscribe((now, before) => {
    if (now.layer !== before.layer || now.head !== before.head) {
      updatePickers(now);
      void load();
    }
    if (now.token !== before.token) {
      heatmap.mark(now.token);
      summarize();
    }
  });

  const updatePickers = ({ layer, head }: Selection) => {
    if (!inspection) return;
    const { layers, heads } = attentionSize(inspection.trace);
    layerPicker.update(numbered(layers), String(layer));
    headPicker.update(numbered(heads), String(head));
  };

  return {
    section,
    asksTensors: true,
    show(next) {
      inspection = next;
      const size = attentionSize(next.trace);
      section.node.hidden = size.layers === 0;
      if (size.layers === 0) return;
      updatePickers(selection.get());
      overview.stop();
      overview = drawThumbnails(thumbnails, next, size, (layer, head) => selection.set({ layer, head }));
      void load();
    },
  };
}

/** A control with its name above it, which screen readers have from the control itself. */
const labelled = (name: string, control: HTMLElement): HTMLElement =>
  el("div", { class: "picker" }, el("span", { class: "small muted", attrs: { "aria-hidden": "true" } }, name), control);

interface Thumbnails {
  readonly buttons: readonly HTMLElement[];
  readonly redraw: () => void;
  /** Lets go of the trace. */
  readonly stop: () => void;
}

const noThumbnails: Thumbnails = { buttons: [], redraw: () => undefined, stop: () => undefined };

const numbered = (count: number) => Array.from({ length: count }, (_, i) => ({ value: String(i), label: String(i) }));

/** A button per head, layers down and heads across; a picture is fetched when its button comes into view. */
function drawThumbnails(
  parent: HTMLElement,
  inspection: Inspection,
  { layers, heads }: { layers: number; heads: number },
  choose: (layer: number, head: number) => void,
): Thumbnails {
  const T = inspection.trace.tokens.length;
  if (layers * heads > MAX_THUMBNAILS || T > MAX_THUMBNAIL_TOKENS) {
    fill(parent, el("p", { class: "small muted" }, t("Too large for an overview of all heads.")));
    return noThumbnails;
  }
  const buttons: HTMLElement[] = [];
  const drawn: (() => void)[] = [];
  const rows = Array.from({ length: layers }, (_, layer) => {
    const row = Array.from({ length: heads }, (_, head) => {
      const canvas = el("canvas", { class: "thumbnail" });
      const button = el(
        "button",
        {
          class: "head-button",
          title: t("Layer {0}, head {1}", layer, head),
          attrs: { type: "button", "aria-label": t("Layer {0}, head {1}", layer, head), "aria-pressed": "false" },
          on: { click: () => choose(layer, head) },
        },
        canvas,
      );
      button.dataset.head = `${layer}.${head}`;
      buttons.push(button);
      return button;
    });
    return el("div", { class: "head-row" }, el("span", { class: "head-row-label number" }, `L${layer}`), ...row);
  });
  fill(
    parent,
    el("h3", { class: "subheading" }, t("All heads, the largest weight per pixel")),
    el("div", { class: "head-rows", attrs: { role: "group", "aria-label": t("All heads") } }, ...rows),
  );

  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      const [layer, head] = ((target as HTMLElement).dataset.head ?? "0.0").split(".").map(Number) as [number, number];
      const canvas = target.firstElementChild as HTMLCanvasElement;
      inspection
        .tensor(patternName(layer), head)
        .then((tensor) => {
          const draw = () => drawThumbnail(canvas, matrixOf(tensor).values, T);
          draw();
          drawn.push(draw);
        })
        // The large picture says what went wrong when this head is chosen.
        .catch(() => undefined);
    }
  });
  for (const button of buttons) observer.observe(button);
  const redraw = () => {
    for (const draw of drawn) draw();
  };
  return { buttons, redraw, stop: () => observer.disconnect() };
}

function drawThumbnail(canvas: HTMLCanvasElement, values: Float32Array, T: number): void {
  const scale = sequentialScale(1, readTheme(), "sqrt");
  const size = Math.round(THUMBNAIL_SIZE * (window.devicePixelRatio || 1));
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const picture = new ImageData(size, size);
  maxPool(values, T, size).forEach((weight, i) => {
    if (!Number.isNaN(weight)) picture.data.set([...scale.colorAt(weight), 255], 4 * i);
  });
  context.putImageData(picture, 0, 0);
}

const patternTable = ({
  labels,
  values,
  T,
  layer,
  head,
}: {
  labels: string[];
  values: Float32Array;
  T: number;
  layer: number;
  head: number;
}) => ({
  title: t("Attention of layer {0}, head {1}", layer, head),
  columns: ["query \\ key", ...labels.map((label, i) => `${i} ${label}`)],
  rows: T,
  row: (query: number) => [
    `${query} ${labels[query]}`,
    ...Array.from({ length: T }, (_, key) => (isMasked(query, key) ? "masked" : (values[query * T + key] as number))),
  ],
});
