/** The tokens' vectors along their principal components, with tokens of the vocabulary that the user adds. */

import type { Projection, VocabularyToken } from "../../../src/protocol/traceApi";
import { el, fill } from "../../base/dom";
import { formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { button, dropdown, textField } from "../../base/toolkit";
import { createScatter } from "../../charts/scatter";
import { setBusy, setPending } from "../../parts/busy";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { ViewContext } from "../inspection";
import { searched } from "../nextToken/layout";
import { traceText } from "../provenance";
import { labelOf } from "./neighbors";
import { hasSameVocabulary, hasVocabulary, selectedAt, selectionOf, stackOf, type TokenVectors } from "./tokenVectors";

/** Pairs of components by their label. */
const AXES: Readonly<Record<string, readonly [x: number, y: number]>> = {
  "1, 2": [0, 1],
  "1, 3": [0, 2],
  "2, 3": [1, 2],
};
const MAX_ADDED = 60;

interface Shown {
  readonly of: TokenVectors;
  readonly added: readonly VocabularyToken[];
  readonly projection: Projection;
}

export function createComponents({ selection, save }: Pick<ViewContext, "selection" | "save">) {
  let vectors: TokenVectors | null = null;
  let added: readonly VocabularyToken[] = [];
  let axes = "1, 2";
  let shown: Shown | null = null;

  const heading = el("h3", { class: "subheading" });
  const note = el("p", { class: "small muted" });
  const picker = dropdown(t("Components"), (value) => {
    axes = value;
    draw();
  });
  const search = textField(t("Token to add"), t("Add a token: text or #id"));
  const addSearched = button(t("Add"), () => void find());
  const notFound = el("span", { class: "small", attrs: { role: "status" } });
  const chips = el("ul", { class: "chips", attrs: { "aria-label": t("Added tokens") } });
  const adding = el("div", { class: "lens-controls" }, search, addSearched, notFound, chips);
  const problem = createProblem(() => void load());
  const scatter = createScatter((point) => {
    if (shown && point < shown.of.labels.length) selection.set(selectionOf(shown.of, point));
  });
  const data = createDataBar(
    {
      fileName: () => `components-${shown?.of.name}`,
      table: () => shown && tableOf(shown),
      of: () => shown?.of.inspection,
      drawing: scatter.drawing,
    },
    save,
  );
  const picture = el("div", {}, scatter.node, data.node);
  const node = el(
    "div",
    { class: "embedding-part" },
    el("div", { class: "heading-row" }, heading, picker.node),
    note,
    adding,
    problem.node,
    picture,
  );
  search.addEventListener("keydown", ({ key }) => {
    if (key === "Enter") void find();
  });

  const find = async () => {
    const at = vectors;
    const query = search.value;
    if (!at || query === "") return;
    try {
      const [best] = await at.inspection.ask("vocabularyTokens", {
        query: searched(query),
        count: 1,
        stack: stackOf(at),
      });
      if (vectors !== at) return;
      notFound.textContent = best ? "" : t("No token in the vocabulary has this text.");
      if (!best) return;
      search.value = "";
      add(best);
    } catch (error) {
      if (vectors === at) problem.say(error);
    }
  };
  const add = (token: VocabularyToken) => {
    if (added.some(({ id }) => id === token.id)) return;
    added = [...added, token].slice(-MAX_ADDED);
    void load();
  };
  const remove = (id: number) => {
    added = added.filter((token) => token.id !== id);
    void load();
    search.focus();
  };
  const drawChips = () =>
    fill(
      chips,
      ...added.map((token) =>
        el(
          "li",
          { class: "chip mono", title: `#${token.id}` },
          labelOf(token),
          el(
            "button",
            {
              class: "chip-remove",
              attrs: { type: "button", "aria-label": t("Remove {0} from the chart", labelOf(token)) },
              on: { click: () => remove(token.id) },
            },
            "×",
          ),
        ),
      ),
    );

  const load = async () => {
    const at = vectors;
    if (!at) return;
    const { dEmbed, dModel } = at.inspection.trace.model.config;
    // Embeddings of another width than the residual stream cannot be projected with its vectors.
    const fits = hasVocabulary(at) && dEmbed === dModel;
    const drawn = fits ? added : [];
    adding.hidden = !fits;
    drawChips();
    problem.clear();
    setBusy(node, heading, titleOf(at), true);
    setPending(picture, "computing");
    try {
      const projection = await at.inspection.ask("projection", { name: at.name, ids: drawn.map(({ id }) => id) });
      if (vectors !== at || (fits && added !== drawn)) return;
      shown = { of: at, added: drawn, projection };
      setBusy(node, heading, titleOf(at), false);
      setPending(picture, "done");
      draw();
    } catch (error) {
      if (vectors !== at) return;
      setBusy(node, heading, titleOf(at), false);
      setPending(picture, "failed");
      problem.say(error);
    }
  };

  const draw = () => {
    if (!shown) return;
    const { of, projection } = shown;
    const [x, y] = AXES[axes] as readonly [number, number];
    picker.update(
      Object.keys(AXES).map((value) => ({ value, label: t("Components {0}", value) })),
      axes,
    );
    note.textContent = projection.explained[0]
      ? t(
          "Circles are tokens of the text, squares are input embeddings of added tokens. Each axis has its own scale. Points close to each other here can differ in other components.",
        )
      : t("All vectors are equal, so they have no components. Use a longer text.");
    const name = (component: number) =>
      t("component {0} ({1} of the variance)", component + 1, formatPercent(projection.explained[component] as number));
    scatter.show({
      title: titleOf(of),
      points: pointsOf(shown).map(({ label, isExtra, coordinates }) => ({
        x: coordinates[x] as number,
        y: coordinates[y] as number,
        label,
        isExtra,
      })),
      xName: name(x),
      yName: name(y),
      describe,
    });
    mark();
    data.update();
  };

  const describe = (point: number): string => {
    const each = shown && pointsOf(shown)[point];
    if (!shown || !each) return "";
    return `${each.from}  ${t("components {0}", Array.from(each.coordinates, formatValue).join(", "))}\n${traceText(shown.of.inspection)}`;
  };
  const mark = () => shown && scatter.mark(selectedAt(shown.of, selection.get()));
  selection.subscribe(mark);

  return {
    node,
    add,
    show(next: TokenVectors) {
      // Ids are different tokens in another vocabulary.
      if (!hasSameVocabulary(next, vectors)) added = [];
      vectors = next;
      void load();
    },
  };
}

const titleOf = ({ name }: TokenVectors): string => t("Principal components, {0}", name);

/** The tokens of the text, then those that were added. */
function pointsOf({ of, added, projection }: Shown) {
  const { coordinates } = projection;
  const at = (i: number) => coordinates.subarray(3 * i, 3 * i + 3);
  const T = of.labels.length;
  const embedded = (id: number) =>
    of.isSource ? t("input embedding of the source’s token #{0}", id) : t("input embedding of token #{0}", id);
  return [
    ...of.labels.map((label, i) => ({
      label,
      from: `“${label}”  ${of.name}[0, ${i}]`,
      isExtra: false,
      coordinates: at(i),
    })),
    ...added.map((token, i) => ({
      label: labelOf(token),
      from: `“${labelOf(token)}”  ${embedded(token.id)}`,
      isExtra: true,
      coordinates: at(T + i),
    })),
  ];
}

function tableOf(shown: Shown) {
  const points = pointsOf(shown);
  const { explained } = shown.projection;
  return {
    title: `${titleOf(shown.of)} (${Array.from(explained, formatPercent).join(", ")})`,
    columns: ["vector", "component 1", "component 2", "component 3"],
    rows: points.length,
    row: (i: number) => {
      const { from, coordinates } = points[i] as (typeof points)[number];
      return [from, ...coordinates];
    },
  };
}
