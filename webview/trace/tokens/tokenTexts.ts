/** Texts and colors of a token: the number below it, its tooltip, its details and its cells in the table. */

import type { TokenSpan } from "../../../src/protocol/engineApi";
import type { Expectations } from "../../../src/protocol/traceApi";
import { formatCount, formatShort, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import type { Theme } from "../../base/theme";
import { type ColorScale, sequentialScale } from "../../charts/colorScale";
import { expectedProbability, hexBytes, idText, tokenLabel, tokenSpanText } from "./layout";

/** The number that colors the tokens. */
export type Color = "none" | "probability" | "surprisal" | "entropy";
/** The text below a token: `color` is the number that colors it. */
export type Below = "id" | "position" | "bytes" | "color";
type Field = readonly [name: string, value: string];

export const colorName = (color: Exclude<Color, "none">): string =>
  ({
    probability: t("Probability"),
    surprisal: t("Surprisal (bits)"),
    entropy: t("Entropy (bits)"),
  })[color];

export const colorMeaning = (color: Color): string =>
  ({
    none: "",
    probability: t("Probability of each token given the tokens before it."),
    surprisal: t("−log₂ of the probability of each token given the tokens before it, in bits."),
    entropy: t("Entropy of the distribution from which each token was predicted, in bits."),
  })[color];

/** The number that colors a token; NaN where there is none. */
export function colorValue(expected: Expectations | null, color: Color, index: number): number {
  if (!expected || color === "none") return Number.NaN;
  if (color === "entropy") return expected.entropy[index] as number;
  return color === "surprisal" ? (expected.surprisal[index] as number) : expectedProbability(expected, index);
}

/** Probabilities go up to 1 for every text, bits up to the largest number of this text. */
export const scaleOf =
  (color: Color, values: Float32Array) =>
  (theme: Theme): ColorScale =>
    sequentialScale(color === "probability" ? 1 : values.reduce((most, bits) => (bits > most ? bits : most), 0), theme);

export const tokenTitle = (token: TokenSpan, index: number): string =>
  t("Token {0}: “{1}”, id {2}", index, tokenLabel(token), idText(token));

export const belowText = (token: TokenSpan, index: number, below: Exclude<Below, "color">): string => {
  if (below === "bytes") return hexBytes(token.bytes);
  return below === "id" ? idText(token) : String(index);
};

/** A color's number, short enough to fit below a token. */
export function shortNumber(value: number, color: Color): string {
  if (Number.isNaN(value)) return "–";
  return color === "probability" && value >= 0.001 ? value.toFixed(3) : formatShort(value);
}

/** Lines of a token's tooltip on its probability; none for the first token. */
export function expectationLines(expected: Expectations | null, index: number): string[] {
  if (!expected || Number.isNaN(expected.surprisal[index])) return [];
  const probability = formatValue(expectedProbability(expected, index));
  return [
    t("probability[{0}] = {1}, rank {2}", index, probability, formatCount(expected.rank[index] as number)),
    t("surprisal[{0}] = {1} bits", index, formatValue(expected.surprisal[index] as number)),
    t("entropy[{0}] = {1} bits", index, formatValue(expected.entropy[index] as number)),
  ];
}

export const tokenFields = (token: TokenSpan, index: number): Field[] => [
  [t("position"), String(index)],
  [t("id"), idText(token)],
  [t("vocabulary"), JSON.stringify(token.token)],
  [t("bytes"), token.bytes.length > 0 ? hexBytes(token.bytes) : "–"],
  [t("characters"), tokenSpanText(token) ?? t("none (special token)")],
];

export function expectationFields(expected: Expectations, index: number): Field[] {
  const isKnown = !Number.isNaN(expected.surprisal[index]);
  const written = (value: number) => (isKnown ? formatValue(value) : t("none (first token)"));
  return [
    [t("probability"), written(expectedProbability(expected, index))],
    [t("surprisal (bits)"), written(expected.surprisal[index] as number)],
    [t("entropy (bits)"), written(expected.entropy[index] as number)],
    [t("rank"), isKnown ? formatCount(expected.rank[index] as number) : "–"],
  ];
}

/** Cells of the table's rows, of which the first `sourceLength` are a translator's source, which is not predicted. */
export const expectationCells = (expected: Expectations, sourceLength: number) => (row: number) => {
  const index = row - sourceLength;
  if (index < 0 || Number.isNaN(expected.surprisal[index])) return ["–", "–", "–", "–"];
  const { surprisal, entropy, rank } = expected;
  return [expectedProbability(expected, index), ...[surprisal, entropy, rank].map((values) => values[index] as number)];
};
