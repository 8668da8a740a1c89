/** Accuracy by digit and by carries, and the confusion of digits, without drawing. */

import type { EvalReport } from "../../../src/protocol/engineApi";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";

type Task = NonNullable<EvalReport["task"]>;

/** Counts of each (expected, answered) pair of digits, for each digit position of the answer. */
export function confusionTable({ confusion }: Task): TableData {
  const cells = confusion.flatMap((rows, position) =>
    rows.flatMap((row, expected) => row.map((count, answered) => [position + 1, expected, answered, count])),
  );
  return {
    title: t("Expected and answered digits"),
    columns: [t("digit"), t("expected"), t("answered"), t("count")],
    rows: cells.length,
    row: (i) => cells[i] as number[],
  };
}

/** Counts of one digit position as shares of their row, [10, 10], so that rare digits are visible too. */
export function confusionShares(counts: readonly (readonly number[])[]): Float32Array {
  return Float32Array.from(
    counts.flatMap((row) => {
      const total = row.reduce((sum, count) => sum + count, 0);
      return row.map((count) => (total > 0 ? count / total : 0));
    }),
  );
}

/** A bar of a list: its label, the share of correct answers, and a note such as "5 of 9". */
export interface Share {
  readonly label: string;
  readonly share: number;
  readonly note: string;
}

export const digitShares = ({ byDigit }: Task): Share[] =>
  byDigit.map((share, position) => ({ label: t("digit {0}", position + 1), share, note: "" }));

export const carryShares = ({ byCarry }: Task): Share[] =>
  byCarry.map(({ carries, right, of }) => ({
    label: carries === 1 ? t("1 carry") : t("{0} carries", carries),
    share: of > 0 ? right / of : 0,
    note: t("{0} of {1}", right, of),
  }));
