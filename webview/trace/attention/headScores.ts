/** Scores of attention heads: their names, bars and table. */

import type { AttentionGrid, HeadScore } from "../../../src/protocol/traceApi";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";
import type { HeadId } from "./layout";

export const SCORES: { readonly [S in HeadScore]: { readonly label: () => string; readonly meaning: () => string } } = {
  previousToken: {
    label: () => t("previous token"),
    meaning: () => t("Mean attention to the preceding token, over all tokens but the first."),
  },
  induction: {
    label: () => t("induction"),
    meaning: () =>
      t(
        "Mean attention to the tokens that followed earlier occurrences of the same token, over the tokens that have any.",
      ),
  },
  firstToken: {
    label: () => t("first token"),
    meaning: () => t("Mean attention to the first token, over all later tokens."),
  },
  entropy: {
    label: () => t("entropy"),
    meaning: () =>
      t(
        "Mean entropy of the rows in bits: 0 if every token attends to a single token. Bars are relative to the largest.",
      ),
  },
};

/** The scores that this trace's heads have; a cross-attention, for example, has no previous token. */
export const availableScores = (grid: Pick<AttentionGrid, "scores"> | null): HeadScore[] =>
  grid ? (Object.keys(SCORES) as HeadScore[]).filter((name) => !grid.scores[name].every(Number.isNaN)) : [];

/** Returns the length of a score's bar, 0 to 1; entropies are relative to the largest. */
export function barShare(score: HeadScore | "", values: Float32Array | null): (value: number) => number {
  const known = [...(values ?? [])].filter((x) => !Number.isNaN(x));
  const most = score === "entropy" ? known.reduce((largest, x) => Math.max(largest, x), 0) || 1 : 1;
  return (value) => (Number.isNaN(value) ? 0 : value / most);
}

/** A row per head, in the order of the page. */
export const scoreTable = ({ heads, scores }: AttentionGrid, order: readonly HeadId[]): TableData => ({
  title: t("Head scores"),
  columns: ["layer", "head", ...Object.values(SCORES).map(({ label }) => label())],
  rows: order.length,
  row: (i) => {
    const { layer, head } = order[i] as HeadId;
    const all = Object.keys(SCORES) as HeadScore[];
    return [String(layer), String(head), ...all.map((name) => scores[name][layer * heads + head] as number)];
  },
});
