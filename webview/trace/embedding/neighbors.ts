/** The tokens of the vocabulary whose vectors point where the selected token's does. */

import type { Neighbors, VocabularyToken } from "../../../src/protocol/traceApi";
import { el, fill } from "../../base/dom";
import { formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import type { TableData } from "../../charts/csv";
import { saveable } from "../../charts/pen";
import { barsDrawing } from "../../charts/savedBars";
import { setBusy, setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import type { Inspection, ViewContext } from "../inspection";
import { traceText } from "../provenance";
import { visibleText } from "../tokens/layout";
import { hasSameVocabulary, hasVocabulary, type Place, selectedAt, stackOf } from "./place";

const COUNT = 15;
/** The engine reads the whole vocabulary for each answer: keys that are held down ask once. */
const PAUSE = 120;

type Among = "embeddings" | "head";

interface Shown {
  readonly inspection: Inspection;
  /** Says what they are nearest to. */
  readonly title: string;
  /** Says what they are among. */
  readonly table: string;
  readonly nearest: Neighbors["nearest"];
}

/** `draw` is told a neighbor that is to be drawn among the vectors. */
export function createNeighbors(
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
  const list = el("ol", { class: "bars neighbors" });
  const data = createDataBar(
    {
      fileName: () => "nearest-tokens",
      table: () => shown && tableOf(shown),
      of: () => shown?.inspection,
      ...saveable(() => shown && pictureOf(shown)),
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
    const of = isOwn
      ? ({ kind: "token", id, stack: stackOf(at) } as const)
      : ({ kind: "value", name, position } as const);
    const label = labels[position] ?? "";
    const title = isOwn
      ? t("Nearest to token “{0}”", label)
      : t("Nearest to “{0}” at {1}", label, `${name}[0, ${position}]`);
    problem.clear();
    setBusy(node, heading, title, true);
    setPending(list, "computing");
    try {
      const { nearest } = await inspection.ask("neighbors", { of, among, count: COUNT });
      if (place !== at || selectedAt(at, selection.get()) !== position || asked !== among) return;
      const table = asked === "head" ? t("the head’s rows") : embeddingsOf(at);
      shown = { inspection, title, table, nearest };
      setBusy(node, heading, title, false);
      setPending(list, "done");
      fill(list, ...nearest.map((each) => neighbor(each, `${table}\n${traceText(inspection)}`)));
      data.update();
    } catch (error) {
      if (place !== at) return;
      setBusy(node, heading, title, false);
      shown = null;
      list.replaceChildren();
      problem.say(error);
    }
  };

  const neighbor = ({ cosine, ...token }: Neighbors["nearest"][number], from: string) => {
    const fillBar = el("span", { class: "bar-fill" });
    fillBar.style.width = `${100 * Math.max(0, cosine)}%`;
    const press = () => draw(token);
    return el(
      "li",
      { class: "bar", title: `cos = ${formatValue(cosine)}, ${from}` },
      el("button", { class: "bar-label mono action", attrs: { type: "button" }, on: { click: press } }, labelOf(token)),
      el("span", { class: "bar-note number" }, `#${token.id}`),
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
      const isOther = !hasSameVocabulary(next, place);
      place = next;
      const { tiedHead } = next.inspection.trace.model.config;
      const available = hasVocabulary(next);
      says.textContent = available
        ? t("By cosine, over the whole vocabulary. Choose one to draw it below.")
        : t("Not available for trace files: the vocabulary is in the model.");
      if (isOther || !available) {
        shown = null;
        list.replaceChildren();
        setPending(list, "done");
        setBusy(node, heading, t("Nearest tokens"), false);
        problem.clear();
      }
      list.hidden = !available;
      data.node.hidden = !available;
      // A tied head's rows are the input embeddings, and an encoder predicts nothing.
      const hasHead = !tiedHead && !next.isSource;
      if (!hasHead) among = "embeddings";
      picker.node.hidden = !hasHead || !available;
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

export const labelOf = ({ id, token }: VocabularyToken): string => visibleText(token) || `#${id}`;

const embeddingsOf = ({ isSource, inspection: { trace } }: Place): string => {
  if (!trace.source) return t("the input embeddings");
  return isSource ? t("the source’s input embeddings") : t("the translation’s input embeddings");
};

const savedTitle = ({ title, table }: Shown): string => t("{0}, by cosine among {1}", title, table);

const pictureOf = (shown: Shown) =>
  barsDrawing({
    title: savedTitle(shown),
    bars: shown.nearest.map(({ cosine, ...token }) => ({ label: labelOf(token), note: `#${token.id}`, value: cosine })),
    format: formatValue,
  });

const tableOf = (shown: Shown): TableData => ({
  title: savedTitle(shown),
  columns: ["id", "token", "cosine"],
  rows: shown.nearest.length,
  row: (i) => {
    const { id, token, cosine } = shown.nearest[i] as Neighbors["nearest"][number];
    return [id, visibleText(token), cosine];
  },
});
