/** The tokens of the vocabulary with the most similar vectors, by cosine. */

import type { Neighbors, VocabularyToken } from "../../../src/protocol/traceApi";
import { el, fill } from "../../base/dom";
import { formatDigits, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { dropdown } from "../../base/toolkit";
import type { TableData } from "../../charts/csv";
import { barsDrawing } from "../../charts/savedBars";
import { setBusy, setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { whenSeen } from "../../parts/whenSeen";
import type { Inspection, ViewContext } from "../inspection";
import { traceText } from "../provenance";
import { visibleText } from "../tokens/layout";
import { hasSameVocabulary, hasVocabulary, selectedAt, stackOf, type TokenVectors } from "./tokenVectors";

const COUNT = 15;
/** Milliseconds without a new selection before the engine compares with the whole vocabulary. */
const PAUSE = 120;

type Among = "embeddings" | "head";

interface Shown {
  readonly inspection: Inspection;
  /** Names the vector that they are nearest to. */
  readonly title: string;
  /** Names the vectors that were searched. */
  readonly table: string;
  readonly nearest: Neighbors["nearest"];
}

/** `draw` adds a token to the principal components. */
export function createNeighbors(
  { selection, save }: Pick<ViewContext, "selection" | "save">,
  draw: (token: VocabularyToken) => void,
) {
  let vectors: TokenVectors | null = null;
  let among: Among = "embeddings";
  let shown: Shown | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const heading = el("h3", { class: "subheading" });
  const picker = dropdown(t("Search in"), (value) => {
    among = value as Among;
    void load();
  });
  const note = el("p", { class: "small muted" });
  const problem = createProblem(() => void load());
  const list = el("ol", { class: "bars neighbors" });
  const data = createDataBar(
    {
      fileName: () => "nearest-tokens",
      table: () => shown && tableOf(shown),
      of: () => shown?.inspection,
      drawing: () => shown && pictureOf(shown),
    },
    save,
  );
  const node = el(
    "div",
    { class: "embedding-part" },
    el("div", { class: "heading-row" }, heading, picker.node),
    note,
    problem.node,
    list,
    data.node,
  );

  const load = async () => {
    const at = vectors;
    if (!at) return;
    const { inspection, name, labels, ids } = at;
    const position = selectedAt(at, selection.get());
    const searchedIn = among;
    const id = ids[position];
    if (id === undefined || !hasVocabulary(at)) return;
    // The token's vector in the table; the model may scale it, but that leaves the cosine unchanged.
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
      if (vectors !== at || selectedAt(at, selection.get()) !== position || searchedIn !== among) return;
      const table = searchedIn === "head" ? t("the LM head’s rows") : embeddingsOf(at);
      shown = { inspection, title, table, nearest };
      setBusy(node, heading, title, false);
      setPending(list, "done");
      fill(list, ...nearest.map((each) => neighbor(each, `${table}\n${traceText(inspection)}`)));
      data.update();
    } catch (error) {
      if (vectors !== at) return;
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
      el("span", { class: "bar-value number" }, formatDigits(cosine)),
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
    show(next: TokenVectors) {
      const isOther = !hasSameVocabulary(next, vectors);
      vectors = next;
      const { tiedHead } = next.inspection.trace.model.config;
      const available = hasVocabulary(next);
      note.textContent = available
        ? t("By cosine similarity, over the whole vocabulary. Select a token to add it below.")
        : t("Not available for trace files, which do not contain the vocabulary.");
      if (isOther || !available) {
        shown = null;
        list.replaceChildren();
        setPending(list, "done");
        setBusy(node, heading, t("Nearest tokens"), false);
        problem.clear();
      }
      list.hidden = !available;
      data.node.hidden = !available;
      // The rows of a tied head are the input embeddings, and an encoder has no head.
      const hasHead = !tiedHead && !next.isSource;
      if (!hasHead) among = "embeddings";
      picker.node.hidden = !hasHead || !available;
      picker.update(
        [
          { value: "embeddings", label: t("Embeddings") },
          { value: "head", label: t("LM head rows") },
        ],
        among,
      );
      void load();
    },
  };
}

export const labelOf = ({ id, token }: VocabularyToken): string => visibleText(token) || `#${id}`;

const embeddingsOf = ({ isSource, inspection: { trace } }: TokenVectors): string => {
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
