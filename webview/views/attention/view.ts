/** Attention of one head as a matrix, with every head of the model as a thumbnail to choose from. */

import { type Curve, sequentialScale } from "../../charts/colorScale";
import { createHeatmap } from "../../charts/heatmap";
import { el, fill, setAttr } from "../../dom";
import { formatPercent } from "../../format";
import { type Inspection, matrixOf, type View, type ViewContext } from "../../inspection";
import { createDataBar } from "../../parts/dataBar";
import { t } from "../../strings";
import { onThemeChange, readTheme } from "../../theme";
import { dropdown } from "../../toolkit";
import { tokenLabel } from "../tokens/layout";
import { type AttentionKind, attentionKinds, describeCell, type Masked, maxPool, strongestKeys } from "./layout";

/** Above this many tokens a thumbnail costs more to fetch than it says at its size. */
const MAX_THUMBNAIL_TOKENS = 512;
const MAX_THUMBNAILS = 192;
const THUMBNAIL_SIZE = 40;

const KINDS: { readonly [K in AttentionKind["id"]]: string } = {
  cross: "Translation to source",
  self: "Translation to itself",
  encoder: "Source to itself",
};

/** A pattern that is shown. */
interface ShownPattern {
  readonly title: string;
  readonly name: string;
  readonly kind: AttentionKind;
  readonly layer: number;
  readonly head: number;
  readonly labels: readonly string[];
  readonly keyLabels: readonly string[];
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

export function createAttentionView({ section: makeSection, selection, save }: ViewContext): View {
  const section = makeSection(t("Attention"));
  const kindPicker = dropdown(t("From and to"), (id) => {
    chosen = id;
    draw();
  });
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
  const heatmap = createHeatmap((row) => {
    if (shown) selection.set(shown.kind.id === "encoder" ? { sourceToken: row } : { token: row });
  });
  const problem = el("p", { class: "inline-problem", attrs: { role: "alert" } });
  const summary = el("p", { class: "small muted" });
  const thumbnails = createThumbnails((layer, head) => selection.set({ layer, head }));
  let inspection: Inspection | null = null;
  let kinds: readonly AttentionKind[] = [];
  let chosen = "";
  let shown: ShownPattern | null = null;

  const fileName = () => {
    if (!shown) return "attention";
    const { kind, layer, head } = shown;
    return `${kind.id === "self" ? "" : `${kind.id}-`}attention-layer${layer}-head${head}`;
  };
  const data = createDataBar({ fileName, table: () => shown && patternTable(shown), picture: heatmap.picture }, save);
  const kindPart = labelled(t("From and to"), kindPicker.node);
  kindPart.classList.add("wide");
  section.body.append(
    el(
      "div",
      { class: "pickers" },
      kindPart,
      labelled(t("Layer"), layerPicker.node),
      labelled(t("Head"), headPicker.node),
      labelled(t("Colours"), curvePicker.node),
    ),
    problem,
    el("p", { class: "small muted axis-note" }, t("Rows are queries, columns are keys.")),
    heatmap.node,
    summary,
    data.node,
    thumbnails.node,
  );

  const kindNow = () => kinds.find(({ id }) => id === chosen) ?? kinds[0];
  /** The layer and head that are selected, as far as this kind of attention has them. */
  const place = ({ layers, heads }: AttentionKind) => {
    const { layer, head } = selection.get();
    return { layer: Math.min(layer, layers - 1), head: Math.min(head, heads - 1) };
  };
  /** The row of the selected token. */
  const rowOf = ({ id, queries }: AttentionKind) => {
    const { token, sourceToken = 0 } = selection.get();
    return Math.min(id === "encoder" ? sourceToken : token, queries.length - 1);
  };

  const markRow = () => {
    if (!shown) return;
    const { labels, keyLabels, values, cols, kind } = shown;
    const row = rowOf(kind);
    heatmap.mark(row);
    const parts = strongestKeys(values, cols, row, 3, kind.isMasked).map(
      ({ key, weight }) => `“${keyLabels[key]}” ${formatPercent(weight)}`,
    );
    summary.textContent = t("“{0}” looks at {1}", labels[row] ?? "", parts.join(", "));
  };

  const load = async () => {
    const kind = kindNow();
    if (!inspection || !kind) return;
    const asked = inspection;
    const { layer, head } = place(kind);
    section.summarize(t("layer {0}, head {1}", layer, head));
    thumbnails.mark(layer, head);
    const name = kind.pattern(layer);
    try {
      const { rows, cols, values } = matrixOf(await asked.tensor(name, head));
      const now = place(kind);
      if (inspection !== asked || kindNow() !== kind || now.layer !== layer || now.head !== head) return;
      problem.textContent = "";
      const labels = kind.queries.map(tokenLabel);
      const keyLabels = kind.keys.map(tokenLabel);
      const what = kinds.length > 1 ? `, ${t(KINDS[kind.id])}` : "";
      const title = t("Attention of layer {0}, head {1}", layer, head) + what;
      shown = { title, name, kind, layer, head, labels, keyLabels, rows, cols, values };
      heatmap.show({
        title,
        rows,
        cols,
        values,
        scale: "sequential",
        curve,
        ...(kind.hasMask && { masked: kind.isMasked }),
        rowLabels: labels,
        colLabels: keyLabels,
        rowHeight: "square",
        describe: (query, key) =>
          `${describeCell(labels, query, key, values[query * cols + key] as number, keyLabels, kind.isMasked)}\n${name}[0, ${head}, ${query}, ${key}]`,
      });
      markRow();
      data.update();
    } catch (error) {
      if (inspection === asked) problem.textContent = error instanceof Error ? error.message : String(error);
    }
  };

  const updatePickers = () => {
    const kind = kindNow();
    if (!kind) return;
    const { layer, head } = place(kind);
    kindPart.hidden = kinds.length < 2;
    kindPicker.update(
      kinds.map(({ id }) => ({ value: id, label: t(KINDS[id]) })),
      kind.id,
    );
    layerPicker.update(numbered(kind.layers), String(layer));
    headPicker.update(numbered(kind.heads), String(head));
  };

  const draw = () => {
    const kind = kindNow();
    if (!inspection || !kind) return;
    updatePickers();
    thumbnails.show(inspection, kind);
    void load();
  };

  selection.subscribe((now, before) => {
    if (now.layer !== before.layer || now.head !== before.head) {
      updatePickers();
      void load();
    }
    if (now.token !== before.token || now.sourceToken !== before.sourceToken) markRow();
  });

  return {
    section,
    asksTensors: true,
    show(next) {
      inspection = next;
      kinds = attentionKinds(next.trace);
      section.node.hidden = kinds.length === 0;
      draw();
    },
  };
}

/** A control with its name above it, which screen readers have from the control itself. */
const labelled = (name: string, control: HTMLElement): HTMLElement =>
  el("div", { class: "picker" }, el("span", { class: "small muted", attrs: { "aria-hidden": "true" } }, name), control);

interface Thumbnails {
  readonly node: HTMLElement;
  /** Every head's pattern; pictures of another trace take the place of those that are there when they have come. */
  readonly show: (inspection: Inspection, kind: AttentionKind) => void;
  readonly mark: (layer: number, head: number) => void;
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => ({ value: String(i), label: String(i) }));

/** A button per head, layers down and heads across; a picture is fetched when its button comes into view. */
function createThumbnails(choose: (layer: number, head: number) => void): Thumbnails {
  const node = el("div", { class: "head-grid" });
  const buttons = new Map<string, HTMLButtonElement>();
  const draws = new Map<Element, () => void>();
  let observer: IntersectionObserver | null = null;
  let laidOut = "";
  onThemeChange(() => {
    for (const draw of draws.values()) draw();
  });

  const layOut = ({ id, layers, heads }: AttentionKind) => {
    const size = `${id} ${layers} ${heads}`;
    if (size === laidOut) return;
    laidOut = size;
    buttons.clear();
    draws.clear();
    const rows = Array.from({ length: layers }, (_, layer) => {
      const row = Array.from({ length: heads }, (_, head) => {
        const button = headButton(layer, head, () => choose(layer, head));
        buttons.set(`${layer}.${head}`, button);
        return button;
      });
      return el("div", { class: "head-row" }, el("span", { class: "head-row-label number" }, `L${layer}`), ...row);
    });
    fill(
      node,
      el("h3", { class: "subheading" }, t("All heads, the largest weight per pixel")),
      el("div", { class: "head-rows", attrs: { role: "group", "aria-label": t("All heads") } }, ...rows),
    );
  };

  return {
    node,
    show(inspection, kind) {
      observer?.disconnect();
      const { layers, heads, queries, keys, isMasked } = kind;
      if (layers * heads > MAX_THUMBNAILS || Math.max(queries.length, keys.length) > MAX_THUMBNAIL_TOKENS) {
        laidOut = "";
        buttons.clear();
        fill(node, el("p", { class: "small muted" }, t("Too large for an overview of all heads.")));
        return;
      }
      layOut(kind);
      const mine = new IntersectionObserver((entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          mine.unobserve(target);
          const [layer, head] = ((target as HTMLElement).dataset.head ?? "0.0").split(".").map(Number) as [
            number,
            number,
          ];
          const canvas = target.firstElementChild as HTMLCanvasElement;
          inspection
            .tensor(kind.pattern(layer), head)
            .then((tensor) => {
              if (observer !== mine) return;
              const { rows, cols, values } = matrixOf(tensor);
              const draw = () => drawThumbnail(canvas, values, [rows, cols], isMasked);
              draw();
              draws.set(target, draw);
            })
            // The large picture says what went wrong when this head is chosen.
            .catch(() => undefined);
        }
      });
      observer = mine;
      for (const button of buttons.values()) mine.observe(button);
    },
    mark(layer, head) {
      for (const [place, button] of buttons) setAttr(button, "aria-pressed", String(place === `${layer}.${head}`));
    },
  };
}

function headButton(layer: number, head: number, press: () => void): HTMLButtonElement {
  const name = t("Layer {0}, head {1}", layer, head);
  const button = el(
    "button",
    {
      class: "head-button",
      title: name,
      attrs: { type: "button", "aria-label": name, "aria-pressed": "false" },
      on: { click: press },
    },
    el("canvas", { class: "thumbnail" }),
  );
  button.dataset.head = `${layer}.${head}`;
  return button;
}

function drawThumbnail(
  canvas: HTMLCanvasElement,
  values: Float32Array,
  shape: readonly [number, number],
  masked: Masked,
): void {
  const scale = sequentialScale(1, readTheme(), "sqrt");
  const size = Math.round(THUMBNAIL_SIZE * (window.devicePixelRatio || 1));
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const picture = new ImageData(size, size);
  maxPool(values, shape, size, masked).forEach((weight, i) => {
    if (!Number.isNaN(weight)) picture.data.set([...scale.colorAt(weight), 255], 4 * i);
  });
  context.putImageData(picture, 0, 0);
}

const patternTable = ({ title, kind, labels, keyLabels, rows, cols, values }: ShownPattern) => ({
  title,
  columns: ["query \\ key", ...keyLabels.map((label, i) => `${i} ${label}`)],
  rows,
  row: (query: number) => [
    `${query} ${labels[query]}`,
    ...Array.from({ length: cols }, (_, key) =>
      kind.isMasked(query, key) ? "masked" : (values[query * cols + key] as number),
    ),
  ],
});
