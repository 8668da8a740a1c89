/** Lists of interventions: scaled parts and patched values. */

import type { Intervention, Part, PatchedValue } from "../../../src/protocol/traceApi";

const isSame = (a: Part | PatchedValue, b: Part | PatchedValue): boolean =>
  a.kind === b.kind && a.layer === b.layer && a.stack === b.stack && headOf(a) === headOf(b);

const headOf = (of: Part | PatchedValue): number | null => ("head" in of ? of.head : null);

/** The factor of a part; 1 if it is unchanged. */
export const factorOf = (list: readonly Intervention[], part: Part): number =>
  list.reduce((factor, each) => (each.kind === "scale" && isSame(each.part, part) ? each.factor : factor), 1);

/** The list with another factor for a part. */
export function withFactor(list: readonly Intervention[], part: Part, factor: number): Intervention[] {
  const others = list.filter((each) => each.kind !== "scale" || !isSame(each.part, part));
  return factor === 1 ? others : [...others, { kind: "scale", part, factor }];
}

/** The next factor when a part is clicked: ablated, doubled, unchanged. */
export const nextFactor = (factor: number): number => (factor === 1 ? 0 : factor === 0 ? 2 : 1);

export type Patch = Extract<Intervention, { kind: "patch" }>;

/** The list with a patch, which replaces an earlier one of the same value and position. */
export const withPatch = (list: readonly Intervention[], patch: Patch): Intervention[] => [
  ...list.filter(
    (each) => each.kind !== "patch" || each.position !== patch.position || !isSame(each.value, patch.value),
  ),
  patch,
];

/** The traces that patches take values from. */
export const patchesFrom = (list: readonly Intervention[]): ReadonlySet<number> =>
  new Set(list.flatMap((each) => (each.kind === "patch" ? [each.from.trace] : [])));
