/** Lists of interventions: scaled parts and patched values. */

import type { Part, PatchedValue } from "../../../src/protocol/traceApi";
import type { ActiveIntervention } from "../../trace/interventionHistory";

type List = readonly ActiveIntervention[];
export type Patch = Extract<ActiveIntervention, { kind: "patch" }>;

const isSame = (a: Part | PatchedValue, b: Part | PatchedValue): boolean =>
  a.kind === b.kind && a.layer === b.layer && a.stack === b.stack && headOf(a) === headOf(b);

const headOf = (of: Part | PatchedValue): number | null => ("head" in of ? of.head : null);

/** The factor of a part; 1 if it is unchanged. */
export const factorOf = (list: List, part: Part): number =>
  list.reduce((factor, each) => (each.kind === "scale" && isSame(each.part, part) ? each.factor : factor), 1);

/** The list with another factor for a part. */
export function withFactor(list: List, part: Part, factor: number): ActiveIntervention[] {
  const others = list.filter((each) => each.kind !== "scale" || !isSame(each.part, part));
  return factor === 1 ? others : [...others, { kind: "scale", part, factor }];
}

/** The list with a part ablated, or with its factor removed if it has one. */
export const withToggled = (list: List, part: Part): ActiveIntervention[] =>
  withFactor(list, part, factorOf(list, part) === 1 ? 0 : 1);

/** The list with a patch, which replaces an earlier one of the same value and position. */
export const withPatch = (list: List, patch: Patch): ActiveIntervention[] => [
  ...list.filter(
    (each) => each.kind !== "patch" || each.position !== patch.position || !isSame(each.value, patch.value),
  ),
  patch,
];

/** The value that is patched for a part; for a whole layer, its output. */
export const VALUES = {
  head: "head",
  crossHead: "crossHead",
  attention: "attnOut",
  cross: "crossOut",
  mlp: "mlpOut",
  layer: "residPost",
} as const satisfies { readonly [K in Part["kind"]]: PatchedValue["kind"] };

/** The patches of a part. Patches of the residual stream belong to the whole layer. */
export const patchesOf = (list: List, part: Part): Patch[] =>
  list.filter((each): each is Patch => each.kind === "patch" && isValueOf(part, each.value));

const isValueOf = (part: Part, value: PatchedValue): boolean =>
  (VALUES[part.kind] === value.kind || (part.kind === "layer" && value.kind === "residPre")) &&
  part.layer === value.layer &&
  part.stack === value.stack &&
  headOf(part) === headOf(value);

/** The list without the interventions on a part. */
export const withoutPart = (list: List, part: Part): ActiveIntervention[] =>
  list.filter((each) => (each.kind === "scale" ? !isSame(each.part, part) : !isValueOf(part, each.value)));

/** The mark of a part in the grid: ablated, scaled, patched, or "" if it is unchanged. */
export function symbolOf(list: List, part: Part): string {
  const factor = factorOf(list, part);
  const scale = factor === 1 ? "" : factor === 0 ? ABLATED : `×${Number(factor.toPrecision(2))}`;
  return patchesOf(list, part).length > 0 ? `${PATCHED}${scale}` : scale;
}

export const ABLATED = "∅";
export const PATCHED = "←";
