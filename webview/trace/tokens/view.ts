/**
 * The tokens of the text as chips in reading order, colored by their probability on request, and another tokenizer's
 * tokens of the same text. Selects the token for all views.
 */

import "./tokens.css";
import type { TokenSpan } from "../../../src/protocol/engineApi";
import type { Expectations } from "../../../src/protocol/traceApi";
import { el, fill } from "../../base/dom";
import { formatCount, formatShort } from "../../base/format";
import { t } from "../../base/strings";
import { onThemeChange, readTheme } from "../../base/theme";
import { checkbox, dropdown } from "../../base/toolkit";
import { toCss } from "../../charts/colorScale";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { type Inspection, sourceTokenOf, type View, type ViewContext } from "../inspection";
import { traceText } from "../provenance";
import { chipsDrawing } from "./chipPicture";
import { createChips } from "./chips";
import { countsText, createComparison } from "./comparison";
import { tokenTable } from "./layout";
import {
  type Below,
  belowText,
  type Color,
  colorMeaning,
  colorName,
  colorValue,
  expectationCells,
  expectationFields,
  expectationLines,
  scaleOf,
  shortNumber,
  tokenFields,
  tokenTitle,
} from "./tokenTexts";

export function createTokensView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Tokens"));
  let current: Inspection | null = null;
  let tokens: readonly TokenSpan[] = [];
  let source: readonly TokenSpan[] = [];
  let text = "";
  let glyphs = true;
  let color: Color = "none";
  let below: Below = "id";
  /** Probabilities of the tokens, once a color needs them. */
  let expected: Expectations | null = null;
  /** The token under the pointer or with the focus; the details show it instead of the selected one. */
  let pointed: { readonly index: number; readonly isOfSource: boolean } | null = null;
  /** True if a translator's source token was selected last. */
  let isSourceSelected = false;

  const point = (index: number | null, isOfSource = false) => {
    pointed = index === null ? null : { index, isOfSource };
    drawDetails();
  };
  const choose = (index: number, isOfSource: boolean) => {
    isSourceSelected = isOfSource;
    selection.set(isOfSource ? { sourceToken: index } : { token: index });
    drawDetails();
  };
  const strip = createChips(
    t("Tokens"),
    (token) => choose(token, false),
    (index) => {
      point(index);
      if (source.length === 0) comparison?.link(tokens[index ?? -1]);
    },
  );
  /** A translator's source, above its translation. */
  const sourceStrip = createChips(
    t("Tokens of the source"),
    (sourceToken) => choose(sourceToken, true),
    (index) => {
      point(index, true);
      comparison?.link(source[index ?? -1]);
    },
  );
  const sourceTitle = el("h3", { class: "subheading" }, t("Source"));
  const translationTitle = el("h3", { class: "subheading" });
  const countsTitle = el("h3", { class: "subheading" });
  const details = el("dl", { class: "token-details" });
  const legend = el("div", { class: "legend" });
  const problem = createProblem(() => void loadColors());

  const colors = dropdown(t("Token color"), (value) => {
    color = value as Color;
    below = color === "none" ? "id" : "color";
    void loadColors();
  });
  const belows = dropdown(t("Below each token"), (value) => {
    below = value as Below;
    draw();
  });
  const whitespace = checkbox(t("Whitespace as glyphs"), glyphs, (checked) => {
    glyphs = checked;
    draw();
    comparison?.draw(glyphs);
  });
  /** Tokens to compare with another tokenizer's: a translator's source. */
  const comparedTokens = () => (source.length > 0 ? source : tokens);
  const comparison =
    explorer &&
    createComparison(explorer, save, {
      linked: (from, end) => (source.length > 0 ? sourceStrip : strip).link(from, end),
      choose: (index) => choose(index, source.length > 0),
      changed: () => drawCounts(),
    });

  const parts = () => [
    ...(source.length > 0 ? [{ title: t("Source"), ...sourceStrip.boxes() }] : []),
    {
      title: [current?.trace.model.name, expected && color !== "none" && colorName(color)].filter(Boolean).join(": "),
      ...strip.boxes(),
    },
  ];
  const data = createDataBar(
    {
      fileName: () => "tokens",
      table: () =>
        tokenTable(
          source.length > 0 ? t("Tokens of the source, then of the translation") : t("Tokens"),
          [...source, ...tokens],
          expected && expectationCells(expected, source.length),
        ),
      of: () => current,
      drawing: () => chipsDrawing(parts()),
    },
    save,
  );
  const controls = el("div", { class: "token-controls" }, colors.node, belows.node, whitespace);
  if (comparison) controls.append(comparison.choice);
  controls.hidden = !explorer;
  section.body.append(
    controls,
    legend,
    problem.node,
    countsTitle,
    sourceTitle,
    sourceStrip.node,
    translationTitle,
    strip.node,
    details,
  );
  section.body.append(data.node);
  if (comparison) section.body.append(comparison.node);
  if (explorer) onThemeChange(() => drawColors());

  const markSource = () => {
    if (current) sourceStrip.mark(sourceTokenOf(selection.get(), current.trace));
    drawDetails();
  };
  const mark = (index: number) => {
    strip.mark(index);
    drawDetails();
  };
  selection.subscribe((now, before) => {
    if (now.token !== before.token) {
      isSourceSelected = false;
      mark(now.token);
    }
    if (now.sourceToken !== before.sourceToken) {
      isSourceSelected = true;
      markSource();
    }
  });

  /** Fetches the probabilities if the color needs them, and draws. */
  const loadColors = async () => {
    const from = current;
    problem.clear();
    if (!from || color === "none" || expected) return draw();
    legend.hidden = false;
    fill(legend, t("Computing token probabilities…"));
    try {
      const answer = await from.ask("expectations", {});
      if (from !== current) return;
      expected = answer;
    } catch (error) {
      if (from !== current) return;
      color = "none";
      problem.say(error);
    }
    draw();
  };

  const colorValues = () => Float32Array.from(tokens, (_, i) => colorValue(expected, color, i));

  const draw = () => {
    const inspection = current;
    if (!inspection) return;
    const values = colorValues();
    const scale = scaleOf(color, values);
    const plain = { text, glyphs, title: tokenTitle, colors: null };
    sourceStrip.show({
      ...plain,
      tokens: source,
      below: (token, i) => belowText(token, i, below === "color" ? "id" : below),
    });
    strip.show({
      ...plain,
      text: inspection.trace.source?.translation ?? text,
      tokens,
      below: (token, i) => (below === "color" ? shortNumber(values[i] as number, color) : belowText(token, i, below)),
      title: (token, i) => [tokenTitle(token, i), ...expectationLines(expected, i), traceText(inspection)].join("\n"),
      colors: expected && color !== "none" ? { values, scale } : null,
    });
    const colored = expected !== null && color !== "none";
    colors.update(
      [
        { value: "none", label: t("No color") },
        ...(["probability", "surprisal", "entropy"] as const).map((value) => ({ value, label: colorName(value) })),
      ],
      color,
    );
    belows.update(
      [
        { value: "id", label: t("Below: id") },
        { value: "position", label: t("Below: position") },
        { value: "bytes", label: t("Below: bytes") },
        ...(colored ? [{ value: "color", label: t("Below: color value") }] : []),
      ],
      below,
    );
    drawColors();
    mark(selection.get().token);
    markSource();
    drawCounts();
    data.update();
  };

  const drawColors = () => {
    strip.paint();
    legend.hidden = !expected || color === "none";
    if (legend.hidden) return;
    const scale = scaleOf(color, colorValues())(readTheme());
    const [low, high] = scale.domain;
    const bar = el("span", { class: "legend-bar", attrs: { "aria-hidden": "true" } });
    const stops = Array.from({ length: 9 }, (_, i) => toCss(scale.colorAt(low + ((high - low) * i) / 8)));
    bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    fill(legend, formatShort(low), bar, formatShort(high), el("span", {}, colorMeaning(color)));
  };

  /** Shows the counts while another tokenizer is compared. */
  const drawCounts = () => {
    const isCompared = comparison?.isShown() ?? false;
    countsTitle.hidden = !isCompared;
    if (isCompared && current) fill(countsTitle, countsText(current.trace.model.name, comparedTokens(), text));
  };

  const drawDetails = () => {
    if (!current) return;
    const isSource = isSourceSelected && source.length > 0;
    const selected = isSource ? sourceTokenOf(selection.get(), current.trace) : selection.get().token;
    const { index, isOfSource } = pointed ?? { index: selected, isOfSource: isSource };
    const token = (isOfSource ? source : tokens)[index];
    if (!token) return fill(details);
    const stack = [t("text"), isOfSource ? t("Source") : t("Translation")] as const;
    const fields = [...(source.length > 0 ? [stack] : []), ...tokenFields(token, index)];
    // A translator's source is not predicted.
    if (expected && !isOfSource) fields.push(...expectationFields(expected, index), [t("trace"), traceText(current)]);
    fill(
      details,
      ...fields.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { class: "mono" }, value))),
    );
  };

  return {
    section,
    asksTensors: false,
    show(inspection) {
      const { trace } = inspection;
      current = inspection;
      expected = null;
      pointed = null;
      tokens = trace.tokens;
      source = trace.source?.tokens ?? [];
      // The tokens' offsets refer to the text with these line breaks.
      const given = inspection.source.text.replaceAll("\r\n", "\n");
      text = source.length > 0 ? (given.split("\t", 1)[0] ?? "") : given;
      for (const part of [sourceTitle, sourceStrip.node, translationTitle]) part.hidden = source.length === 0;
      fill(translationTitle, t("Translation"), el("span", { class: "translation" }, trace.source?.translation ?? ""));
      if (source.length > 0)
        section.summarize(t("{0} tokens to {1}", formatCount(source.length), formatCount(tokens.length)));
      else section.summarize(tokens.length === 1 ? t("1 token") : t("{0} tokens", formatCount(tokens.length)));
      draw();
      if (color !== "none") void loadColors();
      void comparison?.show(inspection, comparedTokens(), text, glyphs);
    },
  };
}
