/**
 * The next-token distribution: the most likely tokens, the rest as one, and the rank of any token that is searched for.
 * The Model Explorer shows it after the selected token and adds a sampler.
 */

import "../../parts/slider.css";
import "./nextToken.css";
import type { NextToken } from "../../../src/protocol/engineApi";
import type { SamplerView } from "../../../src/protocol/traceApi";
import { el, fill, setAttr } from "../../base/dom";
import { formatCount, formatPercent } from "../../base/format";
import { t } from "../../base/strings";
import { textField } from "../../base/toolkit";
import { barsDrawing } from "../../charts/savedBars";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection, View, ViewContext } from "../inspection";
import { moveToken } from "../tokens/chips";
import { drawBar, drawRest, largestOf } from "./bars";
import {
  distribution,
  distributionTable,
  type Row,
  type Shown,
  type ShownToken,
  sampled,
  sampledRow,
  searched,
  shownToken,
} from "./layout";
import { createSamplerControls } from "./samplerControls";
import { contextText, describeProbability, describeToken, factsText, labelAt, type Position, restText } from "./texts";

/** Tokens in the list of the side panel, and in that of the Model Explorer, which has more space. */
const TOP_SIDE_PANEL = 10;
const TOP_EXPLORER = 15;
/** Search results. */
const FOUND = 6;
/** Tokens in the table. */
const LISTED = 200;

export function createNextTokenView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Next token"));
  const count = explorer ? TOP_EXPLORER : TOP_SIDE_PANEL;
  const context = el("p", { class: "small muted" });
  const controls = createSamplerControls(() => void loadSampler());
  const bars = el("ol", { class: "bars", attrs: { "aria-label": t("Most likely next tokens") } });
  const legend = el(
    "p",
    { class: "bar-legend small muted" },
    el("span", { class: "swatch own" }),
    t("model"),
    el("span", { class: "swatch drawn" }),
    t("sampler"),
  );
  const readout = el("p", { class: "readout", attrs: { role: "status" } });
  const facts = el("p", { class: "small" });
  const search = textField(t("Rank of a token"), t("Find a token: text or #id"));
  const results = el("div", { class: "found", attrs: { role: "status" } });
  const problem = createProblem(() => void loadSampler());
  const searchProblem = createProblem(() => void find());

  let inspection: Inspection | null = null;
  /** The distribution follows this token. */
  let position = 0;
  let model: NextToken | null = null;
  /** The sampler's distribution, and the ids beyond the top tokens that it covers. */
  let sampler: { readonly view: SamplerView; readonly ids: readonly number[] } | null = null;
  let found: { readonly tokens: readonly ShownToken[]; readonly matches: number } | null = null;

  const vocabSize = () => inspection?.trace.model.config.vocabSize ?? 1;
  const shown = (limit: number): Shown | null =>
    sampler ? sampled(sampler.view, vocabSize(), limit) : model && distribution(model, vocabSize(), limit);
  const at = (): Position | null => inspection && { inspection, index: position };
  const label = () => {
    const current = at();
    return current ? labelAt(current) : "";
  };
  const drawing = () => {
    const now = shown(count);
    if (!now) return null;
    const rest = { label: restText(now), note: "", value: now.rest.probability, other: now.restDrawn };
    return barsDrawing({
      title: sampler ? t("After “{0}”: the model above, the sampler below", label()) : t("After “{0}”", label()),
      bars: [
        ...now.top.map(({ label, id, probability, drawn }) => ({
          label,
          note: `#${id}`,
          value: probability,
          other: drawn,
        })),
        ...(now.rest.count > 0 ? [rest] : []),
      ],
      format: formatPercent,
    });
  };
  const data = createDataBar(
    {
      fileName: () => `next-token-${position}`,
      table: () => {
        const now = shown(LISTED);
        return now && distributionTable(now, t("Next token after {0} “{1}”", position, label()), restText(now));
      },
      of: () => inspection,
      drawing,
    },
    save,
  );
  const lists = el("div", {}, legend, bars, readout);
  section.body.append(context);
  if (explorer) section.body.append(controls.node);
  section.body.append(problem.node);
  if (explorer) section.body.append(facts, lists, search, results, data.node);
  else section.body.append(lists, facts, search, results, data.node);
  legend.hidden = !explorer;

  const rowOf = (node: EventTarget | null) =>
    node instanceof Element ? node.closest<HTMLElement>("[data-row]") : null;
  const readOut = ({ target }: Event) => {
    const row = rowOf(target);
    if (row) readout.textContent = row.dataset.row ?? "";
  };
  for (const list of [bars, results]) {
    list.addEventListener("pointerover", readOut);
    list.addEventListener("focusin", readOut);
  }
  bars.addEventListener("keydown", (event) => {
    const rows = [...bars.querySelectorAll<HTMLElement>("[data-row]")];
    const to = moveToken(event.key, rows.indexOf(rowOf(event.target) as HTMLElement), rows.length);
    if (to === null) return;
    event.preventDefault();
    setTabStop(rows, to);
    rows[to]?.focus();
  });

  const describe = (token: Row) => {
    const current = explorer && at();
    return current ? describeToken(current, token) : null;
  };
  const describeRest = (now: Shown) => {
    const current = explorer && at();
    return current ? describeProbability(current, restText(now), now.rest.probability, now.restDrawn) : null;
  };

  const draw = () => {
    const now = shown(count);
    if (!inspection || !now) {
      fill(bars);
      fill(facts);
      return data.update();
    }
    const largest = largestOf(now);
    const best = now.top[0];
    section.summarize(best ? `“${best.label}” ${formatPercent(best.probability)}` : "");
    const focused = rowOf(document.activeElement);
    const focusedIndex = Math.max(0, [...bars.children].indexOf(focused as Element));
    const hadFocus = focused?.parentElement === bars;
    const top = now.top.map((token) => drawBar(token, largest, false, describe(token)));
    fill(bars, ...top, now.rest.count > 0 && drawRest(now, largest, describeRest(now)));
    const rows = bars.querySelectorAll<HTMLElement>("[data-row]");
    setTabStop(rows, focusedIndex);
    if (hadFocus) rows[focusedIndex]?.focus();
    fill(facts, factsText(now, sampler?.view ?? null));
    drawResults();
    controls.show(sampler?.view ?? null);
    data.update();
  };

  const drawResults = () => {
    if (!found) return fill(results);
    const { tokens, matches } = found;
    if (matches === 0)
      return fill(results, el("p", { class: "small muted" }, t("No token in the vocabulary has this text.")));
    const now = shown(count);
    const rows = tokens.map((token) => {
      const i = sampler?.ids.indexOf(token.id) ?? -1;
      const row: Row =
        sampler && i >= 0
          ? sampledRow(token, sampler.view.drawn[sampler.view.model.top.length + i] as number, sampler.view.kept)
          : token;
      return drawBar(row, now ? largestOf(now) : 1, true, describe(row));
    });
    const more =
      matches > tokens.length && el("p", { class: "small muted" }, t("{0} more", formatCount(matches - tokens.length)));
    fill(results, el("ul", { class: "bars" }, ...rows), more);
  };

  const find = async () => {
    const from = inspection;
    const [query, after] = [search.value, position];
    if (!from || query === "") {
      found = null;
      return drawResults();
    }
    try {
      const answer = await from.find(searched(query), FOUND, explorer ? after : undefined);
      if (inspection !== from || search.value !== query || position !== after) return;
      found = { tokens: answer.found.map(shownToken), matches: answer.matches };
      drawResults();
      if (explorer && answer.found.length > 0) void loadSampler();
    } catch (error) {
      if (inspection !== from) return;
      searchProblem.say(error);
      fill(results, searchProblem.node);
    }
  };
  search.addEventListener("input", () => void find());

  let isLoading = false;
  let isOutdated = false;
  /** Fetches the sampler's distribution; changes made meanwhile lead to a single further request. */
  const loadSampler = async (): Promise<void> => {
    if (!explorer || !inspection) return;
    // A trace file contains the distribution after its last token only.
    if (inspection.trace.opened && position === inspection.trace.tokens.length - 1) return;
    isOutdated = true;
    if (isLoading) return;
    isLoading = true;
    setAttr(bars, "aria-busy", true);
    while (isOutdated && inspection) {
      isOutdated = false;
      const from: Inspection = inspection;
      const after = position;
      const ids = found?.tokens.map(({ id }) => id) ?? [];
      const isStale = () => inspection !== from || position !== after;
      try {
        const view = await from.sampler({ position: after, count: LISTED, ids, ...controls.settings() });
        if (isStale()) continue;
        problem.clear();
        sampler = { view, ids };
        model = view.model;
      } catch (error) {
        if (isStale()) continue;
        sampler = null;
        problem.say(error);
      }
      draw();
    }
    isLoading = false;
    setAttr(bars, "aria-busy", null);
  };

  /** Shows the distribution after the selected token; nothing of the token before stays. */
  const move = () => {
    if (!inspection) return;
    const { trace } = inspection;
    const last = trace.tokens.length - 1;
    position = explorer ? Math.min(selection.get().token, last) : last;
    sampler = null;
    model = position === last ? trace.nextToken : null;
    found = null;
    readout.textContent = "";
    context.textContent = contextText({ inspection, index: position });
    draw();
    void loadSampler();
    void find();
  };
  if (explorer) {
    selection.subscribe((now, before) => {
      if (now.token !== before.token && section.isOpen()) move();
    });
  }

  return {
    section,
    asksTensors: false,
    show(next) {
      inspection = next;
      controls.use(vocabSize());
      controls.node.hidden = next.trace.opened === true;
      move();
    },
  };
}

/** Tab reaches one row, arrow keys the others. */
function setTabStop(rows: Iterable<HTMLElement>, index: number): void {
  for (const [i, row] of [...rows].entries()) row.tabIndex = i === index ? 0 : -1;
}
