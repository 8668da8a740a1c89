/**
 * What the model expects after a token: the most likely tokens, the rest as one, and the rank of any other. In the
 * Explorer, after the selected token, and beside it what a sampler draws from.
 */

import "../../parts/slider.css";
import "./nextToken.css";
import type { NextToken } from "../../../src/protocol/engineApi";
import type { SamplerView } from "../../../src/protocol/traceApi";
import { el, fill, setAttr } from "../../base/dom";
import { formatCount, formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { textField } from "../../base/toolkit";
import { saveable } from "../../charts/pen";
import { barsDrawing } from "../../charts/savedBars";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import type { Inspection, View, ViewContext } from "../inspection";
import { traceText } from "../provenance";
import { tokenLabel } from "../tokens/layout";
import { moveToken } from "../tokens/view";
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

const TOP = 10;
/** In the Explorer, where there is room. */
const TOP_OF_MANY = 15;
const FOUND = 6;
/** In the table: all that is told of the vocabulary. */
const LISTED = 200;

export function createNextTokenView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Next token"));
  const count = explorer ? TOP_OF_MANY : TOP;
  const context = el("p", { class: "small muted" });
  const controls = createSamplerControls(() => void ask());
  const bars = el("ol", { class: "bars", attrs: { "aria-label": t("Most likely next tokens") } });
  const legend = el(
    "p",
    { class: "bar-legend small muted" },
    el("span", { class: "swatch own" }),
    t("the model’s own"),
    el("span", { class: "swatch drawn" }),
    t("what the sampler draws from"),
  );
  const readout = el("p", { class: "readout", attrs: { role: "status" } });
  const facts = el("p", { class: "small" });
  const search = textField(t("Rank of a token"), t("Find a token: text or #id"));
  const found = el("div", { class: "found", attrs: { role: "status" } });
  const problem = createProblem(() => void ask());
  const findProblem = createProblem(() => void find());

  let inspection: Inspection | null = null;
  /** What is shown comes after this token. */
  let position = 0;
  let model: NextToken | null = null;
  /** What the sampler makes of it, and which tokens were asked about beside. */
  let view: SamplerView | null = null;
  let asked: readonly number[] = [];
  let foundTokens: { readonly found: readonly ShownToken[]; readonly matches: number } | null = null;

  const vocabSize = () => inspection?.trace.model.config.vocabSize ?? 1;
  const shown = (most: number): Shown | null =>
    view ? sampled(view, vocabSize(), most) : model && distribution(model, vocabSize(), most);
  const label = () => tokenLabelAt(inspection, position);
  const picture = () => {
    const now = shown(count);
    if (!now) return null;
    const rest = { label: restLabel(now), note: "", value: now.rest.probability, other: now.restDrawn };
    return barsDrawing({
      title: view
        ? t("After “{0}”: the model’s own above, below what the sampler draws from", label())
        : t("After “{0}”", label()),
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
        const title = t("Next token after {0} “{1}”", position, label());
        return now && distributionTable(now, title, restLabel(now));
      },
      of: () => inspection,
      ...saveable(picture),
    },
    save,
  );
  const lists = el("div", {}, legend, bars, readout);
  section.body.append(context);
  if (explorer) section.body.append(controls.node);
  section.body.append(problem.node);
  if (explorer) section.body.append(facts, lists, search, found, data.node);
  else section.body.append(lists, facts, search, found, data.node);
  legend.hidden = !explorer;

  const rowOf = (node: EventTarget | null) =>
    node instanceof Element ? node.closest<HTMLElement>("[data-row]") : null;
  /** By pointer and by keyboard, each number where it is from. */
  const tell = ({ target }: Event) => {
    const row = rowOf(target);
    if (row) readout.textContent = row.dataset.row ?? "";
  };
  for (const list of [bars, found]) {
    list.addEventListener("pointerover", tell);
    list.addEventListener("focusin", tell);
  }
  bars.addEventListener("keydown", (event) => {
    const rows = [...bars.querySelectorAll<HTMLElement>("[data-row]")];
    const to = moveToken(event.key, rows.indexOf(rowOf(event.target) as HTMLElement), rows.length);
    if (to === null) return;
    event.preventDefault();
    setTabStop(rows, to);
    rows[to]?.focus();
  });

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
    const rest =
      now.rest.count > 0 &&
      drawRest(now, largest, explorer ? numbers(restLabel(now), now.rest.probability, now.restDrawn) : null);
    const focused = rowOf(document.activeElement)?.parentElement === bars;
    const at = [...bars.children].indexOf(rowOf(document.activeElement) as Element);
    fill(bars, ...now.top.map((token) => drawBar(token, largest, false, explorer ? describe(token) : null)), rest);
    const rows = bars.querySelectorAll<HTMLElement>("[data-row]");
    setTabStop(rows, Math.max(0, at));
    if (focused) rows[Math.max(0, at)]?.focus();
    fill(facts, ...factsOf(now, view));
    drawFound();
    controls.tell(view);
    data.update();
  };

  const describe = (token: Row): string =>
    [
      t("“{0}”, id {1}, rank {2} of {3}", token.label, token.id, formatCount(token.rank), formatCount(vocabSize())),
      numbers(`softmax(logits)[0, ${position}, ${token.id}]`, token.probability, token.drawn),
    ].join("\n");
  const numbers = (name: string, probability: number, drawn: number | undefined): string =>
    [
      `${name} = ${formatValue(probability)}`,
      ...(drawn === undefined ? [] : [t("drawn with {0}", formatValue(drawn))]),
      ...(inspection ? [traceText(inspection)] : []),
    ].join("\n");

  const drawFound = () => {
    if (!foundTokens) return fill(found);
    const { found: tokens, matches } = foundTokens;
    if (matches === 0)
      return fill(found, el("p", { class: "small muted" }, t("No token of the vocabulary has this text.")));
    const more =
      matches > tokens.length && el("p", { class: "small muted" }, t("{0} more", formatCount(matches - tokens.length)));
    const now = shown(count);
    const rows = tokens.map((token) => {
      const at = asked.indexOf(token.id);
      const row: Row =
        view && at >= 0 ? sampledRow(token, view.drawn[view.model.top.length + at] as number, view.kept) : token;
      return drawBar(row, now ? largestOf(now) : 1, true, explorer ? describe(row) : null);
    });
    fill(found, el("ul", { class: "bars" }, ...rows), more);
  };

  const find = async () => {
    const from = inspection;
    const [query, at] = [search.value, position];
    if (!from || query === "") {
      foundTokens = null;
      return drawFound();
    }
    try {
      const answer = await from.find(searched(query), FOUND, explorer ? at : undefined);
      if (inspection !== from || search.value !== query || position !== at) return;
      foundTokens = { found: answer.found.map(shownToken), matches: answer.matches };
      drawFound();
      if (explorer && answer.found.length > 0) void ask();
    } catch (error) {
      if (inspection !== from) return;
      findProblem.say(error);
      fill(found, findProblem.node);
    }
  };
  search.addEventListener("input", () => void find());

  let asking = false;
  let again = false;
  /** Asks what the sampler does; while that is on its way, only the last change is remembered. */
  const ask = async (): Promise<void> => {
    if (!explorer || !inspection) return;
    // A file has no more than what came after the last token.
    if (inspection.trace.opened && position === inspection.trace.tokens.length - 1) return;
    again = true;
    if (asking) return;
    asking = true;
    setAttr(bars, "aria-busy", true);
    while (again && inspection) {
      again = false;
      const from: Inspection = inspection;
      const at = position;
      const ids = foundTokens?.found.map(({ id }) => id) ?? [];
      try {
        const answer = await from.sampler({ position: at, count: LISTED, ids, ...controls.settings() });
        if (inspection !== from || position !== at) continue;
        problem.clear();
        [view, asked, model] = [answer, ids, answer.model];
      } catch (error) {
        if (inspection !== from || position !== at) continue;
        [view, asked] = [null, []];
        problem.say(error);
      }
      draw();
    }
    asking = false;
    setAttr(bars, "aria-busy", null);
  };

  /** Another run, or another token of it: what is not known of it is not shown of the one before. */
  const move = () => {
    if (!inspection) return;
    const { trace } = inspection;
    const last = trace.tokens.length - 1;
    position = explorer ? Math.min(selection.get().token, last) : last;
    [view, asked] = [null, []];
    model = position === last ? trace.nextToken : null;
    foundTokens = null;
    readout.textContent = "";
    context.textContent =
      position === last
        ? t("After the last token, “{0}”, over all {1} tokens of the vocabulary.", label(), formatCount(vocabSize()))
        : t(
            "After token {0}, “{1}”, over all {2} tokens of the vocabulary.",
            position,
            label(),
            formatCount(vocabSize()),
          );
    draw();
    void ask();
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

/** One row is reached by Tab, the others by arrows. */
function setTabStop(rows: Iterable<HTMLElement>, at: number): void {
  for (const [i, row] of [...rows].entries()) row.tabIndex = i === at ? 0 : -1;
}

const tokenLabelAt = (inspection: Inspection | null, position: number): string => {
  const token = inspection?.trace.tokens[position];
  return token ? tokenLabel(token) : "";
};

const largestOf = (now: Shown): number =>
  Math.max(
    ...now.top.flatMap(({ probability, drawn = 0 }) => [probability, drawn]),
    now.rest.probability,
    now.restDrawn ?? 0,
  ) || 1;

const restLabel = ({ rest }: Shown): string => t("{0} others", formatCount(rest.count));

function factsOf(now: Shown, view: SamplerView | null): string[] {
  const own = t(
    "Entropy {0} bits of at most {1}. The top {2} hold {3}.",
    now.entropyBits.toFixed(3),
    now.maxEntropyBits.toFixed(3),
    now.top.length,
    formatPercent(1 - now.rest.probability),
  );
  if (!view) return [own];
  const { tokens, mass } = view.kept;
  const left = tokens === 1 ? t("1 token") : t("{0} tokens", formatCount(tokens));
  return [
    own,
    " ",
    t(
      "The sampler draws from {0}: {1} of the model’s own probability; its entropy is {2} bits.",
      left,
      formatPercent(mass),
      view.drawnEntropyBits.toFixed(3),
    ),
  ];
}

/** `told` is what is said of the row on hover and focus; where it is null, the row says it by itself. */
function drawBar(token: Row, largest: number, ranked: boolean, told: string | null): HTMLElement {
  const { id, label, probability, rank, drawn, isCut } = token;
  const title =
    told ?? t("“{0}”, id {1}: probability {2}, rank {3}", label, id, String(probability), formatCount(rank));
  const node = el(
    "li",
    { class: isCut ? "bar cut" : "bar", title },
    el("span", { class: "bar-label mono" }, label),
    el("span", { class: "bar-note number" }, ranked ? t("rank {0}", formatCount(rank)) : `#${id}`),
    track(probability / largest, "", drawn === undefined ? undefined : drawn / largest),
    el("span", { class: "bar-value number" }, formatPercent(probability)),
    drawn !== undefined && el("span", { class: "bar-value number drawn" }, isCut ? t("cut") : formatPercent(drawn)),
  );
  if (told !== null) node.dataset.row = told;
  return node;
}

function drawRest(now: Shown, largest: number, told: string | null): HTMLElement {
  const { restDrawn } = now;
  const node = el(
    "li",
    { class: "bar rest" },
    el("span", { class: "bar-label" }, restLabel(now)),
    track(now.rest.probability / largest, "rest", restDrawn === undefined ? undefined : restDrawn / largest),
    el("span", { class: "bar-value number" }, formatPercent(now.rest.probability)),
    restDrawn !== undefined && el("span", { class: "bar-value number drawn" }, formatPercent(restDrawn)),
  );
  if (told !== null) {
    node.dataset.row = told;
    node.title = told;
  }
  return node;
}

/** The model's own share, and below it what the sampler makes of it. */
function track(share: number, kind: string, drawn: number | undefined): HTMLElement {
  const bar = (width: number, look: string) => {
    const fillBar = el("span", { class: `bar-fill ${look}` });
    fillBar.style.width = `${100 * width}%`;
    return fillBar;
  };
  return el(
    "span",
    { class: drawn === undefined ? "bar-track" : "bar-track two", attrs: { "aria-hidden": "true" } },
    bar(share, kind),
    drawn !== undefined && drawn > 0 && bar(drawn, "drawn"),
  );
}
