/** The text's vectors along their principal components, with tokens of the vocabulary that the user adds among them. */

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
import { hasSameVocabulary, hasVocabulary, type Place, selectedAt, selectionOf, stackOf } from "./place";

/** Pairs of components, as they are written in the choice. */
const AXES: Readonly<Record<string, readonly [x: number, y: number]>> = {
  "1, 2": [0, 1],
  "1, 3": [0, 2],
  "2, 3": [1, 2],
};
const MAX_ADDED = 60;

interface Shown {
  readonly of: Place;
  readonly added: readonly VocabularyToken[];
  readonly projection: Projection;
}

export function createComponents({ selection, save }: Pick<ViewContext, "selection" | "save">) {
  let place: Place | null = null;
  let added: readonly VocabularyToken[] = [];
  let axes = "1, 2";
  let shown: Shown | null = null;

  const heading = el("h3", { class: "subheading" });
  const says = el("p", { class: "small muted" });
  const picker = dropdown(t("Components that are drawn"), (value) => {
    axes = value;
    draw();
  });
  const search = textField(t("Token of the vocabulary to add"), t("Add a token: text or #id"));
  const addSearched = button(t("Add"), () => void find());
  const notFound = el("span", { class: "small", attrs: { role: "status" } });
  const chips = el("ul", { class: "chips", attrs: { "aria-label": t("Tokens of the vocabulary that are drawn") } });
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
      picture: scatter.picture,
      svg: scatter.svg,
    },
    save,
  );
  const picture = el("div", {}, scatter.node, data.node);
  const node = el(
    "div",
    { class: "embedding-part" },
    el("div", { class: "heading-row" }, heading, picker.node),
    says,
    adding,
    problem.node,
    picture,
  );
  search.addEventListener("keydown", ({ key }) => {
    if (key === "Enter") void find();
  });

  const find = async () => {
    const at = place;
    const query = search.value;
    if (!at || query === "") return;
    try {
      const [best] = await at.inspection.ask("vocabularyTokens", {
        query: searched(query),
        count: 1,
        stack: stackOf(at),
      });
      if (place !== at) return;
      notFound.textContent = best ? "" : t("No token of the vocabulary has this text.");
      if (!best) return;
      search.value = "";
      add(best);
    } catch (error) {
      if (place === at) problem.say(error);
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
              attrs: { type: "button", "aria-label": t("Take {0} away", labelOf(token)) },
              on: { click: () => remove(token.id) },
            },
            "×",
          ),
        ),
      ),
    );

  const load = async () => {
    const at = place;
    if (!at) return;
    const { dEmbed, dModel } = at.inspection.trace.model.config;
    // Where tokens have another width than the stream, they have no place among its vectors.
    const fits = hasVocabulary(at) && dEmbed === dModel;
    const drawn = fits ? added : [];
    adding.hidden = !fits;
    drawChips();
    problem.clear();
    setBusy(node, heading, titleOf(at), true);
    setPending(picture, "computing");
    try {
      const projection = await at.inspection.ask("projection", { name: at.name, ids: drawn.map(({ id }) => id) });
      if (place !== at || (fits && added !== drawn)) return;
      shown = { of: at, added: drawn, projection };
      setBusy(node, heading, titleOf(at), false);
      setPending(picture, "done");
      draw();
    } catch (error) {
      if (place !== at) return;
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
    says.textContent = projection.explained[0]
      ? t(
          "A circle is a token of the text; a square is the input embedding of a token of the vocabulary, put on the same axes. Each axis has its own scale. Points that differ elsewhere may lie together here.",
        )
      : t("The vectors do not differ, so they have no components; take a longer text.");
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
    show(next: Place) {
      // Ids mean something else in another vocabulary.
      if (!hasSameVocabulary(next, place)) added = [];
      place = next;
      void load();
    },
  };
}

const titleOf = ({ name }: Place): string => t("Principal components of the text’s vectors, {0}", name);

/** The text's tokens, then those of the vocabulary. */
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
