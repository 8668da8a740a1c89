/** Thumbnails of all heads of a trace to choose from: a button per head, with its pattern and its score. */

import type { AttentionGrid, HeadScore } from "../../../src/protocol/traceApi";
import { el, fill, setAttr } from "../../base/dom";
import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { onThemeChange, readTheme } from "../../base/theme";
import { checkbox, dropdown } from "../../base/toolkit";
import { type ColorScale, sequentialScale } from "../../charts/colorScale";
import { setPending } from "../../parts/busy";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection } from "../inspection";
import { traceText } from "../provenance";
import { headsDrawing } from "./headPicture";
import { availableScores, barShare, SCORES, scoreTable } from "./headScores";
import { type AttentionKind, type HeadId, headOrder, moveHead, scoreText } from "./layout";

/** Pixels along a side of a thumbnail. */
const SIZE = 40;

/** With more heads per layer than this, thumbnails are smaller. */
const MANY = 8;

// A function, because translations are not yet loaded when this module is.
const gridTitle = () => t("All heads (max-pooled)");

export interface HeadGrid {
  readonly node: HTMLElement;
  /** Fetches another trace's heads; the present thumbnails stay, grayed out, until the new ones are there. */
  readonly show: (inspection: Inspection, kind: AttentionKind) => void;
  /** Marks the chosen head, and those that are overlaid with it in the colors of the series. */
  readonly mark: (head: HeadId, overlaid: readonly HeadId[]) => void;
}

interface HeadActions {
  /** Called for a head that is clicked or moved to. */
  readonly choose: (head: HeadId) => void;
  /** Called for a head that is clicked, or chosen with Space or Enter, with Ctrl or Shift. */
  readonly toggle: (head: HeadId) => void;
  /** Called for the head under the pointer, or null. */
  readonly point: (head: HeadId | null) => void;
}

export function createHeadGrid(actions: HeadActions, save: Save): HeadGrid {
  let score: HeadScore | "" = "";
  let sorted = false;
  let requested: { readonly inspection: Inspection; readonly kind: AttentionKind } | null = null;
  /** The thumbnails' patterns and scores, and their trace. */
  let grid: (AttentionGrid & { readonly of: Inspection }) | null = null;
  let marked: HeadId = { layer: 0, head: 0 };
  let overlaid: readonly HeadId[] = [];
  /** In the order of the page. */
  let thumbnails: readonly Thumbnail[] = [];
  let arrangement = "";

  const scores = dropdown(t("Head score"), (value) => {
    score = value as HeadScore | "";
    draw();
  });
  const sort = checkbox(t("Sort by score"), false, (checked) => {
    sorted = checked;
    draw();
  });
  const meaning = el("p", { class: "small muted head-score-means" });
  const problem = createProblem(() => void load());
  const rows = el("div", { class: "head-rows", attrs: { role: "group", "aria-label": t("All heads") } });
  const data = createDataBar(
    {
      fileName: () => "attention-heads",
      table: () =>
        grid &&
        scoreTable(
          grid,
          thumbnails.map(({ id }) => id),
        ),
      of: () => grid?.of,
      drawing: () => grid && drawingOf(grid),
    },
    save,
  );
  const node = el(
    "div",
    { class: "head-grid" },
    el("h3", { class: "subheading" }, gridTitle()),
    el("div", { class: "head-grid-controls" }, scores.node, sort),
    meaning,
    el(
      "p",
      { class: "small muted" },
      t("Ctrl+click or Ctrl+Space overlays a head by color, Ctrl+arrow keys move to it."),
    ),
    problem.node,
    rows,
    data.node,
  );
  onThemeChange(() => draw());

  rows.addEventListener("keydown", (event) => {
    const from = thumbnails.findIndex(({ button }) => button === document.activeElement);
    if (from < 0) return;
    const isToggle = (event.ctrlKey || event.metaKey || event.shiftKey) && [" ", "Enter"].includes(event.key);
    if (isToggle) {
      event.preventDefault();
      return actions.toggle((thumbnails[from] as Thumbnail).id);
    }
    const top = thumbnails[0]?.node.offsetTop;
    const inFirstRow = thumbnails.filter((each) => each.node.offsetTop === top).length;
    const to = moveHead(event.key, from, thumbnails.length, sorted ? inFirstRow : (requested?.kind.heads ?? 1));
    const next = to === null ? undefined : thumbnails[to];
    if (!next) return;
    event.preventDefault();
    // Ctrl moves to a head that is to be overlaid.
    if (!event.ctrlKey && !event.metaKey) actions.choose(next.id);
    next.button.focus();
  });

  const valuesOf = (shown: AttentionGrid) => (score === "" ? null : shown.scores[score]);

  const drawingOf = (shown: AttentionGrid) => {
    const values = valuesOf(shown);
    const share = barShare(score, values);
    const tiles = thumbnails.map(({ id, canvas }) => {
      const value = values?.[id.layer * shown.heads + id.head];
      return { id, image: canvas, score: value === undefined ? null : { value, share: share(value) } };
    });
    const title = score === "" ? gridTitle() : `${gridTitle()}: ${SCORES[score].label()}`;
    return headsDrawing(title, tiles, sorted && score !== "" ? null : shown.heads);
  };

  const load = async () => {
    const request = requested;
    if (!request) return;
    const { inspection, kind } = request;
    problem.clear();
    setPending(rows, "computing");
    try {
      const answer = await inspection.ask("attentionGrid", { size: SIZE, kind: kind.id });
      if (requested !== request) return;
      grid = { ...answer, of: inspection };
      setPending(rows, "done");
      draw();
    } catch (error) {
      if (requested !== request) return;
      showEmpty();
      problem.say(error);
    }
  };

  /** Shows the heads, which can be selected before their patterns arrive. */
  const showEmpty = () => {
    grid = null;
    arrangement = "";
    setPending(rows, "done");
    if (requested) arrange(requested.kind, null);
    drawControls();
  };

  const drawControls = () => {
    const available = availableScores(grid);
    if (grid && score !== "" && !available.includes(score)) score = "";
    scores.node.hidden = available.length === 0;
    scores.update(
      [{ value: "", label: t("no score") }, ...available.map((value) => ({ value, label: SCORES[value].label() }))],
      score,
    );
    sort.hidden = available.length === 0 || score === "";
    meaning.textContent = sort.hidden || score === "" ? "" : SCORES[score].meaning();
  };

  const draw = () => {
    if (!requested || !grid) return;
    const { inspection, kind } = requested;
    drawControls();
    const values = valuesOf(grid);
    arrange(kind, sorted ? values : null);
    const share = barShare(score, values);
    const colors = sequentialScale(1, readTheme(), "sqrt");
    for (const thumbnail of thumbnails) {
      const { id, button } = thumbnail;
      drawPattern(thumbnail.canvas, grid, id.layer * kind.heads + id.head, colors);
      const value = values?.[id.layer * kind.heads + id.head];
      thumbnail.showScore(value === undefined ? null : { text: scoreText(value), share: share(value) });
      const name = headName(id);
      button.title =
        value === undefined || score === ""
          ? name
          : `${name}\n${SCORES[score].label()}: ${formatValue(value)}\n${traceText(inspection)}`;
    }
    mark(marked, overlaid);
    data.update();
  };

  /** Creates the thumbnails: a row per layer, or in the order of a score. */
  const arrange = ({ id, layers, heads }: AttentionKind, by: Float32Array | null) => {
    const key = `${id} ${layers} ${heads} ${by ? [...by].join() : ""}`;
    if (key === arrangement) return;
    arrangement = key;
    const hadFocus = rows.contains(document.activeElement);
    thumbnails = headOrder(layers, heads, by).map((head) => createThumbnail(head, by !== null, actions));
    rows.classList.toggle("sorted", by !== null);
    rows.classList.toggle("many", heads > MANY);
    const nodes = thumbnails.map((thumbnail) => thumbnail.node);
    const row = (layer: number) => {
      const label = el("span", { class: "head-row-label number" }, `L${layer}`);
      return el("div", { class: "head-row" }, label, ...nodes.slice(layer * heads, (layer + 1) * heads));
    };
    fill(rows, ...(by ? nodes : Array.from({ length: layers }, (_, layer) => row(layer))));
    mark(marked, overlaid);
    if (hadFocus) thumbnails.find(({ button }) => button.tabIndex === 0)?.button.focus();
  };

  const mark = (head: HeadId, others: readonly HeadId[]) => {
    marked = head;
    overlaid = others;
    const shown = [head, ...others];
    for (const { id, button } of thumbnails) {
      const isMarked = id.layer === head.layer && id.head === head.head;
      const at = shown.findIndex((each) => id.layer === each.layer && id.head === each.head);
      setAttr(button, "aria-pressed", String(at >= 0));
      button.style.outline = at >= 0 && others.length > 0 ? `2px solid var(--lab-series-${at + 1})` : "";
      button.tabIndex = isMarked ? 0 : -1;
    }
  };

  return {
    node,
    show(inspection, kind) {
      const before = requested?.kind;
      const isSame = before?.id === kind.id && before.heads === kind.heads && before.layers === kind.layers;
      if (before && !isSame) grid = null;
      requested = { inspection, kind };
      if (!grid) showEmpty();
      void load();
    },
    mark,
  };
}

/** Paints the tiles of a head; a tile without any weight, masked or exactly 0, stays transparent. */
function drawPattern(
  canvas: HTMLCanvasElement,
  { rows, cols, tiles }: AttentionGrid,
  head: number,
  colors: ColorScale,
): void {
  canvas.width = cols;
  canvas.height = rows;
  const pixels = new ImageData(cols, rows);
  tiles.subarray(head * cols * rows, (head + 1) * cols * rows).forEach((weight, i) => {
    if (weight > 0) pixels.data.set([...colors.colorAt(weight), 255], 4 * i);
  });
  canvas.getContext("2d")?.putImageData(pixels, 0, 0);
}

const headName = ({ layer, head }: HeadId): string => t("Layer {0}, head {1}", layer, head);

interface Thumbnail {
  readonly id: HeadId;
  readonly button: HTMLButtonElement;
  readonly canvas: HTMLCanvasElement;
  /** The button with its name and score. */
  readonly node: HTMLElement;
  readonly showScore: (score: { readonly text: string; readonly share: number } | null) => void;
}

function createThumbnail(id: HeadId, isNamed: boolean, { choose, toggle, point }: HeadActions): Thumbnail {
  const canvas = el("canvas", { class: "thumbnail" });
  const button = el(
    "button",
    {
      class: "head-button",
      attrs: { type: "button", "aria-label": headName(id), "aria-pressed": "false" },
      on: {
        click: ({ ctrlKey, metaKey, shiftKey }) => (ctrlKey || metaKey || shiftKey ? toggle(id) : choose(id)),
        pointerenter: () => point(id),
        pointerleave: () => point(null),
      },
    },
    canvas,
  );
  button.dataset.head = `${id.layer}.${id.head}`;
  const text = el("span", { class: "number" });
  const bar = el("span", { class: "head-score-fill" });
  const score = el("span", { class: "head-score" }, text, bar);
  score.hidden = true;
  const name = isNamed && el("span", { class: "head-name number" }, `L${id.layer} H${id.head}`);
  return {
    id,
    button,
    canvas,
    node: el("div", { class: "head-part" }, name, button, score),
    showScore(shown) {
      score.hidden = shown === null;
      if (!shown) return;
      text.textContent = shown.text;
      bar.style.width = `${100 * shown.share}%`;
    },
  };
}
