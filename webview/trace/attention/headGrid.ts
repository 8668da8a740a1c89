/** Every head of a run in small, to choose one from: a button each, with its picture and its score. */

import type { AttentionGrid, HeadScore } from "../../../src/protocol/traceApi";
import { el, fill, setAttr } from "../../base/dom";
import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { onThemeChange, readTheme } from "../../base/theme";
import { checkbox, dropdown } from "../../base/toolkit";
import { sequentialScale } from "../../charts/colorScale";
import { saveable } from "../../charts/pen";
import { setPending } from "../../parts/busy";
import { createDataBar, type Save } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection } from "../inspection";
import { traceText } from "../provenance";
import { headsDrawing } from "./headPicture";
import { type AttentionKind, type HeadId, headOrder, moveHead, scoreText } from "./layout";

/** Pixels of a picture's side. */
const SIZE = 40;

// Asked when the page's language is known.
const pictureTitle = () => t("All heads (max-pooled)");

/** Of more heads than these, each is smaller. */
const MANY = 8;

const SCORES: { readonly [S in HeadScore]: { readonly label: () => string; readonly means: () => string } } = {
  previousToken: {
    label: () => t("previous token"),
    means: () => t("Mean attention to the token just before, over all tokens but the first."),
  },
  induction: {
    label: () => t("induction"),
    means: () =>
      t(
        "Mean attention to the tokens that came after earlier occurrences of the same token, over the tokens that have any.",
      ),
  },
  firstToken: {
    label: () => t("first token"),
    means: () => t("Mean attention to the first token, over all tokens after it."),
  },
  entropy: {
    label: () => t("entropy"),
    means: () =>
      t(
        "Mean entropy of the rows in bits: 0 where each token looks at one only. The bars are relative to the largest.",
      ),
  },
};

export interface HeadGrid {
  readonly node: HTMLElement;
  /** Asks for another run's heads; the pictures that are there stay, pale, until the new ones have come. */
  readonly show: (inspection: Inspection, kind: AttentionKind) => void;
  readonly mark: (place: HeadId) => void;
}

/** `choose` is called for a head that is clicked or moved to, `point` for one under the pointer, and null after it. */
export function createHeadGrid(
  choose: (place: HeadId) => void,
  point: (place: HeadId | null) => void,
  save: Save,
): HeadGrid {
  let score: HeadScore | "" = "";
  let sorted = false;
  let asked: { readonly inspection: Inspection; readonly kind: AttentionKind } | null = null;
  /** What is drawn, and of which run. */
  let grid: (AttentionGrid & { readonly of: Inspection }) | null = null;
  let marked: HeadId = { layer: 0, head: 0 };
  /** In the order of the page. */
  let heads: Head[] = [];
  let laidOut = "";

  const scores = dropdown(t("Head score"), (value) => {
    score = value as HeadScore | "";
    draw();
  });
  const sort = checkbox(t("Sort by score"), false, (checked) => {
    sorted = checked;
    draw();
  });
  const means = el("p", { class: "small muted head-score-means" });
  const problem = createProblem(() => void load());
  const rows = el("div", { class: "head-rows", attrs: { role: "group", "aria-label": t("All heads") } });
  const data = createDataBar(
    {
      fileName: () => "attention-heads",
      table: () => grid && scoreTable(grid, places()),
      of: () => grid?.of,
      ...saveable(() => grid && shapes(grid)),
    },
    save,
  );
  const node = el(
    "div",
    { class: "head-grid" },
    el("h3", { class: "subheading" }, pictureTitle()),
    el("div", { class: "head-grid-controls" }, scores.node, sort),
    means,
    problem.node,
    rows,
    data.node,
  );
  onThemeChange(() => draw());

  rows.addEventListener("keydown", (event) => {
    const at = heads.findIndex((each) => each.button === document.activeElement);
    if (at < 0) return;
    const top = heads[0]?.node.offsetTop;
    const perRow = sorted ? heads.filter(({ node: each }) => each.offsetTop === top).length : (asked?.kind.heads ?? 1);
    const to = moveHead(event.key, at, heads.length, perRow);
    const next = to === null ? undefined : heads[to];
    if (!next) return;
    event.preventDefault();
    choose(next.place);
    next.button.focus();
  });

  const places = () => heads.map(({ place }) => place);
  const shapes = ({ heads: perLayer, scores: known }: AttentionGrid) => {
    const values = score === "" ? null : known[score];
    const share = shareOf(score, values);
    const tiles = heads.map(({ place, canvas }) => {
      const value = values?.[place.layer * perLayer + place.head];
      return { place, image: canvas, score: value === undefined ? null : { value, share: share(value) } };
    });
    const title = [pictureTitle(), score !== "" && SCORES[score].label()].filter((part) => part !== false).join(": ");
    return headsDrawing(title, tiles, sorted && score !== "" ? null : perLayer);
  };

  const load = async () => {
    const question = asked;
    if (!question) return;
    const { inspection, kind } = question;
    problem.clear();
    setPending(rows, "computing");
    try {
      const answer = await inspection.ask("attentionGrid", { size: SIZE, kind: kind.id });
      if (asked !== question) return;
      grid = { ...answer, of: inspection };
      setPending(rows, "done");
      draw();
    } catch (error) {
      if (asked !== question) return;
      empty();
      problem.say(error);
    }
  };

  /** Heads to choose from, without a picture of any. */
  const empty = () => {
    grid = null;
    laidOut = "";
    setPending(rows, "done");
    if (asked) layOut(asked.kind, null);
    drawScores();
  };
  /** The scores that this run's heads have; before that is known, none. */
  const drawScores = () => {
    const known = grid;
    const told = known
      ? (Object.keys(SCORES) as HeadScore[]).filter((name) => !known.scores[name].every(Number.isNaN))
      : [];
    scores.node.hidden = told.length === 0;
    if (known && score !== "" && !told.includes(score)) score = "";
    scores.update(
      [{ value: "", label: t("no score") }, ...told.map((name) => ({ value: name, label: SCORES[name].label() }))],
      score,
    );
    sort.hidden = told.length === 0 || score === "";
    means.textContent = sort.hidden || score === "" ? "" : SCORES[score].means();
  };
  const draw = () => {
    if (!asked || !grid) return;
    const { inspection, kind } = asked;
    drawScores();
    const values = score === "" ? null : grid.scores[score];
    layOut(kind, sorted ? values : null);
    const share = shareOf(score, values);
    const colors = sequentialScale(1, readTheme(), "sqrt");
    const { rows: height, cols: width, tiles } = grid;
    for (const { place, button: each, canvas, score: said } of heads) {
      const i = place.layer * kind.heads + place.head;
      canvas.width = width;
      canvas.height = height;
      const picture = new ImageData(width, height);
      tiles.subarray(i * width * height, (i + 1) * width * height).forEach((weight, pixel) => {
        // A tile without any weight is the page's own ground: masked, or exactly 0.
        if (weight > 0) picture.data.set([...colors.colorAt(weight), 255], 4 * pixel);
      });
      canvas.getContext("2d")?.putImageData(picture, 0, 0);
      const x = values?.[i];
      said.hidden = x === undefined;
      const name = t("Layer {0}, head {1}", place.layer, place.head);
      each.title = name;
      if (x === undefined || score === "") continue;
      (said.firstElementChild as HTMLElement).textContent = scoreText(x);
      (said.lastElementChild as HTMLElement).style.width = `${100 * share(x)}%`;
      each.title = `${name}\n${SCORES[score].label()}: ${formatValue(x)}\n${traceText(inspection)}`;
    }
    mark(marked);
    data.update();
  };

  /** A button for each head: layers down and heads across, or in the order of a score. */
  const layOut = ({ id, layers, heads: count }: AttentionKind, by: Float32Array | null) => {
    const key = `${id} ${layers} ${count} ${by ? [...by].join() : ""}`;
    if (key === laidOut) return;
    laidOut = key;
    const hadFocus = rows.contains(document.activeElement);
    heads = headOrder(layers, count, by).map((place) => createHead(place, by !== null, choose, point));
    rows.classList.toggle("sorted", by !== null);
    rows.classList.toggle("many", count > MANY);
    if (by) fill(rows, ...heads.map(({ node: each }) => each));
    else {
      const row = (layer: number) => {
        const own = heads.slice(layer * count, (layer + 1) * count).map(({ node: each }) => each);
        return el("div", { class: "head-row" }, el("span", { class: "head-row-label number" }, `L${layer}`), ...own);
      };
      fill(rows, ...Array.from({ length: layers }, (_, layer) => row(layer)));
    }
    mark(marked);
    if (hadFocus) heads.find((each) => each.button.tabIndex === 0)?.button.focus();
  };

  const mark = (place: HeadId) => {
    marked = place;
    for (const { place: each, button: headNode } of heads) {
      const isMarked = each.layer === place.layer && each.head === place.head;
      setAttr(headNode, "aria-pressed", String(isMarked));
      headNode.tabIndex = isMarked ? 0 : -1;
    }
  };

  return {
    node,
    show(inspection, kind) {
      if (
        asked &&
        (asked.kind.id !== kind.id || asked.kind.heads !== kind.heads || asked.kind.layers !== kind.layers)
      ) {
        grid = null;
        laidOut = "";
      }
      asked = { inspection, kind };
      // The heads can be chosen before there is a picture of each.
      if (!grid) empty();
      void load();
    },
    mark,
  };
}

/** How long the bar of a score is: of entropies, relative to the largest. */
function shareOf(score: HeadScore | "", values: Float32Array | null): (value: number) => number {
  const known = [...(values ?? [])].filter((x) => !Number.isNaN(x));
  const most = score === "entropy" ? known.reduce((largest, x) => Math.max(largest, x), 0) || 1 : 1;
  return (value) => (Number.isNaN(value) ? 0 : value / most);
}

/** In the order of the page. */
const scoreTable = ({ heads, scores }: AttentionGrid, places: readonly HeadId[]) => ({
  title: t("Scores of all heads"),
  columns: ["layer", "head", ...Object.values(SCORES).map(({ label }) => label())],
  rows: places.length,
  row: (i: number) => {
    const { layer, head } = places[i] as HeadId;
    const all = Object.keys(SCORES) as HeadScore[];
    return [String(layer), String(head), ...all.map((name) => scores[name][layer * heads + head] as number)];
  },
});

interface Head {
  readonly place: HeadId;
  readonly button: HTMLButtonElement;
  readonly canvas: HTMLCanvasElement;
  readonly score: HTMLElement;
  /** The button with what is written around it. */
  readonly node: HTMLElement;
}

function createHead(
  place: HeadId,
  isNamed: boolean,
  choose: (place: HeadId) => void,
  point: (place: HeadId | null) => void,
): Head {
  const { layer, head } = place;
  const canvas = el("canvas", { class: "thumbnail" });
  const pressed = el(
    "button",
    {
      class: "head-button",
      attrs: { type: "button", "aria-label": t("Layer {0}, head {1}", layer, head), "aria-pressed": "false" },
      on: { click: () => choose(place), pointerenter: () => point(place), pointerleave: () => point(null) },
    },
    canvas,
  );
  pressed.dataset.head = `${layer}.${head}`;
  const score = el(
    "span",
    { class: "head-score" },
    el("span", { class: "number" }),
    el("span", { class: "head-score-fill" }),
  );
  score.hidden = true;
  const name = isNamed && el("span", { class: "head-name number" }, `L${layer} H${head}`);
  return { place, button: pressed, canvas, score, node: el("div", { class: "head-part" }, name, pressed, score) };
}
