/** Attention: one head as a matrix or as lines, every head in small to choose from, and how a chosen weight comes about. */

import { el } from "../../base/dom";
import { formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { checkbox, dropdown } from "../../base/toolkit";
import { LOG_RANGE } from "../../charts/colorScale";
import { createHeatmap } from "../../charts/heatmap";
import { tellAwaited } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import { type Inspection, matrixOf, sourceTokenOf, type View, type ViewContext } from "../inspection";
import { runText, valueText } from "../provenance";
import { tokenLabel } from "../tokens/layout";
import "./attention.css";
import { createCellPanel } from "./cell";
import { createHeadGrid } from "./headGrid";
import {
  type AttentionKind,
  attentionKinds,
  byRow,
  firstKeyMass,
  type HeadPlace,
  headsNear,
  KIND_NAMES,
  type Line,
  type Masked,
  pairText,
  rowMaxima,
  type Scale,
  type Stage,
  strongestKeys,
  strongestLines,
} from "./layout";
import { createLines, type LineEnd } from "./lines";

/** How long a choice rests before what belongs to it, and what may be chosen next, is asked for. */
const REST = 120;

/** How long the pointer rests on a head in small before that head is asked for. */
const POINTED = 40;

/** What is asked for ahead of a choice, at most: a dozen heads of 1,024 tokens. */
const AHEAD_BYTES = 48 * 2 ** 20;

const STAGES: { readonly [S in Stage]: () => string } = {
  scores: () => t("scores"),
  masked: () => t("masked scores"),
  pattern: () => t("softmax"),
};

const NOTES: { readonly [S in Exclude<Stage, "pattern">]: () => string } = {
  scores: () => t("Products of queries and keys, scaled, before the mask."),
  masked: () => t("Products of queries and keys, scaled; what is masked becomes 0 in the softmax."),
};

const SCALES: { readonly [S in Scale]: () => string } = {
  linear: () => t("linear"),
  log: () => t("logarithmic"),
  withoutFirst: () => t("no first token"),
  byRow: () => t("row by row"),
};

/** A matrix that is shown, as the run has it. */
interface Shown {
  readonly inspection: Inspection;
  readonly title: string;
  /** Of the tensor. */
  readonly name: string;
  readonly kind: AttentionKind;
  readonly stage: Stage;
  readonly layer: number;
  readonly head: number;
  readonly labels: readonly string[];
  readonly keyLabels: readonly string[];
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
  /** Which cells have no value; at the stage before the mask every cell has one. */
  readonly masked: Masked | null;
}

export function createAttentionView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Attention"));
  let inspection: Inspection | null = null;
  let kinds: readonly AttentionKind[] = [];
  let chosen = "";
  let form: "matrix" | "lines" = "matrix";
  let stage: Stage = "pattern";
  let scale: Scale = "linear";
  let perQuery = 4;
  /** The key whose cell is taken apart; null: the strongest of the selected query. */
  let chosenKey: number | null = null;
  let shown: Shown | null = null;
  let resting: ReturnType<typeof setTimeout> | undefined;
  let pointing: ReturnType<typeof setTimeout> | undefined;

  const kindPicker = dropdown(t("From and to"), (id) => {
    chosen = id;
    chosenKey = null;
    drawAll();
  });
  const layerPicker = dropdown(t("Layer"), (value) => selection.set({ layer: Number(value) }));
  const headPicker = dropdown(t("Head"), (value) => selection.set({ head: Number(value) }));
  const formPicker = dropdown(t("Picture"), (value) => {
    form = value === "lines" ? "lines" : "matrix";
    if (form === "lines") stage = "pattern";
    load();
  });
  const stagePicker = dropdown(t("Stage"), (value) => {
    stage = value as Stage;
    if (stage !== "pattern" && scale !== "byRow") scale = "linear";
    load();
  });
  const scalePicker = dropdown(t("Colors"), (value) => {
    scale = value as Scale;
    explorer?.shading.set({ scale });
    updatePickers();
    draw();
  });
  const countPicker = dropdown(t("Lines of each token"), (value) => {
    perQuery = Number(value);
    draw();
  });

  /** Whoever rests on a small picture may choose it: its head is on its way before the click. */
  const pointAt = (place: HeadPlace | null) => {
    clearTimeout(pointing);
    const of = shown;
    // What fails here, is told when it is asked for by a choice.
    if (of && place) pointing = setTimeout(() => void fetchAhead(of, place).catch(() => undefined), POINTED);
  };
  const selectQuery = (query: number) =>
    selection.set(shown?.kind.id === "encoder" ? { sourceToken: query } : { token: query });
  const selectKey = (key: number) => {
    if (shown?.kind.id === "cross") selection.set({ sourceToken: key });
    chosenKey = key;
    markCell();
  };
  const heatmap = createHeatmap((query, key) => {
    chosenKey = key;
    selectQuery(query);
    selectKey(key);
  });
  const lines = createLines(({ side, index }) => (side === "query" ? selectQuery(index) : selectKey(index)));
  const problem = createProblem(() => load());
  const empty = el("p", { class: "small muted" }, t("This run has no attention to show."));
  const note = el("p", { class: "small muted axis-note" });
  const summary = el("p", { class: "small muted" });
  const mass = el("p", { class: "small" });
  const heads = createHeadGrid((place) => selection.set(place), pointAt, save);
  const cell = createCellPanel(save);

  const fileName = () => {
    if (!shown) return "attention";
    const { kind, layer, head } = shown;
    const what = shown.stage === "pattern" ? "" : `-${shown.stage}`;
    return `${kind.id === "self" ? "" : `${kind.id}-`}attention-layer${layer}-head${head}${what}`;
  };
  const data = createDataBar(
    {
      fileName,
      table: () => shown && matrixTableOf(shown),
      of: () => shown?.inspection,
      picture: () => (form === "lines" ? lines.picture() : heatmap.picture()),
      svg: () => (form === "lines" ? lines.svg() : heatmap.svg()),
    },
    save,
  );
  const kindPart = labeled(t("From and to"), kindPicker.node);
  kindPart.classList.add("wide");
  const stagePart = labeled(t("Stage"), stagePicker.node);
  const countPart = labeled(t("Lines of each token"), countPicker.node);
  const shading = shadingControls(explorer);
  const main = el(
    "div",
    { class: "attention-main" },
    note,
    heatmap.node,
    lines.node,
    mass,
    summary,
    data.node,
    shading,
  );
  const parts = el("div", { class: "attention-parts" }, main, heads.node, cell.node);
  const pickers = el(
    "div",
    { class: "pickers" },
    kindPart,
    labeled(t("Layer"), layerPicker.node),
    labeled(t("Head"), headPicker.node),
    labeled(t("Picture"), formPicker.node),
    stagePart,
    labeled(t("Colors"), scalePicker.node),
    countPart,
  );
  section.body.append(empty, pickers, problem.node, parts);
  const kindNow = () => kinds.find(({ id }) => id === chosen) ?? kinds[0];
  /** The layer and head that are selected, as far as this kind of attention has them. */
  const place = ({ layers, heads: count }: AttentionKind) => {
    const { layer, head } = selection.get();
    return { layer: Math.min(layer, layers - 1), head: Math.min(head, count - 1) };
  };
  /** The row of the selected token. */
  const rowOf = ({ id, queries }: AttentionKind) => {
    const now = selection.get();
    if (id === "encoder" && inspection) return sourceTokenOf(now, inspection.trace);
    return Math.min(now.token, queries.length - 1);
  };
  /** The column whose cell is taken apart. */
  const columnOf = ({ inspection: { trace }, kind, layer, values, cols }: Shown) => {
    const key = kind.id === "cross" ? sourceTokenOf(selection.get(), trace) : chosenKey;
    if (key !== null && key < cols) return key;
    return strongestKeys(values, cols, rowOf(kind), 1, kind.masked(layer))[0]?.key ?? 0;
  };

  const loadSeen = async () => {
    const kind = kindNow();
    if (!inspection || !kind) return;
    const asked = inspection;
    const { layer, head } = place(kind);
    section.summarize(t("layer {0}, head {1}", layer, head));
    heads.mark({ layer, head });
    // What this kind of attention does not have, is not chosen any more after it.
    updatePickers();
    const of = stage;
    const name = kind.valueName(layer, of === "pattern" ? "pattern" : "scores");
    tellAwaited(main, "computed");
    if (shown?.inspection !== asked) tellAwaited(cell.node, "computed");
    try {
      const { rows, cols, values } = matrixOf(await asked.tensor(name, head));
      const now = place(kind);
      if (inspection !== asked || kindNow() !== kind || now.layer !== layer || now.head !== head || stage !== of)
        return;
      problem.clear();
      tellAwaited(main, "there");
      const what = [kinds.length > 1 && KIND_NAMES[kind.id](), of !== "pattern" && STAGES[of]()];
      const title = [t("Attention of layer {0}, head {1}", layer, head), ...what].filter((part) => part !== false);
      shown = {
        inspection: asked,
        title: title.join(", "),
        name,
        kind,
        stage: of,
        layer,
        head,
        labels: kind.queries.map(tokenLabel),
        keyLabels: kind.keys.map(tokenLabel),
        rows,
        cols,
        values,
        masked: of === "scores" ? null : kind.masked(layer),
      };
      draw();
      data.update();
    } catch (error) {
      if (inspection !== asked) return;
      shown = null;
      tellAwaited(main, "failed");
      cell.show(null);
      problem.say(error);
    }
  };

  const load = whenSeen(section.body, () => void loadSeen());

  const draw = () => {
    if (!shown) return;
    const { kind, layer } = shown;
    heatmap.node.hidden = form !== "matrix";
    lines.node.hidden = form !== "lines";
    const window = kind.id === "self" ? (shown.inspection.trace.model.config.windows[layer] ?? null) : null;
    note.textContent = [
      form === "lines"
        ? t("From each token on the left to those on the right that it looks at.")
        : t("Rows are queries, columns are keys."),
      shown.stage !== "pattern" && NOTES[shown.stage](),
      form === "matrix" && scale === "byRow" && t("The colors of each row are relative to its largest value."),
      window !== null && t("This layer sees the last {0} tokens only.", window),
      shown.inspection.base && t("Of the changed run."),
    ]
      .filter((part) => typeof part === "string")
      .join(" ");
    if (form === "matrix") drawMatrix(shown);
    else drawLines(shown);
    markCell();
  };

  const drawMatrix = (of: Shown) => {
    const { title, rows, cols, values, masked, labels, keyLabels } = of;
    const isPattern = of.stage === "pattern";
    const withoutFirst = scale === "withoutFirst";
    const maxima = scale === "byRow" || !isPattern || withoutFirst ? rowMaxima(values, [rows, cols], hiding(of)) : null;
    const hidden = hiding(of);
    heatmap.show({
      title: scale === "linear" ? title : `${title}, ${t("colors: {0}", SCALES[scale]())}`,
      rows,
      cols,
      values: scale === "byRow" && maxima ? byRow(values, cols, maxima) : values,
      scale: isPattern ? "sequential" : "diverging",
      ...(scale === "log" && { curve: "log" }),
      max: scale !== "byRow" && maxima ? maxima.reduce((max, x) => Math.max(max, x), 0) : 1,
      ...(hidden && { masked: hidden, maskedLabel: t("masked") }),
      rowLabels: labels,
      colLabels: keyLabels,
      rowHeight: "square",
      describe: (query, key) => describe(of, query, key, maxima),
    });
    mass.textContent = withoutFirst
      ? t(
          "“{0}”, the first token, is left out: {1} of the attention goes to it.",
          keyLabels[0] ?? "",
          formatPercent(firstKeyMass(values, [rows, cols], masked)),
        )
      : "";
  };

  /** The cells that are not colored: without a value, or left out. */
  const hiding = ({ masked, stage: of }: Shown): Masked | null => {
    if (scale !== "withoutFirst" || of !== "pattern") return masked;
    return (query, key) => key === 0 || (masked?.(query, key) ?? false);
  };

  const drawLines = (of: Shown) => {
    const { title, rows, cols, values, labels, keyLabels } = of;
    const { lines: strongest, leftOut } = strongestLines(values, [rows, cols], perQuery, hiding(of));
    const maxima = rowMaxima(values, [rows, cols], hiding(of));
    // A first query that sees nothing but itself would make all others faint.
    const largest = maxima.subarray(of.masked && rows > 1 ? 1 : 0).reduce((max, x) => Math.max(max, x), 0) || 1;
    const strength = ({ query, weight }: Line) => {
      if (scale === "byRow") return weight / (maxima[query] || 1);
      return scale === "log" ? Math.max(0, 1 - Math.log(weight) / Math.log(LOG_RANGE)) : Math.min(1, weight / largest);
    };
    lines.show({
      title: t("{0} as lines, the {1} strongest of each token", title, perQuery),
      queries: labels,
      keys: keyLabels,
      lines: strongest,
      strength,
      describe: (end) => describeEnd(of, end, strongest),
    });
    mass.textContent = t(
      "Only the {0} strongest lines of each token are drawn{1}: {2} of the attention is in lines that are not.",
      perQuery,
      scale === "withoutFirst" ? t(", and none to the first token") : "",
      formatPercent(leftOut),
    );
  };

  /** Marks the selected query and key, and says what the query looks at. */
  const markCell = () => {
    if (!shown) return;
    const { kind, labels, keyLabels, values, cols, masked } = shown;
    const [query, key] = [rowOf(kind), columnOf(shown)];
    heatmap.mark(query, key);
    lines.mark(query, key);
    // What was chosen elsewhere is brought into sight; who points at the picture keeps their place in it.
    if (!main.matches(":focus-within, :hover")) heatmap.reveal({ row: query, col: key });
    if (shown.stage === "pattern") {
      const looked = strongestKeys(values, cols, query, 3, masked).map(
        ({ key: at, weight }) => `“${keyLabels[at]}” ${formatPercent(weight)}`,
      );
      summary.textContent = t("“{0}” looks at {1}", labels[query] ?? "", looked.join(", "));
    } else summary.textContent = "";
    clearTimeout(resting);
    resting = setTimeout(() => void rested(), REST);
  };

  const fetchAhead = ({ inspection: asked, kind, stage: of }: Shown, { layer, head }: HeadPlace) =>
    asked.tensor(kind.valueName(layer, of === "pattern" ? "pattern" : "scores"), head);

  /** What belongs to the chosen cell, and then the heads that may be chosen next. */
  const rested = async () => {
    const of = shown;
    if (!of) return;
    const { inspection: asked, kind, layer, head, keyLabels, labels } = of;
    const isCurrent = () => shown === of && inspection === asked;
    if (!asked.has(kind.valueName(layer, "q"))) return cell.show(null);
    try {
      const matrix = async (value: "q" | "k" | "v") => matrixOf(await asked.tensor(kind.valueName(layer, value), head));
      const [q, k, v] = await Promise.all([matrix("q"), matrix("k"), matrix("v")]);
      const pattern = matrixOf(await asked.tensor(kind.valueName(layer, "pattern"), head));
      if (!isCurrent()) return;
      const [query, key] = [rowOf(kind), columnOf(of)];
      cell.show({
        inspection: asked,
        kind,
        layer,
        head,
        query,
        key,
        queryLabel: labels[query] ?? "",
        keyLabel: keyLabels[key] ?? "",
        q: q.values,
        k: k.values,
        v: v.values,
        K: q.cols,
        masked: kind.masked(layer),
        weight: pattern.values[query * pattern.cols + key] as number,
      });
      // One after the other, so that a choice that is made meanwhile waits for one of them at most.
      const places = headsNear({ layer, head }, kind).slice(0, Math.floor(AHEAD_BYTES / of.values.byteLength));
      for (const place of places) {
        if (!isCurrent()) return;
        await fetchAhead(of, place);
      }
    } catch (error) {
      if (!isCurrent()) return;
      cell.show(null);
      problem.say(error);
    }
  };

  const updatePickers = () => {
    const kind = kindNow();
    if (!kind || !inspection) return;
    const { layer, head } = place(kind);
    kindPart.hidden = kinds.length < 2;
    kindPicker.update(
      kinds.map(({ id }) => ({ value: id, label: KIND_NAMES[id]() })),
      kind.id,
    );
    layerPicker.update(numbered(kind.layers), String(layer));
    headPicker.update(numbered(kind.heads), String(head));
    formPicker.update(
      [
        { value: "matrix", label: t("matrix") },
        { value: "lines", label: t("lines") },
      ],
      form,
    );
    const hasScores = inspection.has(kind.valueName(layer, "scores"));
    if (!hasScores) stage = "pattern";
    stagePart.hidden = form === "lines" || !hasScores;
    const stages: readonly Stage[] = kind.masked(layer) ? ["scores", "masked", "pattern"] : ["scores", "pattern"];
    if (!stages.includes(stage)) stage = "pattern";
    stagePicker.update(
      stages.map((value) => ({ value, label: STAGES[value]() })),
      stage,
    );
    // Scores have signs, and no sum to leave a part out of.
    const scales: readonly Scale[] =
      stage === "pattern" ? ["linear", "log", "withoutFirst", "byRow"] : ["linear", "byRow"];
    scalePicker.update(
      scales.map((value) => ({ value, label: SCALES[value]() })),
      scale,
    );
    countPart.hidden = form !== "lines";
    countPicker.update(
      [1, 2, 4, 8, 16].map((count) => ({ value: String(count), label: String(count) })),
      String(perQuery),
    );
  };

  const mark = whenSeen(section.body, markCell);

  const drawAll = () => {
    const kind = kindNow();
    if (!inspection || !kind) return;
    // The head that is looked at is asked for before all others.
    load();
    heads.show(inspection, kind);
  };

  selection.subscribe((now, before) => {
    // Another token is looked at from its strongest key on, but for one that was chosen here with its key.
    if (now.token !== before.token && !main.matches(":focus-within, :hover")) chosenKey = null;
    if (now.layer !== before.layer || now.head !== before.head) load();
    else if (now.token !== before.token || now.sourceToken !== before.sourceToken) mark();
  });

  return {
    section,
    asksTensors: true,
    show(next) {
      if (next.trace.tokens.length !== inspection?.trace.tokens.length) chosenKey = null;
      inspection = next;
      kinds = attentionKinds(next.trace);
      for (const part of [pickers, parts]) part.hidden = kinds.length === 0;
      empty.hidden = kinds.length > 0;
      if (shading) shading.hidden = next.trace.source !== undefined;
      drawAll();
    },
  };
}

/** Whether the editor's text is shaded; the side panel cannot. */
function shadingControls(explorer: ViewContext["explorer"]): HTMLElement | null {
  if (!explorer) return null;
  const { shading } = explorer;
  const on = checkbox(
    t("Shade the text in the editor by what the selected token looks at"),
    shading.get().on,
    (checked) => shading.set({ on: checked }),
  );
  const by = dropdown(t("Shade by"), (value) => shading.set({ mean: value === "mean" }));
  const said = el(
    "span",
    { class: "small muted" },
    t("Relative to the largest weight; without the first token where the colors are."),
  );
  const draw = () => {
    const { on: isOn, mean } = shading.get();
    on.checked = isOn;
    by.node.hidden = said.hidden = !isOn;
    by.update(
      [
        { value: "head", label: t("the selected head") },
        { value: "mean", label: t("the mean over the layer's heads") },
      ],
      mean ? "mean" : "head",
    );
  };
  shading.subscribe(draw);
  draw();
  return el("div", { class: "attention-shading" }, on, by.node, said);
}

/** A control with its name above it, which screen readers have from the control itself. */
const labeled = (name: string, control: HTMLElement): HTMLElement =>
  el("div", { class: "picker" }, el("span", { class: "small muted", attrs: { "aria-hidden": "true" } }, name), control);

const numbered = (count: number) => Array.from({ length: count }, (_, i) => ({ value: String(i), label: String(i) }));

/** Reads as `“the” → “cat”`, then the tensor's value, or that the cell has none. */
function describe(of: Shown, query: number, key: number, maxima: Float32Array | null): string {
  const { inspection, name, head, values, cols, labels, keyLabels, masked } = of;
  const pair = pairText(labels[query] ?? query, keyLabels[key] ?? key);
  const value = values[query * cols + key] as number;
  if (masked?.(query, key))
    return `${pair}: ${t("masked")}\n${name}[0, ${head}, ${query}, ${key}]\n${runText(inspection)}`;
  const share = maxima?.[query]
    ? `, ${t("{0} of its row's largest", formatPercent(Math.abs(value) / maxima[query]))}`
    : "";
  return `${pair}${share}\n${valueText(inspection, name, [0, head, query, key], value)}`;
}

/** A token's lines, strongest first. */
function describeEnd(of: Shown, { side, index }: LineEnd, drawn: readonly Line[]): string {
  const { inspection, name, head, labels, keyLabels } = of;
  const own = drawn
    .filter((line) => (side === "query" ? line.query : line.key) === index)
    .sort((a, b) => b.weight - a.weight);
  const listed = own.slice(0, 4).map(({ query, key, weight }) => {
    const pair = pairText(labels[query] ?? query, keyLabels[key] ?? key);
    return `${pair} ${name}[0, ${head}, ${query}, ${key}] = ${formatValue(weight)}`;
  });
  const label = side === "query" ? labels[index] : keyLabels[index];
  const what =
    side === "query"
      ? t("“{0}” ({1}), {2} lines drawn from it", label ?? "", index, own.length)
      : t("“{0}” ({1}), {2} lines drawn to it", label ?? "", index, own.length);
  return [what, ...listed, runText(inspection)].join("\n");
}

const matrixTableOf = ({ title, name, head, labels, keyLabels, rows, cols, values, masked }: Shown) => ({
  title: `${title}: ${name}[0, ${head}, query, key]`,
  columns: ["query \\ key", ...keyLabels.map((label, i) => `${i} ${label}`)],
  rows,
  row: (query: number) => [
    `${query} ${labels[query]}`,
    ...Array.from({ length: cols }, (_, key) =>
      masked?.(query, key) ? "masked" : (values[query * cols + key] as number),
    ),
  ],
});
