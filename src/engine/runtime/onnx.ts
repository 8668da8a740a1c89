/**
 * ONNX models as data, and their encoding: the subset of onnx.proto that this project writes.
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */

import { type Shape, UNKNOWN } from "../graph/shape";

export type ElementType = "float32" | "float64" | "int32" | "int64" | "bool" | "uint8" | "float16" | "bfloat16";

export interface OnnxValue {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: Shape;
  /** Names of dimensions that are known only when the graph runs. */
  readonly dimNames?: Readonly<Record<number, string>>;
}

export interface OnnxTensor extends OnnxValue {
  readonly data: Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array | ExternalData;
}

/** Bytes in a file, given by its absolute path. */
export interface ExternalData {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

export type OnnxAttribute =
  | number
  | { readonly float: number }
  | string
  | readonly number[]
  | { readonly graph: OnnxGraph };

export interface OnnxNode {
  readonly op: string;
  readonly domain: "" | "com.microsoft";
  /** An empty name omits an optional input. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxGraph {
  readonly name: string;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly initializers: readonly OnnxTensor[];
  readonly nodes: readonly OnnxNode[];
}

const IR_VERSION = 10;
const OPSET = 21;

/** Returns a serialized ModelProto. `locate` maps the paths of external data to the names in the model. */
export function encodeModel(graph: OnnxGraph, locate: (file: string) => string = (file) => file): Uint8Array {
  const opset = (domain: string, version: number) => (w: Writer) => w.string(1, domain).int(2, version);
  return new Writer()
    .int(1, IR_VERSION)
    .string(2, "decoder-lab")
    .message(7, (w) => writeGraph(w, graph, locate))
    .message(8, opset("", OPSET))
    .message(8, opset("com.microsoft", 1))
    .finish();
}

const ELEMENT_TYPES = {
  float32: 1,
  float64: 11,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
} as const satisfies Record<ElementType, number>;

type Locate = (file: string) => string;

function writeGraph(w: Writer, graph: OnnxGraph, locate: Locate): void {
  for (const node of graph.nodes) w.message(1, (m) => writeNode(m, node, locate));
  w.string(2, graph.name);
  for (const tensor of graph.initializers) w.message(5, (m) => writeTensor(m, tensor, locate));
  for (const value of graph.inputs) w.message(11, (m) => writeValue(m, value));
  for (const value of graph.outputs) w.message(12, (m) => writeValue(m, value));
}

function writeNode(w: Writer, node: OnnxNode, locate: Locate): void {
  for (const name of node.inputs) w.string(1, name);
  for (const name of node.outputs) w.string(2, name);
  w.string(3, node.outputs[0] ?? "").string(4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) {
    w.message(5, (m) => writeAttribute(m, name, value, locate));
  }
  if (node.domain) w.string(7, node.domain);
}

function writeAttribute(w: Writer, name: string, value: OnnxAttribute, locate: Locate): void {
  w.string(1, name);
  if (typeof value === "number") w.int(3, value).int(20, 2);
  else if (typeof value === "string") w.string(4, value).int(20, 3);
  else if ("float" in value) w.float(2, value.float).int(20, 1);
  else if ("graph" in value) w.message(6, (m) => writeGraph(m, value.graph, locate)).int(20, 5);
  else {
    for (const i of value) w.int(8, i);
    w.int(20, 7);
  }
}

function writeTensor(w: Writer, { name, type, shape, data }: OnnxTensor, locate: Locate): void {
  for (const d of shape) w.int(1, d);
  w.int(2, ELEMENT_TYPES[type]).string(8, name);
  if (ArrayBuffer.isView(data)) {
    w.bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return;
  }
  const { file, offset, length } = data;
  const entries = { location: locate(file), offset: String(offset), length: String(length) };
  for (const [key, value] of Object.entries(entries)) w.message(13, (m) => m.string(1, key).string(2, value));
  w.int(14, 1);
}

function writeValue(w: Writer, { name, type, shape, dimNames }: OnnxValue): void {
  w.string(1, name).message(2, (t) =>
    t.message(1, (tensor) => {
      tensor.int(1, ELEMENT_TYPES[type]);
      tensor.message(2, (s) => {
        shape.forEach((d, i) => {
          const dimName = dimNames?.[i];
          s.message(1, (dim) => (d !== UNKNOWN ? dim.int(1, d) : dimName === undefined ? dim : dim.string(2, dimName)));
        });
      });
    }),
  );
}

/** A writer of protocol buffers: varints, 32-bit floats and length-delimited fields. */
class Writer {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  int(field: number, value: number): this {
    return this.#tag(field, 0).#varint(value);
  }

  float(field: number, value: number): this {
    return this.#tag(field, 5).#push(new Uint8Array(new Float32Array([value]).buffer));
  }

  string(field: number, value: string): this {
    return this.bytes(field, new TextEncoder().encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    return this.#tag(field, 2).#varint(value.length).#push(value);
  }

  message(field: number, write: (w: Writer) => void): this {
    const inner = new Writer();
    write(inner);
    this.#tag(field, 2).#varint(inner.#length);
    for (const part of inner.#parts) this.#push(part);
    return this;
  }

  finish(): Uint8Array {
    const out = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      out.set(part, offset);
      offset += part.length;
    }
    return out;
  }

  #tag(field: number, wireType: number): this {
    return this.#varint(field * 8 + wireType);
  }

  #varint(value: number): this {
    const bytes: number[] = [];
    // Negative numbers are written as 64-bit two's complement.
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    bytes.push(Number(rest));
    return this.#push(Uint8Array.from(bytes));
  }

  #push(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }
}
