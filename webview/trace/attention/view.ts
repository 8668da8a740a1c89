/** Attention: one head as a matrix or as lines, thumbnails of all heads, and how the selected weight was computed. */

import "./attention.css";
import { el } from "../../base/dom";
import { t } from "../../base/strings";
import { createHeatmap } from "../../charts/heatmap";
import { MAX_OVERLAID } from "../../charts/overlay";
import { setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import { type Inspection, matrixOf, type View, type ViewContext } from "../inspection";
import { tokenLabel } from "../tokens/layout";
import { createCellPanel } from "./cell";
import { linesChart, matrixChart, noteText, patternTable, readingOf } from "./charts";
import { createHeadGrid } from "./headGrid";
import { type AttentionKind, attentionKinds, type HeadId, headsNear } from "./layout";
import { createLines } from "./lines";
import { createPickers } from "./pickers";
import { createShadingControls } from "./shadingControls";
import {
  type Choices,
  INITIAL_CHOICES,
  offered,
  type ShownPattern,
  selectedCell,
  selectedHead,
  choose as withChoice,
} from "./state";

/** Milliseconds without a new selection before the cell's vectors and the neighboring heads are fetched. */
const CELL_DELAY = 120;

/** Milliseconds that the pointer rests on a thumbnail before its head is fetched. */
const POINTER_DELAY = 40;

/** Limit of the heads that are fetched ahead: a dozen patterns of 1,024 tokens. */
const PREFETCH_BYTES = 48 * 2 ** 20;

export function createAttentionView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Attention"));
  let inspection: Inspection | null = null;
  let kinds: readonly AttentionKind[] = [];
  let choices = INITIAL_CHOICES;
  let shown: ShownPattern | null = null;
  /** Heads overlaid with the selected one. */
  let overlaid: readonly HeadId[] = [];
  let cellTimer: ReturnType<typeof setTimeout> | undefined;
  let pointerTimer: ReturnType<typeof setTimeout> | undefined;

  const set = (change: Partial<Choices>) => {
    choices = withChoice(choices, change);
  };
  const pickers = createPickers({
    kind: (kind) => {
      set({ kind });
      overlaid = [];
      loadAll();
    },
    layer: (layer) => selection.set({ layer }),
    head: (head) => selection.set({ head }),
    form: (form) => {
      set({ form });
      load();
    },
    stage: (stage) => {
      set({ stage });
      load();
    },
    scale: (scale) => {
      set({ scale });
      explorer?.shading.set({ scale });
      updatePickers();
      draw();
    },
    perQuery: (perQuery) => {
      set({ perQuery });
      draw();
    },
  });

  const selectQuery = (query: number) =>
    selection.set(shown?.kind.id === "encoder" ? { sourceToken: query } : { token: query });
  const selectKey = (key: number) => {
    if (shown?.kind.id === "cross") selection.set({ sourceToken: key });
    set({ key });
    markCell();
  };
  const heatmap = createHeatmap((query, key) => {
    set({ key });
    selectQuery(query);
    selectKey(key);
  });
  const lines = createLines(({ side, index }) => (side === "query" ? selectQuery(index) : selectKey(index)));
  /** The user is likely to click a thumbnail that they point at, so its head is fetched before the click. */
  const prefetch = (head: HeadId | null) => {
    clearTimeout(pointerTimer);
    const pattern = shown;
    // An error is reported when the head is chosen.
    if (pattern && head)
      pointerTimer = setTimeout(() => void fetchHead(pattern, head).catch(() => undefined), POINTER_DELAY);
  };
  /** Overlays a head by color, or removes it again. */
  const toggle = (head: HeadId) => {
    const kind = currentKind();
    if (!kind || isSameHead(head, selectedHead(kind, selection.get()))) return;
    const others = overlaid.filter((each) => !isSameHead(each, head));
    if (others.length === overlaid.length && others.length + 1 >= MAX_OVERLAID) return;
    overlaid = others.length < overlaid.length ? others : [...others, head];
    set({ form: "matrix", stage: "pattern" });
    load();
  };
  const choose = (head: HeadId) => {
    const had = overlaid.length > 0;
    overlaid = [];
    selection.set(head);
    if (had) load();
  };
  const heads = createHeadGrid({ choose, toggle, point: prefetch }, save);
  const cell = createCellPanel(save);
  const problem = createProblem(() => load());
  const empty = el("p", { class: "small muted" }, t("This trace has no attention patterns."));
  const note = el("p", { class: "small muted axis-note" });
  const chartNote = el("p", { class: "small" });
  const reading = el("p", { class: "reading", attrs: { role: "status" } });
  const chart = () => (choices.form === "lines" ? lines : heatmap);
  const data = createDataBar(
    {
      fileName: () => (shown ? fileNameOf(shown) : "attention"),
      table: () => shown && patternTable(shown),
      of: () => shown?.inspection,
      drawing: () => chart().drawing(),
    },
    save,
  );
  const shading = explorer ? createShadingControls(explorer.shading) : null;
  const main = el("div", { class: "attention-main" }, heatmap.node, lines.node, chartNote, data.node, shading);
  const side = el("div", { class: "attention-side" }, reading, note, heads.node);
  const parts = el("div", { class: "attention-parts" }, main, side, cell.node);
  section.body.append(empty, pickers.node, problem.node, parts);

  const currentKind = () => kinds.find(({ id }) => id === choices.kind) ?? kinds[0];
  const isPointedAt = () => main.matches(":focus-within, :hover");

  /** Lines and scores are of one head. */
  const isOverlaid = () => overlaid.length > 0 && choices.form === "matrix" && choices.stage === "pattern";

  const updatePickers = () => {
    const kind = currentKind();
    if (!kind || !inspection) return;
    const { layer, head } = selectedHead(kind, selection.get());
    const hasScores = inspection.has(kind.valueName(layer, "scores"));
    const offer = offered(choices, { hasScores, isMasked: kind.masked(layer) !== null });
    choices = offer.choices;
    pickers.show({ ...offer, kinds, kind, layer, head, isOverlaid: isOverlaid() });
  };

  const loadHead = async () => {
    const kind = currentKind();
    if (!inspection || !kind) return;
    const from = inspection;
    const { layer, head } = selectedHead(kind, selection.get());
    section.summarize(t("layer {0}, head {1}", layer, head));
    heads.mark({ layer, head }, overlaid);
    updatePickers();
    const { stage } = choices;
    const name = tensorName(kind, layer, stage);
    setPending(main, "computing");
    if (shown?.inspection !== from) setPending(cell.node, "computing");
    try {
      const others = stage === "pattern" ? overlaid : [];
      const [{ rows, cols, values }, ...more] = await Promise.all([
        from.tensor(name, head).then(matrixOf),
        ...others.map((each) => from.tensor(tensorName(kind, each.layer, stage), each.head).then(matrixOf)),
      ]);
      const now = selectedHead(kind, selection.get());
      const isStale =
        inspection !== from ||
        currentKind() !== kind ||
        choices.stage !== stage ||
        (stage === "pattern" && others !== overlaid);
      if (isStale || now.layer !== layer || now.head !== head) return;
      problem.clear();
      setPending(main, "done");
      const [labels, keyLabels] = [kind.queries.map(tokenLabel), kind.keys.map(tokenLabel)];
      const masked = stage === "scores" ? null : kind.masked(layer);
      const over = others.map((each, i) => ({ ...each, values: more[i]?.values ?? values }));
      const size = { rows, cols, values };
      shown = { inspection: from, name, kind, stage, layer, head, labels, keyLabels, ...size, overlaid: over, masked };
      draw();
      data.update();
    } catch (error) {
      if (inspection !== from) return;
      shown = null;
      setPending(main, "failed");
      cell.show(null);
      problem.say(error);
    }
  };
  const load = whenSeen(section.body, () => void loadHead());

  const draw = () => {
    if (!shown) return;
    const isLines = choices.form === "lines";
    heatmap.node.hidden = isLines;
    lines.node.hidden = !isLines;
    note.textContent = noteText(shown, choices);
    if (isLines) {
      const drawn = linesChart(shown, choices);
      lines.show(drawn.data);
      chartNote.textContent = drawn.note;
    } else {
      const drawn = matrixChart(shown, choices.scale);
      heatmap.show(drawn.data);
      chartNote.textContent = drawn.note;
    }
    markCell();
  };

  const markCell = () => {
    if (!shown) return;
    const { query, key } = selectedCell(shown, selection.get(), choices.key);
    heatmap.mark(query, key);
    lines.mark(query, key);
    // A selection made elsewhere is scrolled into view, unless the user is pointing at the chart.
    if (!isPointedAt()) heatmap.reveal({ row: query, col: key });
    reading.textContent = readingOf(shown, query);
    clearTimeout(cellTimer);
    cellTimer = setTimeout(() => void loadCell(), CELL_DELAY);
  };
  const mark = whenSeen(section.body, markCell);

  /** Fetches the vectors of the selected cell, then the heads that are likely to be chosen next. */
  const loadCell = async () => {
    const pattern = shown;
    if (!pattern) return;
    const { inspection: from, kind, layer, head, keyLabels, labels } = pattern;
    const isCurrent = () => shown === pattern && inspection === from;
    if (!from.has(kind.valueName(layer, "q"))) return cell.show(null);
    try {
      const matrix = async (value: "q" | "k" | "v" | "pattern") =>
        matrixOf(await from.tensor(kind.valueName(layer, value), head));
      const [q, k, v] = await Promise.all([matrix("q"), matrix("k"), matrix("v")]);
      const weights = await matrix("pattern");
      if (!isCurrent()) return;
      const { query, key } = selectedCell(pattern, selection.get(), choices.key);
      cell.show({
        inspection: from,
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
        weight: weights.values[query * weights.cols + key] as number,
      });
      const count = Math.floor(PREFETCH_BYTES / pattern.values.byteLength);
      // One after the other, so that a new selection waits for at most one of them.
      for (const near of headsNear({ layer, head }, kind).slice(0, count)) {
        if (!isCurrent()) return;
        await fetchHead(pattern, near);
      }
    } catch (error) {
      if (!isCurrent()) return;
      cell.show(null);
      problem.say(error);
    }
  };

  const loadAll = () => {
    const kind = currentKind();
    if (!inspection || !kind) return;
    // The selected head is requested before the thumbnails.
    load();
    heads.show(inspection, kind);
  };

  selection.subscribe((now, before) => {
    // Another token starts at its strongest key, unless it was chosen here together with its key.
    if (now.token !== before.token && !isPointedAt()) set({ key: null });
    const isOtherHead = now.layer !== before.layer || now.head !== before.head;
    if (isOtherHead) overlaid = [];
    if (isOtherHead) load();
    else if (now.token !== before.token || now.sourceToken !== before.sourceToken) mark();
  });

  return {
    section,
    asksTensors: true,
    show(next) {
      if (next.trace.tokens.length !== inspection?.trace.tokens.length) set({ key: null });
      inspection = next;
      kinds = attentionKinds(next.trace);
      const kind = currentKind();
      overlaid = overlaid.filter(({ layer, head }) => kind && layer < kind.layers && head < kind.heads);
      for (const part of [pickers.node, parts]) part.hidden = kinds.length === 0;
      empty.hidden = kinds.length > 0;
      if (shading) shading.hidden = next.trace.source !== undefined;
      loadAll();
    },
  };
}

const isSameHead = (a: HeadId, b: HeadId) => a.layer === b.layer && a.head === b.head;

const tensorName = (kind: AttentionKind, layer: number, stage: Choices["stage"]): string =>
  kind.valueName(layer, stage === "pattern" ? "pattern" : "scores");

const fetchHead = ({ inspection, kind, stage }: ShownPattern, { layer, head }: HeadId) =>
  inspection.tensor(tensorName(kind, layer, stage), head);

function fileNameOf({ kind, layer, head, stage }: ShownPattern): string {
  const suffix = stage === "pattern" ? "" : `-${stage}`;
  return `${kind.id === "self" ? "" : `${kind.id}-`}attention-layer${layer}-head${head}${suffix}`;
}
