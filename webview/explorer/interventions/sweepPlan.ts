/** The traces of a sweep, which each have one intervention, and the table of their effects. */

import type { Intervention, Part, PatchedValue } from "../../../src/protocol/traceApi";
import type { AlignedTokens } from "../../../src/text/align";
import type { TableData } from "../../charts/csv";
import { type PartGrid, partGrid, type Stack } from "./parts";

export type SweepKind = "ablate" | "patchHeads" | "residPre" | "attnOut" | "crossOut" | "mlpOut";

interface SweepCell {
  readonly row: number;
  readonly col: number;
  readonly intervention: Intervention;
}

export interface Sweep {
  /** The name of each layer. */
  readonly rows: readonly string[];
  /** The names of parts; null if the columns are token positions. */
  readonly columns: readonly string[] | null;
  readonly cols: number;
  /** One trace each. */
  readonly cells: readonly SweepCell[];
}

/** The source of a sweep: another trace, how its tokens are aligned with this one's, and the selected positions. */
export interface SweepSource {
  readonly trace: number;
  /** The stack that is patched. */
  readonly stack: Stack;
  readonly aligned: readonly AlignedTokens[];
  readonly pair: { readonly a: number; readonly b: number };
}

/**
 * The interventions of a sweep. A sweep over positions patches those that are aligned with a token of the other trace;
 * in a decoder only up to `last`, since later positions cannot change the prediction there.
 */
export function sweepOf(
  kind: SweepKind,
  { stacks, last }: { readonly stacks: readonly Stack[]; readonly last: number },
  source: SweepSource | null,
): Sweep {
  if (kind === "ablate") {
    return overParts(partGrid(stacks), (part) => ({ kind: "scale", part, factor: 0 }));
  }
  if (!source) return { rows: [], columns: null, cols: 0, cells: [] };
  const { trace, stack, aligned, pair } = source;
  const patch = (value: PatchedValue, position: number, from: number): Intervention => ({
    kind: "patch",
    value,
    position,
    from: { trace, position: from },
  });
  if (kind === "patchHeads") {
    return overParts(partGrid([stack], ["head", "crossHead"]), (part) =>
      // The grid has no other parts.
      patch(part as Extract<Part, { head: number }>, pair.a, pair.b),
    );
  }
  const cols = stack.stack === "encoder" ? aligned.filter(({ a }) => a !== null).length : last + 1;
  const pairs = aligned.filter(({ a, b }) => a !== null && b !== null && a < cols) as { a: number; b: number }[];
  const { layers, rows } = partGrid([stack]);
  const cells = layers.flatMap((layer, row) =>
    pairs.map(({ a, b }): SweepCell => ({ row, col: a, intervention: patch({ kind, ...layer }, a, b) })),
  );
  return { rows, columns: null, cols, cells };
}

/** The part that an intervention of a sweep over parts changes: heads are patched under the name of their part. */
export const partOf = (intervention: Intervention): Part | PatchedValue =>
  intervention.kind === "scale" ? intervention.part : intervention.value;

/** One trace for each part. */
function overParts({ rows, columns, at }: PartGrid, change: (part: Part) => Intervention): Sweep {
  const cells = rows.flatMap((_, row) =>
    columns.flatMap((_, col): SweepCell[] => {
      const part = at(row, col);
      return part ? [{ row, col, intervention: change(part) }] : [];
    }),
  );
  return { rows, columns, cols: columns.length, cells };
}

/** A table with one row per finished trace of a sweep. */
export function sweepTable(
  title: string,
  { cells, cols }: Sweep,
  values: Float32Array,
  before: number,
  measure: string,
): TableData {
  const done = cells.filter(({ row, col }) => !Number.isNaN(values[row * cols + col] as number));
  return {
    title,
    columns: ["change", "stack", "layer", "head", "position", `${measure} before`, `${measure} after`, "effect"],
    rows: done.length,
    row: (i) => {
      const { row, col, intervention } = done[i] as SweepCell;
      const effect = values[row * cols + col] as number;
      const part = partOf(intervention);
      return [
        `${intervention.kind} ${part.kind}`,
        part.stack ?? "",
        part.layer,
        "head" in part ? part.head : "",
        intervention.kind === "patch" ? intervention.position : "",
        before,
        before + effect,
        effect,
      ];
    },
  };
}
