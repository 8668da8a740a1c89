/** Where a task's answers are right and wrong: pure, so that it can be tested. */

import type { EvalReport } from "../../../src/protocol/engineApi";
import { t } from "../../base/strings";
import type { TableData } from "../../charts/csv";

type Task = NonNullable<EvalReport["task"]>;

/** How often each digit was answered where another was expected, by the answer's digit: a row for each pair. */
export function confusionTable({ confusion }: Task): TableData {
  const cells = confusion.flatMap((rows, place) =>
    rows.flatMap((row, expected) => row.map((count, answered) => [place + 1, expected, answered, count])),
  );
  return {
    title: t("Expected and answered digits"),
    columns: [t("digit"), t("expected"), t("answered"), t("times")],
    rows: cells.length,
    row: (i) => cells[i] as number[],
  };
}

/** Of one digit of the answer: each row's shares, [10, 10], so that rare digits are seen as well. */
export function confusionShares(counts: readonly (readonly number[])[]): Float32Array {
  return Float32Array.from(
    counts.flatMap((row) => {
      const total = row.reduce((sum, count) => sum + count, 0);
      return row.map((count) => (total > 0 ? count / total : 0));
    }),
  );
}

/** A bar of a list: what it is about, the share that is right, and of how many. */
export interface Share {
  readonly label: string;
  readonly share: number;
  readonly note: string;
}

export const digitShares = ({ byDigit }: Task): Share[] =>
  byDigit.map((share, place) => ({ label: t("digit {0}", place + 1), share, note: "" }));

export const carryShares = ({ byCarry }: Task): Share[] =>
  byCarry.map(({ carries, right, of }) => ({
    label: carries === 1 ? t("1 carry") : t("{0} carries", carries),
    share: of > 0 ? right / of : 0,
    note: t("{0} of {1}", right, of),
  }));
