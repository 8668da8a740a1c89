/** The tokens of the vocabulary whose vectors point where the selected token's does. */

import type { Neighbours } from "../../../src/protocol/traceApi";
import { barShapes } from "../../charts/bars";
import type { TableData } from "../../charts/csv";
import { savedShapes } from "../../charts/shapes";
import { el, fill } from "../../dom";
import { formatValue } from "../../format";
import type { Inspection, ViewContext } from "../../inspection";
import { tellBusy } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { runText } from "../../parts/provenance";
import { t } from "../../strings";
import { dropdown } from "../../toolkit";
import { whenSeen } from "../pair/whenSeen";
import { visibleText } from "../tokens/layout";
import { hasVocabulary, type Place, selectedAt } from "./place";

const COUNT = 15;
/** The engine reads the whole vocabulary for each answer: keys that are held down ask once. */
const PAUSE = 120;

type Among = "embeddings" | "head";

/** A token of the vocabulary, as it is drawn. */
export interface VocabularyToken {
  readonly id: number;
  readonly label: string;
}

interface Shown {
  readonly inspection: Inspection;
  /** Says what they are nearest to. */
  readonly title: string;
  readonly nearest: Neighbours["nearest"];
}

/** `draw` is told a neighbour that is to be drawn among the vectors. */
export function createNeighbours(
  { selection, save }: Pick<ViewContext, "selection" | "save">,
  draw: (token: VocabularyToken) => void,
) {
  let place: Place | null = null;
  let among: Among = "embeddings";
  let shown: Shown | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const heading = el("h3", { class: "subheading" });
  const picker = dropdown(t("Among"), (value) => {
    among = value as Among;
    void load();
  });
  const says = el("p", { class: "small muted" });
  const problem = createProblem(() => void load());
  const list = el("ol", { class: "bars neighbours" });
  const data = createDataBar(
    {
      fileName: () => "nearest-tokens",
      table: () => shown && tableOf(shown),
      of: () => shown?.inspection,
      ...savedShapes(() => shown && pictureOf(shown)),
    },
    save,
  );
  const node = el(
    "div",
    { class: "embedding-part" },
    el("div", { class: "heading-row" }, heading, picker.node),
    says,
    problem.node,
    list,
    data.node,
  );

  const load = async () => {
    const at = place;
    if (!at) return;
    const { inspection, name, labels, ids } = at;
    const position = selectedAt(at, selection.get());
    const asked = among;
    const id = ids[position];
    if (id === undefined || !hasVocabulary(at)) return;
    // A token's own vector in the table, not scaled as in the run, which a cosine does not see.
    const isOwn = name.endsWith("embed");
    const of = isOwn ? ({ kind: "token", id } as const) : ({ kind: "value", name, position } as const);
    const label = labels[position] ?? "";
    const title = isOwn
      ? t("Nearest to token “{0}”", label)
      : t("Nearest to “{0}” at {1}", label, `${name}[0, ${position}]`);
    problem.clear();
    tellBusy(node, heading, title, true);
    try {
      const { nearest } = await inspection.neighbours({ of, among, count: COUNT });
      if (place !== at || selectedAt(at, selection.get()) !== position || asked !== among) return;
      shown = { inspection, title, nearest };
      tellBusy(node, heading, title, false);
      const table = among === "head" ? t("the head’s rows") : t("the input embeddings");
      fill(
        list,
        ...nearest.map(({ id, token, cosine }) =>
          neighbour(labelOf(id, token), id, cosine, `${table}\n${runText(inspection)}`),
        ),
      );
      data.update();
    } catch (error) {
      if (place !== at) return;
      tellBusy(node, heading, title, false);
      problem.say(error);
    }
  };

  const neighbour = (label: string, id: number, cosine: number, from: string) => {
    const fillBar = el("span", { class: "bar-fill" });
    fillBar.style.width = `${100 * Math.max(0, cosine)}%`;
    const press = () => draw({ id, label });
    return el(
      "li",
      { class: "bar", title: `cos = ${formatValue(cosine)}, ${from}` },
      el("button", { class: "bar-label mono action", attrs: { type: "button" }, on: { click: press } }, label),
      el("span", { class: "bar-note number" }, `#${id}`),
      el("span", { class: "bar-track", attrs: { "aria-hidden": "true" } }, fillBar),
      el("span", { class: "bar-value number" }, formatValue(cosine)),
    );
  };

  const loadSoon = whenSeen(node, () => {
    clearTimeout(timer);
    timer = setTimeout(() => void load(), PAUSE);
  });
  selection.subscribe((now, before) => {
    if (now.token !== before.token || now.sourceToken !== before.sourceToken) loadSoon();
  });

  return {
    node,
    show(next: Place) {
      place = next;
      const { tiedHead } = next.inspection.trace.model.config;
      const available = hasVocabulary(next);
      says.textContent = available
        ? t("By cosine, over the whole vocabulary. Choose one to draw it below.")
        : t("Computed of decoders whose model is at hand, so not of translators and trace files.");
      if (!available) {
        shown = null;
        list.replaceChildren();
        tellBusy(node, heading, t("Nearest tokens"), false);
        problem.clear();
      }
      list.hidden = !available;
      data.node.hidden = !available;
      // A tied head's rows are the input embeddings.
      if (tiedHead) among = "embeddings";
      picker.node.hidden = tiedHead || !available;
      picker.update(
        [
          { value: "embeddings", label: t("Among the embeddings") },
          { value: "head", label: t("Among the head’s rows") },
        ],
        among,
      );
      void load();
    },
  };
}

const labelOf = (id: number, token: string): string => visibleText(token) || `#${id}`;

const pictureOf = ({ title, nearest }: Shown) =>
  barShapes({
    title: t("{0}, by cosine", title),
    bars: nearest.map(({ id, token, cosine }) => ({ label: labelOf(id, token), note: `#${id}`, value: cosine })),
    format: formatValue,
  });

const tableOf = ({ title, nearest }: Shown): TableData => ({
  title,
  columns: ["id", "token", "cosine"],
  rows: nearest.length,
  row: (i) => {
    const { id, token, cosine } = nearest[i] as Neighbours["nearest"][number];
    return [id, visibleText(token), cosine];
  },
});
