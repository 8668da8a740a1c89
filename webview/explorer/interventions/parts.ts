/** The parts of a model that can be scaled or ablated, as a table with a row per layer. */

import type { TraceInfo } from "../../../src/protocol/engineApi";
import type { Part } from "../../../src/protocol/traceApi";
import { t } from "../../base/strings";
import { attentionKinds } from "../../trace/attention/layout";

/** The layers of a decoder, or of one of the two stacks of a translator. */
export interface Stack {
  /** Undefined for a model with a decoder only. */
  readonly stack: "encoder" | "decoder" | undefined;
  readonly layers: number;
  readonly heads: number;
  /** True if the layers have cross-attention. */
  readonly crosses: boolean;
}

/** The stacks of a model, in the order of the computation. */
export function stacksOf(trace: TraceInfo): Stack[] {
  const sizes = new Map(attentionKinds(trace).map((kind) => [kind.id, kind]));
  const [encoder, self] = [sizes.get("encoder"), sizes.get("self")];
  const { layers = 0, heads = 0 } = self ?? {};
  if (!encoder) return [{ stack: undefined, layers, heads, crosses: false }];
  return [
    { stack: "encoder", layers: encoder.layers, heads: encoder.heads, crosses: false },
    { stack: "decoder", layers, heads, crosses: sizes.has("cross") },
  ];
}

export interface PartGrid {
  /** The layer of each row. */
  readonly layers: readonly Layer[];
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** True if some layer lacks a part that others have. */
  readonly hasGaps: boolean;
  /** Null if the layer has no such part. */
  readonly at: (row: number, col: number) => Part | null;
  readonly cellOf: (part: Part) => { readonly row: number; readonly col: number };
}

type Layer = Pick<Part, "stack" | "layer">;

const EVERY_KIND = ["head", "crossHead", "attention", "cross", "mlp", "layer"] as const;

/** A column for each requested kind of part that one of the stacks has. */
export function partGrid(stacks: readonly Stack[], wanted: readonly Part["kind"][] = EVERY_KIND): PartGrid {
  const rows = stacks.flatMap((of) =>
    Array.from({ length: of.layers }, (_, index) => ({ of, layer: layerIn(of, index) })),
  );
  const crosses = stacks.some((each) => each.crosses);
  const heads = stacks.reduce((most, each) => Math.max(most, each.heads), 0);
  const columns = wanted.flatMap((kind): { kind: Part["kind"]; head: number; label: string }[] => {
    if (!crosses && isCross(kind)) return [];
    if (kind !== "head" && kind !== "crossHead") return [{ kind, head: 0, label: LABELS[kind]() }];
    return Array.from({ length: heads }, (_, head) => ({ kind, head, label: headLabel(kind, head, crosses) }));
  });
  const at: PartGrid["at"] = (row, col) => {
    const [line, column] = [rows[row], columns[col]];
    if (!line || !column || (isCross(column.kind) && !line.of.crosses)) return null;
    const { of, layer } = line;
    const { kind, head } = column;
    if (kind !== "head" && kind !== "crossHead") return { kind, ...layer };
    return head < of.heads ? { kind, ...layer, head } : null;
  };
  return {
    layers: rows.map(({ layer }) => layer),
    rows: rows.map(({ layer: { stack, layer } }) => ROWS[stack ?? "alone"](layer)),
    columns: columns.map(({ label }) => label),
    hasGaps: stacks.length > 1,
    at,
    cellOf: (part) => ({
      row: rows.findIndex(({ layer: { stack, layer } }) => stack === part.stack && layer === part.layer),
      col: columns.findIndex(({ kind, head }) => kind === part.kind && (!("head" in part) || head === part.head)),
    }),
  };
}

/** A layer of a stack; the stack is named only in translators. */
export const layerIn = ({ stack }: Stack, layer: number): Layer => (stack ? { stack, layer } : { layer });

/** Describes a cell of the table without a part. */
export const NO_PART = (): string => t("This layer has no such part.");

const isCross = (kind: Part["kind"]): boolean => kind === "cross" || kind === "crossHead";

/** Row labels, short enough for a table. */
const ROWS = {
  encoder: (layer: number) => t("encoder {0}", layer),
  decoder: (layer: number) => t("decoder {0}", layer),
  alone: (layer: number) => t("layer {0}", layer),
};

const LABELS: { readonly [K in Exclude<Part["kind"], "head" | "crossHead">]: () => string } = {
  attention: () => t("attn"),
  cross: () => t("cross"),
  mlp: () => t("MLP"),
  layer: () => t("layer"),
};

function headLabel(kind: "head" | "crossHead", head: number, crosses: boolean): string {
  if (!crosses) return t("H{0}", head);
  return kind === "head" ? t("self {0}", head) : t("cross {0}", head);
}
