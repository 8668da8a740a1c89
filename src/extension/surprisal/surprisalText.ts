/** Texts of the surprisal lens. Text from the document and the vocabulary is escaped and put into code spans. */

import { visible } from "../explore/hoverText";
import { l10n } from "../l10n";
import { codeSpan, codeSpanInCell, plainText } from "../markdown";
import type { ScoredToken } from "./scores";
import { type Cost, STEPS } from "./shading";

/** The Markdown of the hover. `isNamed` adds the token itself, if no other hover shows it. */
export function scoredTokenText({ span, surprisal, entropy, rank, alternatives }: ScoredToken, isNamed = true): string {
  const name = isNamed ? [l10n.t("{0}, id {1}", codeSpan(visible(span.token)), span.id)] : [];
  if (span.id < 0)
    return l10n.t("{0} is not in the model's vocabulary and has no surprisal.", codeSpan(visible(span.token)));
  if (Number.isNaN(surprisal))
    return [...name, l10n.t("It has no surprisal, because no token precedes it.")].join("  \n");
  const lines = [
    ...name,
    l10n.t("surprisal {0} bits, probability {1}", `**${digits(surprisal)}**`, digits(2 ** -surprisal)),
    l10n.t("rank {0}; entropy {1} bits", String(rank), digits(entropy)),
  ];
  const rows = alternatives.map(
    ({ id, text, probability }) => `| ${codeSpanInCell(visible(text))} | ${id} | ${digits(probability)} |`,
  );
  if (rows.length === 0) return lines.join("  \n");
  const head = `| ${l10n.t("most likely here")} | ${l10n.t("id")} | ${l10n.t("probability")} |\n|---|--:|--:|`;
  return `${lines.join("  \n")}\n\n${head}\n${rows.join("\n")}`;
}

/** Six significant digits. */
const digits = (value: number): string => String(Number(value.toPrecision(6)));

export interface LensState {
  readonly model: string | null;
  /** The cost of the selection, or of the document without one. */
  readonly cost: Cost;
  readonly selection: boolean;
  /** Share of the document that is scored. */
  readonly scored: number;
  readonly problem: string | null;
}

/** The text of the status bar item. */
export function statusText({ cost, selection, scored, problem }: LensState): string {
  if (problem) return `$(warning) ${l10n.t("Surprisal")}`;
  const value = cost.bytes > 0 ? (cost.bits / cost.bytes).toFixed(3) : "–";
  const details = [
    ...(selection
      ? [l10n.t("selection")]
      : scored < 1
        ? [l10n.t("{0} % of file scored", Math.floor(100 * scored))]
        : []),
    ...(cost.unknown > 0 ? [l10n.t("{0} unknown", cost.unknown)] : []),
  ];
  return `$(pulse) ${l10n.t("{0} bits/byte", value)}${details.length > 0 ? ` (${details.join(", ")})` : ""}`;
}

/** The tooltip of the status bar item: the numbers and a legend, in Markdown with HTML colors. */
export function statusTooltip({ model, cost, selection, problem }: LensState): string {
  if (problem) return plainText(problem);
  const summary = selection
    ? l10n.t(
        "Surprisal of the selection by {0}: {1} bits over {2} bytes.",
        plainText(model ?? ""),
        cost.bits.toFixed(1),
        cost.bytes,
      )
    : l10n.t(
        "Surprisal of the scored text by {0}: {1} bits over {2} bytes.",
        plainText(model ?? ""),
        cost.bits.toFixed(1),
        cost.bytes,
      );
  const skipped = [
    ...(cost.unscored > 0 ? [l10n.t("Skipped tokens without surprisal: {0}.", cost.unscored)] : []),
    ...(cost.unknown > 0 ? [l10n.t("Not in the model's vocabulary: {0}.", cost.unknown)] : []),
  ];
  const context = l10n.t("In a long text, each token is predicted from at least half a context length before it.");
  const lines = [l10n.t("dotted line"), l10n.t("dashed line"), l10n.t("solid line"), l10n.t("thick line")];
  const steps = STEPS.map((bits, i) => {
    const next = STEPS[i + 1];
    const range = next ? l10n.t("{0} to {1} bits", bits, next) : l10n.t("{0} bits or more", bits);
    return `${swatch(i)} ${range}, ${lines[i]}`;
  });
  const uncolored = l10n.t("No color: less than {0} bits, or no surprisal.", STEPS[0]);
  return [summary, ...skipped, context, "", ...steps, uncolored].join("  \n");
}

/** A swatch of a theme color, in the HTML that VS Code allows in Markdown. */
const swatch = (step: number): string =>
  `<span style="background-color:var(--vscode-decoderLab-surprisal${step + 1});">&nbsp;&nbsp;&nbsp;&nbsp;</span>`;
