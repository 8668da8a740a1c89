/**
 * A decoder as a portable ONNX graph, with the conventional inputs and outputs of text generation:
 *
 *     input_ids, position_ids [B, T] i64; attention_mask [B, P + T] i64, 1 for tokens and 0 for padding on either side;
 *     past_key_values.{l}.key, .value [B, G, P, K]
 *     logits [B, T, V]; present.{l}.key, .value [B, G, P + T, K]
 *
 * B batch   T new positions   P past positions   R = H / G   H nHeads   G nKvHeads   K dHead   V vocabSize
 *
 * Rows are in batch-first order: the decoder sees the N = B*T rows of one long sequence, and only the attention defined
 * here separates the sequences.
 */

import { concat, input, type Node, reshapeTo, rows } from "../graph/node";
import { type Shape, UNKNOWN } from "../graph/shape";
import type { DecoderConfig, Rotary, RotaryScaling } from "../nn/config";
import { type Context, decoder, scoreScale, softcapped, windowOfLayer } from "../nn/decoder";
import type { ParamNodes } from "../nn/params";
import { angleCount, rotaryTables } from "../nn/rotary";
import { lower } from "../runtime/lower";
import type { OnnxAttribute, OnnxGraph, OnnxNode, OnnxTensor, OnnxValue } from "../runtime/onnx";

/** Cosines and sines of every position's angles. */
export interface AngleTables {
  readonly cos: Node;
  readonly sin: Node;
}

export interface ExportedInterface {
  /** Adds the input position_ids; without it, positions are counted from the mask, as in OPT. */
  readonly positionIds: boolean;
}

/** Returns the whole graph, with standard ONNX operators and a few of onnxruntime's fused ones. */
export function exportGraph(
  cfg: DecoderConfig,
  param: ParamNodes,
  angles: AngleTables | null,
  { positionIds }: ExportedInterface,
): OnnxGraph {
  // Lowered for WebGPU, which has no fused products; onnxruntime fuses plain ones on the CPU.
  const graph = lower(decoderOutputs(cfg, param, angles), "webgpu");
  const first = prologue(cfg, { positionIds });
  return {
    name: "decoder",
    inputs: [
      ...first.inputs,
      ...graph.inputs.filter(({ name }) => name.startsWith("past_key_values.")).map(named("past_sequence_length")),
    ],
    outputs: graph.outputs.map((value) =>
      value.name === "logits"
        ? { ...value, dimNames: { 0: "batch_size", 1: "sequence_length" } }
        : named("total_sequence_length")(value),
    ),
    initializers: [...first.initializers, ...graph.initializers],
    nodes: [...first.nodes, ...graph.nodes],
  };
}

/** Names the dimensions of keys and values, [B, G, positions, K]. */
const named =
  (positions: string) =>
  (value: OnnxValue): OnnxValue => ({ ...value, dimNames: { 0: "batch_size", 2: positions } });

/** Logits and caches; the results of `prologue` are their inputs. */
function decoderOutputs(cfg: DecoderConfig, param: ParamNodes, angles: AngleTables | null): Record<string, Node> {
  const outputs: Record<string, Node> = {};
  const rotation = rotationNodes(cfg, angles);
  const logits = decoder(input("input_ids", [UNKNOWN, UNKNOWN], "i64"), param, cfg, {
    batch: 1,
    length: UNKNOWN,
    positions: (table) => rows(table, input("position_rows", [UNKNOWN, 1], "i64")),
    rotation: () => {
      if (!rotation) throw new Error("exportGraph: rotary positions need tables of angles");
      return rotation;
    },
    attend: attendPresent(cfg, (name, node) => {
      outputs[name] = node;
    }),
    probe: (_name, x) => x,
    dropout: (x) => x,
  }); // [N, V]
  return { logits: sized(logits, "logits_shape", [UNKNOWN, UNKNOWN, cfg.vocabSize]), ...outputs };
}

/** Cosines and sines of each row's angles: rows of the tables, or computed in the prologue. */
function rotationNodes({ positions }: DecoderConfig, angles: AngleTables | null): AngleTables | null {
  const from = (table: Node) => rows(table, input("angle_rows", [UNKNOWN], "i64"));
  if (angles) return { cos: from(angles.cos), sin: from(angles.sin) };
  if (positions.kind !== "rotary") return null;
  const computed = (name: string) => input(name, [UNKNOWN, angleCount(positions)]);
  return { cos: computed("rotary_cos"), sin: computed("rotary_sin") };
}

const sized = (x: Node, sizes: string, shape: Shape): Node => reshapeTo(x, input(sizes, [shape.length], "i64"), shape);

/** Attention over past and new positions; their concatenated keys and values are outputs. */
function attendPresent(cfg: DecoderConfig, present: (name: string, node: Node) => void): Context["attend"] {
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  const heads = (x: Node, n: number) =>
    sized(x, n === H ? "heads_shape" : "kv_heads_shape", [UNKNOWN, UNKNOWN, n, K]).transpose(0, 2, 1, 3);
  return (q, k, v, l) => {
    const joined = (name: "key" | "value", x: Node) => {
      const all = concat([input(`past_key_values.${l}.${name}`, [UNKNOWN, G, UNKNOWN, K]), heads(x, G)], 2);
      present(`present.${l}.${name}`, all);
      return all; // [B, G, P + T, K]
    };
    const [keys, values] = [joined("key", k), joined("value", v)];
    // Query heads that share keys become additional rows of one head.
    const queries = heads(q, H); // [B, H, T, K]
    const grouped = H === G ? queries : sized(queries, "groups_shape", [UNKNOWN, G, UNKNOWN, K]); // [B, G, R*T, K]
    const scores = grouped.matmul(keys, { transB: true, alpha: scoreScale(cfg, l) }); // [B, G, R*T, P + T]
    const mask = input(maskName(windowOfLayer(cfg, l)), [UNKNOWN, 1, UNKNOWN, UNKNOWN]);
    const z = softcapped(scores, cfg.attentionSoftcap).add(mask).softmax().matmul(values);
    const byHead = H === G ? z : sized(z, "ungrouped_shape", [UNKNOWN, H, UNKNOWN, K]); // [B, H, T, K]
    return byHead.transpose(0, 2, 1, 3).reshape([UNKNOWN, H * K]);
  };
}

const maskName = (window: number | null) => (window === null ? "mask" : `mask_${window}`);

/**
 * Cosines and sines [rows, R] that `angle_rows` indexes: one row per position, and again for long sequences if they differ.
 * With dynamic scaling they differ for every length, so the graph computes them.
 */
export function angleTables(cfg: DecoderConfig): { readonly cos: AngleTable; readonly sin: AngleTable } | null {
  if (cfg.positions.kind !== "rotary" || cfg.positions.scaling?.kind === "dynamic") return null;
  const R = angleCount(cfg.positions);
  const positions = Array.from({ length: cfg.nCtx }, (_, t) => t);
  const lengths = longAngles(cfg) === null ? [1] : [1, cfg.nCtx];
  const tables = lengths.map((length) => rotaryTables(cfg, positions, length));
  const joined = (name: "cos" | "sin"): AngleTable => {
    const values = new Float32Array(lengths.length * cfg.nCtx * R);
    tables.forEach((table, i) => {
      values.set(table[name], i * cfg.nCtx * R);
    });
    return { values, shape: [lengths.length * cfg.nCtx, R] };
  };
  return { cos: joined("cos"), sin: joined("sin") };
}

export interface AngleTable {
  readonly values: Float32Array<ArrayBuffer>;
  readonly shape: readonly [rows: number, width: number];
}

/** The length beyond which all angles change; their rows follow the first nCtx rows. */
function longAngles({ positions, nCtx }: DecoderConfig): number | null {
  if (positions.kind !== "rotary" || positions.scaling?.kind !== "longrope") return null;
  const { originalCtx } = positions.scaling;
  return originalCtx < nCtx ? originalCtx : null;
}

/** Computes the decoder's inputs from the caller's. All counting is in int64, like the caller's values. */
function prologue(cfg: DecoderConfig, { positionIds }: ExportedInterface): Pick<OnnxGraph, "inputs" | Written> {
  const w = new Prologue();
  shapes(w, cfg);
  const counts = masks(w, cfg);
  positionRows(w, cfg, positionIds ? "position_ids" : countedPositions(w, counts));

  const callerInput = (name: string, second: string): OnnxValue => ({
    name,
    type: "int64",
    shape: [UNKNOWN, UNKNOWN],
    dimNames: { 0: "batch_size", 1: second },
  });
  const inputs = [
    callerInput("input_ids", "sequence_length"),
    callerInput("attention_mask", "total_sequence_length"),
    ...(positionIds ? [callerInput("position_ids", "sequence_length")] : []),
  ];
  return { inputs, nodes: w.nodes, initializers: w.initializers };
}

type Written = "nodes" | "initializers";

/** Collects nodes, each named after its only output. */
class Prologue implements Pick<OnnxGraph, Written> {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxTensor[] = [];

  emit(
    name: string,
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): string {
    this.nodes.push({ op, domain: "", inputs, outputs: [name], attributes });
    return name;
  }

  unsqueeze(name: string, x: string, axis: number): string {
    return this.emit(name, "Unsqueeze", [x, this.int64s(axis)]);
  }

  /** Returns the last T columns, those of the new positions. */
  newOnes(name: string, x: string): string {
    return this.emit(name, "Slice", [x, "minus_sequence_length", this.int64s(2n ** 63n - 1n), this.int64s(1)]);
  }

  int64s(...values: readonly (number | bigint)[]): string {
    const name = `int64_${values.join("_").replaceAll("-", "minus")}`;
    return this.#constant({ name, type: "int64", shape: [values.length], data: BigInt64Array.from(values, BigInt) });
  }

  doubles(name: string, ...values: readonly number[]): string {
    return this.#constant({ name, type: "float64", shape: [values.length], data: Float64Array.from(values) });
  }

  float(name: string, value: number): string {
    return this.#constant({ name, type: "float32", shape: [], data: Float32Array.of(value) });
  }

  #constant(tensor: OnnxTensor): string {
    if (!this.initializers.some(({ name }) => name === tensor.name)) this.initializers.push(tensor);
    return tensor.name;
  }
}

/** Writes the shapes that `sized` uses, with unknown batch size and length. */
function shapes(w: Prologue, { nHeads: H, nKvHeads: G, dHead: K, vocabSize: V }: DecoderConfig): void {
  const batch = w.emit("batch_size", "Shape", ["input_ids"], { start: 0, end: 1 });
  const length = w.emit("sequence_length", "Shape", ["input_ids"], { start: 1, end: 2 });
  w.emit("minus_sequence_length", "Neg", [length]);
  const shape = (name: string, ...sizes: readonly string[]) => w.emit(name, "Concat", sizes, { axis: 0 });
  shape("heads_shape", batch, length, w.int64s(H, K));
  shape("logits_shape", batch, length, w.int64s(V));
  if (H === G) return;
  shape("kv_heads_shape", batch, length, w.int64s(G, K));
  shape("groups_shape", batch, w.int64s(G, -1, K));
  shape("ungrouped_shape", batch, w.int64s(H, -1, K));
  const columns = w.emit("total_sequence_length", "Shape", ["attention_mask"], { start: 1, end: 2 });
  shape("grouped_mask_shape", batch, w.int64s(1, -1), columns);
}

/** Writes the mask of each window that layers use; returns the name of the tokens' counts. */
function masks(w: Prologue, cfg: DecoderConfig): string {
  const R = cfg.nHeads / cfg.nKvHeads;
  // A token's count is the number of its sequence's tokens up to it, wherever the padding is.
  const counts = w.emit("counts", "CumSum", ["attention_mask", w.int64s(1)]); // [B, P + T]
  const keyCounts = w.unsqueeze("key_counts", counts, 1); // [B, 1, P + T]
  const queryCounts = w.unsqueeze("query_counts", w.newOnes("new_counts", counts), 2); // [B, T, 1]
  const isToken = w.unsqueeze("is_token", w.emit("mask_bits", "Cast", ["attention_mask"], { to: BOOL }), 1);
  const notLater = w.emit("not_later", "LessOrEqual", [keyCounts, queryCounts]);
  const seen = w.emit("seen", "And", [notLater, isToken]); // [B, T, P + T]
  /** The last `window` of the seen positions. */
  const near = (window: number) => {
    const before = w.emit(`before_${window}`, "Sub", [queryCounts, w.int64s(window)]);
    return w.emit(`seen_${window}`, "And", [seen, w.emit(`near_${window}`, "Greater", [keyCounts, before])]);
  };
  const windows = new Set(Array.from({ length: cfg.nLayers }, (_, l) => windowOfLayer(cfg, l)));
  for (const window of windows) {
    const name = maskName(window);
    const visible = window === null ? seen : near(window);
    const added = w.emit(`${name}_values`, "Where", [visible, w.float("shown", 0), w.float("hidden", -1e9)]);
    const once = w.unsqueeze(R === 1 ? name : `${name}_once`, added, 1); // [B, 1, T, P + T]
    if (R === 1) continue;
    // For each head of a group: [B, R, T, P + T], read as [B, 1, R*T, P + T].
    const repeated = w.emit(`${name}_repeated`, "Expand", [once, w.int64s(1, R, 1, 1)]);
    w.emit(name, "Reshape", [repeated, "grouped_mask_shape"]);
  }
  return counts;
}

/** Positions from 0; padding is at -1, as in OPT. */
function countedPositions(w: Prologue, counts: string): string {
  const masked = w.emit("masked_counts", "Mul", [counts, "attention_mask"]);
  return w.emit("counted_positions", "Sub", [w.newOnes("new_masked_counts", masked), w.int64s(1)]);
}

/** Writes the rows of the new positions [B, T] in the position table or the angle tables. */
function positionRows(w: Prologue, cfg: DecoderConfig, ids: string): void {
  const { positions } = cfg;
  if (positions.kind === "learned" || positions.kind === "sinusoidal") {
    const first = positions.kind === "learned" ? positions.offset : 0;
    const offset = w.emit("offset_positions", "Add", [ids, w.int64s(first)]);
    w.emit("position_rows", "Reshape", [offset, w.int64s(-1, 1)]);
  }
  if (positions.kind !== "rotary") return;
  if (positions.scaling?.kind === "dynamic") {
    dynamicAngles(w, positions, positions.scaling, ids);
    return;
  }
  const long = longAngles(cfg);
  if (long === null) {
    w.emit("angle_rows", "Reshape", [ids, w.int64s(-1)]);
    return;
  }
  const largest = w.emit("last_position", "ReduceMax", [ids, w.int64s(0, 1)], { keepdims: 0 });
  const isLong = w.emit("is_long", "GreaterOrEqual", [largest, w.int64s(long)]);
  const asNumber = w.emit("long_or_not", "Cast", [isLong], { to: INT64 });
  const skipped = w.emit("skipped_rows", "Mul", [asNumber, w.int64s(cfg.nCtx)]);
  w.emit("angle_rows", "Add", [w.emit("flat_positions", "Reshape", [ids, w.int64s(-1)]), skipped]);
}

/** Writes the cosines and sines [N, R] of angles that depend on the length of the longest sequence: see `anglesOf`. */
function dynamicAngles(
  w: Prologue,
  { dims, theta }: Rotary,
  { factor, originalCtx }: Extract<RotaryScaling, { readonly kind: "dynamic" }>,
  ids: string,
): void {
  const pairs = Array.from({ length: dims / 2 }, (_, i) => 2 * i);
  const last = w.emit("last_position", "ReduceMax", [ids, w.int64s(0, 1)], { keepdims: 0 });
  const length = w.emit("length", "Cast", [w.emit("total_length", "Add", [last, w.int64s(1)])], { to: DOUBLE });
  const stretched = w.emit("stretched", "Max", [length, w.doubles("context", originalCtx)]);
  const scaled = w.emit("scaled_length", "Mul", [stretched, w.doubles("growth_per_position", factor / originalCtx)]);
  const growth = w.emit("growth", "Sub", [scaled, w.doubles("growth_offset", factor - 1)]);
  // A larger base divides the frequencies.
  const divisors = w.emit("divisors", "Pow", [
    growth,
    w.doubles("growth_exponents", ...pairs.map((i) => i / (dims - 2))),
  ]);
  const frequencies = w.emit("frequencies", "Div", [
    w.doubles("plain_frequencies", ...pairs.map((i) => theta ** (-i / dims))),
    divisors,
  ]);
  const positions = w.emit("positions_double", "Cast", [w.emit("position_column", "Reshape", [ids, w.int64s(-1, 1)])], {
    to: DOUBLE,
  });
  const turns = w.emit("turns", "Mul", [
    w.emit("angles", "Mul", [positions, frequencies]),
    w.doubles("turns_per_radian", 0.5 / Math.PI),
  ]);
  // Whole turns are dropped while the precision is double.
  const part = w.emit("part_of_turn", "Sub", [turns, w.emit("whole_turns", "Floor", [turns])]);
  const angle = w.emit(
    "angle",
    "Cast",
    [w.emit("angle_double", "Mul", [part, w.doubles("radians_per_turn", 2 * Math.PI)])],
    { to: FLOAT },
  );
  w.emit("rotary_cos", "Cos", [angle]);
  w.emit("rotary_sin", "Sin", [angle]);
}

/** Element types in onnx.proto. */
const FLOAT = 1;
const DOUBLE = 11;
const BOOL = 9;
const INT64 = 7;
