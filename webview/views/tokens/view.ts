/** The tokens of the inspected text, as chips in reading order; chooses the token that all views show. */

import type { TokenSpan } from "../../../src/protocol/engineApi";
import { el, fill, setAttr } from "../../dom";
import { formatCount } from "../../format";
import type { View, ViewContext } from "../../inspection";
import { createDataBar } from "../../parts/dataBar";
import { t } from "../../strings";
import { hexBytes, type TokenChip, tokenChips, tokenLabel, tokenSpanText } from "./layout";

export function createTokensView({ section: makeSection, selection, save }: ViewContext): View {
  const section = makeSection(t("Tokens"));
  const strip = createChips(t("Tokens"), (token) => selection.set({ token }));
  /** Of a translator: what it reads, above what it writes. */
  const sourceStrip = createChips(t("Tokens of the source"), (sourceToken) => selection.set({ sourceToken }));
  const read = el("h3", { class: "subheading" }, t("Source"));
  const written = el("h3", { class: "subheading" });
  const details = el("dl", { class: "token-details" });
  let tokens: readonly TokenSpan[] = [];
  let source: readonly TokenSpan[] = [];

  const table = () => ({
    ...tokenTable([...source, ...tokens]),
    ...(source.length > 0 && { title: t("Tokens of the source, then of the translation") }),
  });
  const data = createDataBar({ fileName: () => "tokens", table }, save);
  section.body.append(read, sourceStrip.node, written, strip.node, details, data.node);

  const markSource = () => sourceStrip.mark(Math.min(selection.get().sourceToken ?? 0, source.length - 1));
  const mark = (index: number) => {
    strip.mark(index);
    const token = tokens[index];
    if (token) fill(details, ...detailsOf(token, index));
  };
  selection.subscribe((now, before) => {
    if (now.token !== before.token) mark(now.token);
    if (now.sourceToken !== before.sourceToken) markSource();
  });

  return {
    section,
    asksTensors: false,
    show({ trace }) {
      tokens = trace.tokens;
      source = trace.source?.tokens ?? [];
      strip.show(tokens);
      sourceStrip.show(source);
      for (const part of [read, sourceStrip.node, written]) part.hidden = source.length === 0;
      fill(written, t("Translation"), el("span", { class: "translation" }, trace.source?.translation ?? ""));
      const counts = t("{0} tokens", formatCount(tokens.length));
      if (source.length > 0)
        section.summarize(t("{0} tokens to {1}", formatCount(source.length), formatCount(tokens.length)));
      else section.summarize(tokens.length === 1 ? t("1 token") : counts);
      markSource();
      mark(selection.get().token);
      data.update();
    },
  };
}

/** Tokens as chips of which one is chosen. */
function createChips(label: string, choose: (index: number) => void) {
  const node = el("div", {
    class: "token-strip",
    attrs: { role: "listbox", "aria-label": label, "aria-orientation": "horizontal" },
  });
  let chips: readonly HTMLElement[] = [];
  let chosen = 0;
  node.addEventListener("keydown", (event) => {
    const to = moveToken(event.key, chosen, chips.length);
    if (to === null) return;
    event.preventDefault();
    choose(to);
    chips[to]?.focus();
  });
  return {
    node,
    show(tokens: readonly TokenSpan[]) {
      const laidOut = tokenChips(tokens);
      chips = laidOut.map((chip) => drawChip(chip, () => choose(chip.index)));
      let line = el("div", { class: "token-line" });
      fill(node, line);
      laidOut.forEach((chip, i) => {
        line.append(chips[i] as HTMLElement);
        if (chip.breakAfter && i < laidOut.length - 1) {
          line = el("div", { class: "token-line" });
          node.append(line);
        }
      });
    },
    mark(index: number) {
      chosen = index;
      chips.forEach((chip, i) => {
        setAttr(chip, "aria-selected", String(i === index));
        chip.tabIndex = i === index ? 0 : -1;
      });
      const chip = chips[index];
      if (chip) scrollTo(node, chip);
    },
  };
}

/** Scrolls the strip, not the page. */
function scrollTo(strip: HTMLElement, chip: HTMLElement): void {
  const top = chip.offsetTop;
  const bottom = top + chip.offsetHeight;
  if (top < strip.scrollTop) strip.scrollTop = top;
  else if (bottom > strip.scrollTop + strip.clientHeight) strip.scrollTop = bottom - strip.clientHeight;
}

function drawChip(chip: TokenChip, choose: () => void): HTMLElement {
  const { index, id, label, kind, joined } = chip;
  const node = el(
    "div",
    {
      class: `token ${kind}${joined ? " joined" : ""}`,
      title: t("Token {0}: “{1}”, id {2}", index, label, id),
      attrs: { role: "option" },
      on: { click: choose },
    },
    el("span", { class: "token-text" }, label),
    el("span", { class: "visually-hidden" }, t(", id ")),
    el("span", { class: "token-id" }, id),
    el("span", { class: "visually-hidden" }, t(", position {0}", index)),
  );
  return node;
}

function detailsOf(token: TokenSpan, index: number): HTMLElement[] {
  const span = tokenSpanText(token);
  const fields: [name: string, value: string][] = [
    [t("position"), String(index)],
    [t("id"), String(token.id)],
    [t("vocabulary"), JSON.stringify(token.token)],
    [t("bytes"), token.bytes.length > 0 ? hexBytes(token.bytes) : "–"],
    [t("characters"), span ?? t("none, a special token")],
  ];
  return fields.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { class: "mono" }, value)));
}

/** The token that a key moves to; null for other keys. */
export function moveToken(key: string, from: number, count: number): number | null {
  const last = count - 1;
  if (last < 0) return null;
  if (key === "ArrowRight" || key === "ArrowDown") return Math.min(last, from + 1);
  if (key === "ArrowLeft" || key === "ArrowUp") return Math.max(0, from - 1);
  if (key === "Home") return 0;
  return key === "End" ? last : null;
}

const tokenTable = (tokens: readonly TokenSpan[]) => ({
  title: t("Tokens"),
  columns: ["position", "token", "id", "kind", "bytes", "start", "end"],
  rows: tokens.length,
  row: (i: number) => {
    const token = tokens[i] as TokenSpan;
    return [
      i,
      tokenLabel(token),
      token.id,
      token.special ? "special" : "text",
      hexBytes(token.bytes),
      token.start,
      token.end,
    ];
  },
});
