/** What the lens says in words: pure. Everything from the document and the vocabulary goes into code spans, escaped. */

import { codeSpan, visible } from "../explore/hoverText";
import { l10n } from "../l10n";
import type { ScoredToken } from "./scores";
import { type Cost, STEPS } from "./shading";

/** Markdown. `isNamed`: whether it says which token it is, where nothing else does. */
export function scoredTokenText({ span, surprisal, entropy, rank, alternatives }: ScoredToken, isNamed = true): string {
  const name = isNamed ? [l10n.t("{0}, id {1}", codeSpan(visible(span.token)), span.id)] : [];
  if (span.id < 0)
    return l10n.t("{0} is not in the model's vocabulary: it has no surprisal.", codeSpan(visible(span.token)));
  if (Number.isNaN(surprisal))
    return [...name, l10n.t("Nothing stands before it, so nothing was expected.")].join("  \n");
  const lines = [
    ...name,
    l10n.t("surprisal {0} bits, probability {1}", `**${digits(surprisal)}**`, digits(2 ** -surprisal)),
    l10n.t("rank {0}; entropy {1} bits", String(rank), digits(entropy)),
  ];
  const rows = alternatives.map(
    ({ id, text, probability }) => `| ${inCell(codeSpan(visible(text)))} | ${id} | ${digits(probability)} |`,
  );
  if (rows.length === 0) return lines.join("  \n");
  const head = `| ${l10n.t("most likely here")} | ${l10n.t("id")} | ${l10n.t("probability")} |\n|---|--:|--:|`;
  return `${lines.join("  \n")}\n\n${head}\n${rows.join("\n")}`;
}

/** Six significant digits. */
const digits = (value: number): string => String(Number(value.toPrecision(6)));

/** In a table, a bar ends a cell even inside code. */
const inCell = (markdown: string): string => markdown.replaceAll("|", "\\|");

export interface LensState {
  readonly model: string | null;
  /** Of the selection, where something is selected. */
  readonly cost: Cost;
  readonly selection: boolean;
  /** Share of the document that is scored. */
  readonly scored: number;
  readonly problem: string | null;
}

/** The status bar's text. */
export function statusText({ cost, selection, scored, problem }: LensState): string {
  if (problem) return `$(warning) ${l10n.t("Surprisal")}`;
  const value = cost.bytes > 0 ? (cost.bits / cost.bytes).toFixed(3) : "–";
  const about = [
    ...(selection ? [l10n.t("selection")] : scored < 1 ? [l10n.t("{0} % scored", Math.floor(100 * scored))] : []),
    ...(cost.unknown > 0 ? [l10n.t("{0} unknown", cost.unknown)] : []),
  ];
  return `$(pulse) ${l10n.t("{0} bits/byte", value)}${about.length > 0 ? ` (${about.join(", ")})` : ""}`;
}

/** The status bar's tooltip: the numbers, and which color is what. Markdown with colors. */
export function statusTooltip({ model, cost, selection, problem }: LensState): string {
  if (problem) return problem;
  const of = selection
    ? l10n.t(
        "Surprisal of the selection by {0}: {1} bits over {2} bytes.",
        model ?? "",
        cost.bits.toFixed(1),
        cost.bytes,
      )
    : l10n.t(
        "Surprisal of what is scored by {0}: {1} bits over {2} bytes.",
        model ?? "",
        cost.bits.toFixed(1),
        cost.bytes,
      );
  const left = [
    ...(cost.unscored > 0 ? [l10n.t("Tokens without surprisal, left out: {0}.", cost.unscored)] : []),
    ...(cost.unknown > 0 ? [l10n.t("Of these the model's vocabulary lacks {0}.", cost.unknown)] : []),
  ];
  const context = l10n.t("Of a long text, each token was expected by at least half a context before it.");
  const lines = [l10n.t("dotted line"), l10n.t("dashed line"), l10n.t("line"), l10n.t("thick line")];
  const steps = STEPS.map((bits, i) => {
    const next = STEPS[i + 1];
    const range = next ? l10n.t("{0} to {1} bits", bits, next) : l10n.t("{0} bits and more", bits);
    return `${swatch(i)} ${range}, ${lines[i]}`;
  });
  const expected = l10n.t("No color: under {0} bits, expected, or without surprisal.", STEPS[0]);
  return [of, ...left, context, "", ...steps, expected].join("  \n");
}

/** Of a theme's color, as VS Code lets markdown have it. */
const swatch = (step: number): string =>
  `<span style="background-color:var(--vscode-decoderLab-surprisal${step + 1});">&nbsp;&nbsp;&nbsp;&nbsp;</span>`;
