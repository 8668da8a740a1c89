/**
 * The tokens of the text as chips in reading order, colored by how well the run expected them, and beside them another
 * model's tokens of the same text; chooses the token that all views show.
 */

import "./tokens.css";
import type { TokenSpan } from "../../../src/protocol/engineApi";
import type { Expectations } from "../../../src/protocol/traceApi";
import { el, fill } from "../../base/dom";
import { formatCount, formatShort, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import { onThemeChange, readTheme, type Theme } from "../../base/theme";
import { checkbox, dropdown } from "../../base/toolkit";
import { type ColorScale, sequentialScale, toCss } from "../../charts/colorScale";
import { saveable } from "../../charts/pen";
import { createDataBar } from "../../parts/dataBar";
import { createProblem } from "../../parts/problem";
import { type Inspection, sourceTokenOf, type View, type ViewContext } from "../inspection";
import { traceText } from "../provenance";
import { chipsDrawing } from "./chipPicture";
import { createChips } from "./chips";
import { countsText, createComparison } from "./comparison";
import { expectedProbability, hexBytes, idText, tokenLabel, tokenSpanText, tokenTable } from "./layout";

type Color = "none" | "probability" | "surprisal" | "entropy";
type Below = "id" | "position" | "bytes" | "color";

export function createTokensView({ section: makeSection, selection, save, explorer }: ViewContext): View {
  const section = makeSection(t("Tokens"));
  let current: Inspection | null = null;
  let tokens: readonly TokenSpan[] = [];
  let source: readonly TokenSpan[] = [];
  let text = "";
  let glyphs = true;
  let color: Color = "none";
  let below: Below = "id";
  /** How well the run expected its tokens, once that is asked for. */
  let expected: Expectations | null = null;
  /** The token under the pointer, or with the focus, whose numbers are told. */
  let looked: number | null = null;
  /** Whether that is a token of what a translator reads; where none is looked at, which was chosen last. */
  let looksAtSource = false;
  let choseSource = false;

  const look = (index: number | null, ofSource = false) => {
    looked = index;
    looksAtSource = ofSource;
    drawDetails();
  };
  const choose = (index: number, ofSource: boolean) => {
    choseSource = ofSource;
    selection.set(ofSource ? { sourceToken: index } : { token: index });
    drawDetails();
  };
  const strip = createChips(
    t("Tokens"),
    (token) => choose(token, false),
    (index) => {
      look(index);
      if (source.length === 0) comparison?.link(tokens[index ?? -1]);
    },
  );
  /** Of a translator: what it reads, above what it writes. */
  const sourceStrip = createChips(
    t("Tokens of the source"),
    (sourceToken) => choose(sourceToken, true),
    (index) => {
      look(index, true);
      comparison?.link(source[index ?? -1]);
    },
  );
  const read = el("h3", { class: "subheading" }, t("Source"));
  const written = el("h3", { class: "subheading" });
  const own = el("h3", { class: "subheading" });
  const details = el("dl", { class: "token-details" });
  const legend = el("div", { class: "legend" });
  const problem = createProblem(() => void expect());

  const colors = dropdown(t("Color of the tokens"), (value) => {
    color = value as Color;
    below = color === "none" ? "id" : "color";
    void expect();
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
  /** Of a translator, what it reads is what another tokenizer can read too. */
  const mine = () => (source.length > 0 ? source : tokens);
  const comparison =
    explorer &&
    createComparison(explorer, save, {
      linked: (from, end) => (source.length > 0 ? sourceStrip : strip).link(from, end),
      choose: (index) => choose(index, source.length > 0),
      changed: () => drawOwn(),
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
          expected && shifted(expected, source.length),
        ),
      of: () => current,
      ...saveable(() => chipsDrawing(parts())),
    },
    save,
  );
  const controls = el("div", { class: "token-controls" }, colors.node, belows.node, whitespace);
  if (comparison) controls.append(comparison.choice);
  controls.hidden = !explorer;
  section.body.append(controls, legend, problem.node, own, read, sourceStrip.node, written, strip.node, details);
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
      choseSource = false;
      mark(now.token);
    }
    if (now.sourceToken !== before.sourceToken) {
      choseSource = true;
      markSource();
    }
  });

  /** Asks how the tokens were expected, if that is to be seen, and draws. */
  const expect = async () => {
    const from = current;
    problem.clear();
    if (!from || color === "none" || expected) return draw();
    legend.hidden = false;
    fill(legend, t("The run is asked how it expected its tokens…"));
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

  const numberOf = (index: number): number => {
    if (!expected || color === "none") return Number.NaN;
    if (color === "entropy") return expected.entropy[index] as number;
    return color === "surprisal" ? (expected.surprisal[index] as number) : expectedProbability(expected, index);
  };

  const draw = () => {
    const inspection = current;
    if (!inspection) return;
    const values = Float32Array.from(tokens, (_, i) => numberOf(i));
    const scale = scaleOf(color, values);
    const plain = { text, glyphs, title: titleOf, colors: null };
    sourceStrip.show({
      ...plain,
      tokens: source,
      below: (token, i) => belowOf(token, i, below === "color" ? "id" : below),
    });
    strip.show({
      ...plain,
      text: inspection.trace.source?.translation ?? text,
      tokens,
      below: (token, i) => (below === "color" ? shortly(values[i] as number, color) : belowOf(token, i, below)),
      title: (token, i) => [titleOf(token, i), ...numbersOf(i), traceText(inspection)].join("\n"),
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
        ...(colored ? [{ value: "color", label: t("Below: the color’s number") }] : []),
      ],
      below,
    );
    drawColors();
    mark(selection.get().token);
    markSource();
    drawOwn();
    data.update();
  };

  const drawColors = () => {
    strip.paint();
    legend.hidden = !expected || color === "none";
    if (legend.hidden) return;
    const scale = scaleOf(
      color,
      Float32Array.from(tokens, (_, i) => numberOf(i)),
    )(readTheme());
    const [low, high] = scale.domain;
    const bar = el("span", { class: "legend-bar", attrs: { "aria-hidden": "true" } });
    const stops = Array.from({ length: 9 }, (_, i) => toCss(scale.colorAt(low + ((high - low) * i) / 8)));
    bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    const means = {
      none: "",
      probability: t("The probability that the run gave each token after those before it."),
      surprisal: t("−log₂ of the probability that the run gave each token after those before it, in bits."),
      entropy: t("Entropy of the distribution that each token was expected by, in bits."),
    };
    fill(legend, formatShort(low), bar, formatShort(high), el("span", {}, means[color]));
  };

  /** Beside another tokenizer: what there is to compare. */
  const drawOwn = () => {
    const isCompared = comparison?.isShown() ?? false;
    own.hidden = !isCompared;
    if (isCompared && current) fill(own, countsText(current.trace.model.name, mine(), text));
  };

  const numbersOf = (index: number): string[] => {
    if (!expected || Number.isNaN(expected.surprisal[index])) return [];
    const p = expectedProbability(expected, index);
    return [
      t("probability[{0}] = {1}, rank {2}", index, formatValue(p), formatCount(expected.rank[index] as number)),
      t("surprisal[{0}] = {1} bits", index, formatValue(expected.surprisal[index] as number)),
      t("entropy[{0}] = {1} bits", index, formatValue(expected.entropy[index] as number)),
    ];
  };

  const drawDetails = () => {
    if (!current) return;
    const isOfSource = looked === null ? choseSource && source.length > 0 : looksAtSource;
    const chosen = isOfSource ? sourceTokenOf(selection.get(), current.trace) : selection.get().token;
    const index = looked ?? chosen;
    const token = (isOfSource ? source : tokens)[index];
    if (!token) return fill(details);
    const stack: [string, string][] =
      source.length > 0 ? [[t("text"), isOfSource ? t("Source") : t("Translation")]] : [];
    fill(details, ...fieldsOf([...stack, ...detailsOf(token, index)]));
    // What is read is not expected.
    if (!expected || isOfSource) return;
    const isKnown = !Number.isNaN(expected.surprisal[index]);
    const said = (value: number) => (isKnown ? formatValue(value) : t("nothing was before it"));
    details.append(
      ...fieldsOf([
        [t("probability"), said(expectedProbability(expected, index))],
        [t("surprisal (bits)"), said(expected.surprisal[index] as number)],
        [t("entropy (bits)"), said(expected.entropy[index] as number)],
        [t("rank"), isKnown ? formatCount(expected.rank[index] as number) : "–"],
        [t("run"), traceText(current)],
      ]),
    );
  };

  return {
    section,
    asksTensors: false,
    show(inspection) {
      const { trace } = inspection;
      current = inspection;
      expected = null;
      looked = null;
      tokens = trace.tokens;
      source = trace.source?.tokens ?? [];
      // As it was run: offsets are of this text.
      const given = inspection.source.text.replaceAll("\r\n", "\n");
      text = source.length > 0 ? (given.split("\t", 1)[0] ?? "") : given;
      for (const part of [read, sourceStrip.node, written]) part.hidden = source.length === 0;
      fill(written, t("Translation"), el("span", { class: "translation" }, trace.source?.translation ?? ""));
      const counts = t("{0} tokens", formatCount(tokens.length));
      if (source.length > 0)
        section.summarize(t("{0} tokens to {1}", formatCount(source.length), formatCount(tokens.length)));
      else section.summarize(tokens.length === 1 ? t("1 token") : counts);
      draw();
      if (color !== "none") void expect();
      void comparison?.show(inspection, mine(), text, glyphs);
    },
  };
}

const colorName = (color: Exclude<Color, "none">): string =>
  ({
    probability: t("Probability"),
    surprisal: t("Surprisal in bits"),
    entropy: t("Entropy in bits, of what was expected"),
  })[color];

const titleOf = (token: TokenSpan, index: number): string =>
  t("Token {0}: “{1}”, id {2}", index, tokenLabel(token), idText(token));

const belowOf = (token: TokenSpan, index: number, below: Exclude<Below, "color">): string => {
  if (below === "bytes") return hexBytes(token.bytes);
  return below === "id" ? idText(token) : String(index);
};

/** In the little room below a token. */
function shortly(value: number, color: Color): string {
  if (Number.isNaN(value)) return "–";
  return color === "probability" && value >= 0.001 ? value.toFixed(3) : formatShort(value);
}

/** Probabilities have one end for every text; bits end at the most of the text. */
const scaleOf =
  (color: Color, values: Float32Array) =>
  (theme: Theme): ColorScale =>
    sequentialScale(color === "probability" ? 1 : values.reduce((most, bits) => (bits > most ? bits : most), 0), theme);

const fieldsOf = (fields: readonly (readonly [name: string, value: string])[]): HTMLElement[] =>
  fields.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { class: "mono" }, value)));

const detailsOf = (token: TokenSpan, index: number): [name: string, value: string][] => [
  [t("position"), String(index)],
  [t("id"), idText(token)],
  [t("vocabulary"), JSON.stringify(token.token)],
  [t("bytes"), token.bytes.length > 0 ? hexBytes(token.bytes) : "–"],
  [t("characters"), tokenSpanText(token) ?? t("none, a special token")],
];

/** By rows of the table, of which the first `lead` are of what is read. */
const shifted = (expected: Expectations, lead: number) => (row: number) =>
  row < lead || Number.isNaN(expected.surprisal[row - lead])
    ? ["–", "–", "–", "–"]
    : [
        expectedProbability(expected, row - lead),
        expected.surprisal[row - lead] as number,
        expected.entropy[row - lead] as number,
        expected.rank[row - lead] as number,
      ];
