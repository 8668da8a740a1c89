/** What the model expects after the last token: the most likely tokens, the rest as one, and the rank of any other. */

import { drawBars } from "../../charts/bars";
import { el, fill } from "../../dom";
import { formatCount, formatPercent } from "../../format";
import type { Inspection, View, ViewContext } from "../../inspection";
import { createDataBar } from "../../parts/dataBar";
import { t } from "../../strings";
import { textField } from "../../toolkit";
import { tokenLabel } from "../tokens/layout";
import { type Distribution, distribution, type ShownToken, searched, shownToken } from "./layout";

const TOP = 10;
const FOUND = 6;
/** In the table: all that is told of the vocabulary. */
const LISTED = 100;

export function createNextTokenView({ section: makeSection, save }: ViewContext): View {
  const section = makeSection(t("Next token"));
  const context = el("p", { class: "small muted" });
  const bars = el("ol", { class: "bars", attrs: { "aria-label": t("Most likely next tokens") } });
  const facts = el("p", { class: "small" });
  const search = textField(t("Rank of a token"), t("Find a token: text or #id"));
  const found = el("div", { class: "found", attrs: { role: "status" } });
  let inspection: Inspection | null = null;
  let now: Distribution | null = null;

  const data = createDataBar(
    {
      fileName: () => "next-token",
      table: () => inspection && distributionTable(inspection),
      picture: () =>
        now &&
        drawBars(
          [
            ...now.top.map(({ label, id, probability }) => ({ label, note: `#${id}`, value: probability })),
            restBar(now),
          ],
          formatPercent,
        ),
    },
    save,
  );
  section.body.append(context, bars, facts, search, found, data.node);

  const largest = () => Math.max(now?.top[0]?.probability ?? 1, now?.rest.probability ?? 0);
  const find = async () => {
    const asked = inspection;
    const query = search.value;
    if (!asked || query === "") return fill(found);
    try {
      const { found: tokens, matches } = await asked.find(searched(query), FOUND);
      if (inspection !== asked || search.value !== query) return;
      if (matches === 0)
        return fill(found, el("p", { class: "small muted" }, t("No token of the vocabulary has this text.")));
      const more =
        matches > tokens.length &&
        el("p", { class: "small muted" }, t("{0} more", formatCount(matches - tokens.length)));
      const rows = tokens.map((token) => drawBar(shownToken(token), largest(), true));
      fill(found, el("ul", { class: "bars" }, ...rows), more);
    } catch (error) {
      if (inspection === asked) fill(found, el("p", { class: "inline-problem" }, (error as Error).message));
    }
  };
  search.addEventListener("input", () => void find());

  return {
    section,
    asksTensors: false,
    show(next) {
      inspection = next;
      const { trace } = next;
      const { vocabSize } = trace.model.config;
      now = distribution(trace.nextToken, vocabSize, TOP);
      const last = trace.tokens.at(-1);
      const best = now.top[0];
      section.summarize(best ? `“${best.label}” ${formatPercent(best.probability)}` : "");
      context.textContent = t(
        "After the last token, “{0}”, over all {1} tokens of the vocabulary.",
        last ? tokenLabel(last) : "",
        formatCount(vocabSize),
      );
      fill(bars, ...now.top.map((token) => drawBar(token, largest(), false)), drawRest(now, largest()));
      facts.textContent = t(
        "Entropy {0} bits of at most {1}. The top {2} hold {3}.",
        now.entropyBits.toFixed(3),
        now.maxEntropyBits.toFixed(3),
        now.top.length,
        formatPercent(1 - now.rest.probability),
      );
      void find();
      data.update();
    },
  };
}

const restLabel = ({ rest }: Distribution): string => t("{0} others", formatCount(rest.count));
const restBar = (now: Distribution) => ({ label: restLabel(now), note: "", value: now.rest.probability });

const drawBar = ({ id, label, probability, rank }: ShownToken, largest: number, ranked: boolean): HTMLElement =>
  el(
    "li",
    {
      class: "bar",
      title: t("“{0}”, id {1}: probability {2}, rank {3}", label, id, String(probability), formatCount(rank)),
    },
    el("span", { class: "bar-label mono" }, label),
    el("span", { class: "bar-note number" }, ranked ? t("rank {0}", formatCount(rank)) : `#${id}`),
    track(probability / largest, ""),
    el("span", { class: "bar-value number" }, formatPercent(probability)),
  );

const drawRest = (now: Distribution, largest: number): HTMLElement =>
  el(
    "li",
    { class: "bar rest" },
    el("span", { class: "bar-label" }, restLabel(now)),
    track(now.rest.probability / largest, "rest"),
    el("span", { class: "bar-value number" }, formatPercent(now.rest.probability)),
  );

function track(share: number, kind: string): HTMLElement {
  const bar = el("span", { class: `bar-fill ${kind}` });
  bar.style.width = `${100 * share}%`;
  return el("span", { class: "bar-track", attrs: { "aria-hidden": "true" } }, bar);
}

function distributionTable({ trace }: Inspection) {
  const shown = distribution(trace.nextToken, trace.model.config.vocabSize, LISTED);
  return {
    title: t("Next token"),
    columns: ["rank", "token", "id", "probability"],
    rows: shown.top.length + 1,
    row: (i: number) => {
      const token = shown.top[i];
      if (!token) return [`> ${shown.top.length}`, restLabel(shown), "", shown.rest.probability];
      return [token.rank, token.label, token.id, token.probability];
    },
  };
}
