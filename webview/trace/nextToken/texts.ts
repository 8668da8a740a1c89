/** Sentences about a next-token distribution. */

import type { SamplerView } from "../../../src/protocol/traceApi";
import { formatCount, formatPercent, formatValue } from "../../base/format";
import { t } from "../../base/strings";
import type { Inspection } from "../inspection";
import { traceText } from "../provenance";
import { tokenLabel } from "../tokens/layout";
import type { Row, Shown } from "./layout";

/** A position in a trace, whose next token is shown. */
export interface Position {
  readonly inspection: Inspection;
  readonly index: number;
}

const vocabSizeOf = ({ inspection }: Position): number => inspection.trace.model.config.vocabSize;

export function labelAt({ inspection, index }: Position): string {
  const token = inspection.trace.tokens[index];
  return token ? tokenLabel(token) : "";
}

export function contextText(at: Position): string {
  const [label, size] = [labelAt(at), formatCount(vocabSizeOf(at))];
  return at.index === at.inspection.trace.tokens.length - 1
    ? t("After the last token, “{0}”, over all {1} tokens of the vocabulary.", label, size)
    : t("After token {0}, “{1}”, over all {2} tokens of the vocabulary.", at.index, label, size);
}

export const restText = ({ rest }: Shown): string => t("{0} others", formatCount(rest.count));

/** Entropy and coverage of the distribution, and of the sampler's where it is known. */
export function factsText(shown: Shown, view: SamplerView | null): string {
  const own = t(
    "Entropy: {0} of at most {1} bits. The top {2} tokens have {3} of the probability.",
    shown.entropyBits.toFixed(3),
    shown.maxEntropyBits.toFixed(3),
    shown.top.length,
    formatPercent(1 - shown.rest.probability),
  );
  if (!view) return own;
  const { tokens, mass } = view.kept;
  const kept = tokens === 1 ? t("1 token") : t("{0} tokens", formatCount(tokens));
  const sampler = t(
    "The sampler draws from {0} with {1} of the probability. Its entropy is {2} bits.",
    kept,
    formatPercent(mass),
    view.drawnEntropyBits.toFixed(3),
  );
  return `${own} ${sampler}`;
}

/** A token with the source of its number. */
export function describeToken(at: Position, token: Row): string {
  const { id, label, rank, probability, drawn } = token;
  const name = `softmax(logits)[0, ${at.index}, ${id}]`;
  return [
    t("“{0}”, id {1}, rank {2} of {3}", label, id, formatCount(rank), formatCount(vocabSizeOf(at))),
    describeProbability(at, name, probability, drawn),
  ].join("\n");
}

export const describeProbability = (
  { inspection }: Position,
  name: string,
  probability: number,
  drawn: number | undefined,
): string =>
  [
    `${name} = ${formatValue(probability)}`,
    ...(drawn === undefined ? [] : [t("sampled with {0}", formatValue(drawn))]),
    traceText(inspection),
  ].join("\n");
