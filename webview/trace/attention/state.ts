/** State of the attention view: the user's choices, and the stage, head and cell that result from them. */

import type { TraceInfo } from "../../../src/protocol/engineApi";
import { type Inspection, type Selection, sourceTokenOf } from "../inspection";
import { type AttentionKind, type HeadId, type Masked, type Scale, type Stage, strongestKeys } from "./layout";

export interface Choices {
  /** Kind of attention; "" for the first kind that the trace has. */
  readonly kind: AttentionKind["id"] | "";
  readonly form: "matrix" | "lines";
  readonly stage: Stage;
  readonly scale: Scale;
  /** Lines per query. */
  readonly perQuery: number;
  /** Key of the cell that is explained; null for the strongest key of the selected query. */
  readonly key: number | null;
}

export const INITIAL_CHOICES: Choices = {
  kind: "",
  form: "matrix",
  stage: "pattern",
  scale: "linear",
  perQuery: 4,
  key: null,
};

/** A head's pattern, of the same size as the one that it is overlaid with. */
interface OverlaidHead extends HeadId {
  readonly values: Float32Array;
}

/** The matrix of one head at one stage, as it is in the trace. */
export interface ShownPattern {
  readonly inspection: Inspection;
  /** Trace name of the tensor. */
  readonly name: string;
  readonly kind: AttentionKind;
  readonly stage: Stage;
  readonly layer: number;
  readonly head: number;
  readonly labels: readonly string[];
  readonly keyLabels: readonly string[];
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
  /** Further heads, which are overlaid by color. */
  readonly overlaid: readonly OverlaidHead[];
  /** Cells without a value; null where every cell has one, as before the mask. */
  readonly masked: Masked | null;
}

/** Applies a choice; others that do not go with it change too. */
export function choose(choices: Choices, change: Partial<Choices>): Choices {
  const next = { ...choices, ...change };
  const stage = next.form === "lines" ? "pattern" : next.stage;
  // Scores have signs, which have no logarithm, and no sum to ignore a part of.
  const scale = stage === "pattern" || next.scale === "byRow" ? next.scale : "linear";
  return { ...next, stage, scale, ...(change.kind !== undefined && { key: null }) };
}

/** The stages and color scales to choose from, and the choices without those that a layer does not have. */
export function offered(choices: Choices, layer: { readonly hasScores: boolean; readonly isMasked: boolean }) {
  const withScores: readonly Stage[] = layer.isMasked ? ["scores", "masked", "pattern"] : ["scores", "pattern"];
  const stages: readonly Stage[] = layer.hasScores ? withScores : ["pattern"];
  const stage = stages.includes(choices.stage) ? choices.stage : "pattern";
  const scales: readonly Scale[] =
    stage === "pattern" ? ["linear", "log", "withoutFirst", "byRow"] : ["linear", "byRow"];
  return { choices: { ...choices, stage }, stages, scales };
}

/** The selected layer and head, or the last ones that this kind of attention has. */
export const selectedHead = ({ layers, heads }: AttentionKind, { layer, head }: Selection): HeadId => ({
  layer: Math.min(layer, layers - 1),
  head: Math.min(head, heads - 1),
});

/** Row of the selected token. */
const selectedQuery = ({ id, queries }: AttentionKind, selection: Selection, trace: TraceInfo): number =>
  id === "encoder" ? sourceTokenOf(selection, trace) : Math.min(selection.token, queries.length - 1);

/** The cell that is marked and explained. */
export function selectedCell(pattern: ShownPattern, selection: Selection, chosenKey: number | null) {
  const { inspection, kind, layer, values, cols } = pattern;
  const query = selectedQuery(kind, selection, inspection.trace);
  const key = kind.id === "cross" ? sourceTokenOf(selection, inspection.trace) : chosenKey;
  if (key !== null && key < cols) return { query, key };
  return { query, key: strongestKeys(values, cols, query, 1, kind.masked(layer))[0]?.key ?? 0 };
}
