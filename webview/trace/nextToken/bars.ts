/** Rows of the next-token list: label, note, bar and probability, with a second bar for what the sampler draws. */

import { el } from "../../base/dom";
import { formatCount, formatPercent } from "../../base/format";
import { t } from "../../base/strings";
import type { Row, Shown } from "./layout";
import { restText } from "./texts";

/** Probability of the longest bar. */
export const largestOf = (shown: Shown): number =>
  Math.max(
    ...shown.top.flatMap(({ probability, drawn = 0 }) => [probability, drawn]),
    shown.rest.probability,
    shown.restDrawn ?? 0,
  ) || 1;

/** `description` is shown on hover and focus; null where the row can show only its tooltip. */
export function drawBar(token: Row, largest: number, isRanked: boolean, description: string | null): HTMLElement {
  const { id, label, probability, rank, drawn, isCut } = token;
  const title =
    description ?? t("“{0}”, id {1}: probability {2}, rank {3}", label, id, String(probability), formatCount(rank));
  const node = el(
    "li",
    { class: isCut ? "bar cut" : "bar", title },
    el("span", { class: "bar-label mono" }, label),
    el("span", { class: "bar-note number" }, isRanked ? t("rank {0}", formatCount(rank)) : `#${id}`),
    drawTrack(probability / largest, "", drawn === undefined ? undefined : drawn / largest),
    el("span", { class: "bar-value number" }, formatPercent(probability)),
    drawn !== undefined && el("span", { class: "bar-value number drawn" }, isCut ? t("removed") : formatPercent(drawn)),
  );
  if (description !== null) node.dataset.row = description;
  return node;
}

/** The tokens that are not listed, as one row. */
export function drawRest(shown: Shown, largest: number, description: string | null): HTMLElement {
  const { rest, restDrawn } = shown;
  const node = el(
    "li",
    { class: "bar rest" },
    el("span", { class: "bar-label" }, restText(shown)),
    drawTrack(rest.probability / largest, "rest", restDrawn === undefined ? undefined : restDrawn / largest),
    el("span", { class: "bar-value number" }, formatPercent(rest.probability)),
    restDrawn !== undefined && el("span", { class: "bar-value number drawn" }, formatPercent(restDrawn)),
  );
  if (description !== null) {
    node.dataset.row = description;
    node.title = description;
  }
  return node;
}

/** The model's share above the sampler's. */
function drawTrack(share: number, kind: string, drawn: number | undefined): HTMLElement {
  const bar = (width: number, look: string) => {
    const node = el("span", { class: `bar-fill ${look}` });
    node.style.width = `${100 * width}%`;
    return node;
  };
  return el(
    "span",
    { class: drawn === undefined ? "bar-track" : "bar-track two", attrs: { "aria-hidden": "true" } },
    bar(share, kind),
    drawn !== undefined && drawn > 0 && bar(drawn, "drawn"),
  );
}
