/**
 * Computation graphs: typed nodes whose shapes are known when they are created.
 *
 * Nothing is computed here. `autodiff` adds the backward pass as more nodes, and `runtime` writes the graph as ONNX.
 */

import { ShapeError } from "../errors";
import type { StoredTensor } from "../weights/stored";
import { broadcastShapes, isKnown, normalizeAxes, reducedShape, type Shape, sameShape, sizeOf, UNKNOWN } from "./shape";

export type DType = "f32" | "i32" | "i64";

type None = Readonly<Record<string, never>>;

/** The inputs and attributes of every op. */
export interface Ops {
  input: { inputs: []; attrs: { readonly name: string } };
  constant: { inputs: []; attrs: { readonly data: Float32Array | Int32Array } };
  /** A tensor in a file, read as float32; the runtime maps the file. */
  stored: { inputs: []; attrs: { readonly tensor: StoredTensor } };
  /** A matrix [out, in] in blocks along its rows: see weights/quantize.ts. Only `linear` and `rows` read it. */
  quantized: { inputs: []; attrs: QuantizedTensor };

  add: { inputs: [Node, Node]; attrs: None };
  sub: { inputs: [Node, Node]; attrs: None };
  mul: { inputs: [Node, Node]; attrs: None };
  div: { inputs: [Node, Node]; attrs: None };

  exp: { inputs: [Node]; attrs: None };
  log: { inputs: [Node]; attrs: None };
  sqrt: { inputs: [Node]; attrs: None };
  tanh: { inputs: [Node]; attrs: None };
  erf: { inputs: [Node]; attrs: None };
  relu: { inputs: [Node]; attrs: None };
  sigmoid: { inputs: [Node]; attrs: None };
  /** 1 where x > 0, else 0. */
  positive: { inputs: [Node]; attrs: None };
  /** GELU with the tanh approximation, as in GPT-2. */
  geluTanh: { inputs: [Node]; attrs: None };
  /** u * p with p = 1 + erf(u): the exact GELU of sqrt(2) u, times sqrt(2). */
  geluGate: { inputs: [u: Node, p: Node]; attrs: None };

  sum: { inputs: [Node]; attrs: { readonly axes: readonly number[]; readonly keepDims: boolean } };
  mean: { inputs: [Node]; attrs: { readonly axes: readonly number[]; readonly keepDims: boolean } };
  sumSquares: { inputs: [Node]; attrs: None };
  logSumExp: { inputs: [Node]; attrs: None };
  softmax: { inputs: [Node]; attrs: None };
  /** The largest element along the last axis. */
  max: { inputs: [Node]; attrs: None };
  /** Index of the largest element along the last axis. */
  argMax: { inputs: [Node]; attrs: None };

  /** alpha * a' @ b' over the last two axes, leading axes equal; a' and b' are optionally transposed. */
  matmul: {
    inputs: [Node, Node];
    attrs: { readonly transA: boolean; readonly transB: boolean; readonly alpha: number };
  };
  /** alpha * x @ w' + beta * b; w' = wᵀ with `transW`. */
  linear: {
    inputs: [x: Node, w: Node, b: Node];
    attrs: { readonly alpha: number; readonly beta: number; readonly transW: boolean };
  };
  /** alpha * x @ wᵀ + beta * b with a quantized w; b is optional. */
  quantizedLinear: {
    inputs: [x: Node, w: Node] | [x: Node, w: Node, b: Node];
    attrs: { readonly alpha: number; readonly beta: number };
  };
  layerNorm: { inputs: [x: Node, scale: Node, bias: Node]; attrs: { readonly eps: number } };
  /** x / sqrt(mean(x²) + eps) * scale over the last axis. */
  rmsNorm: { inputs: [x: Node, scale: Node]; attrs: { readonly eps: number } };
  /** 1 / sqrt(var(x) + eps) over the last axis, which is kept. */
  inverseStd: { inputs: [x: Node]; attrs: { readonly eps: number } };

  reshape: { inputs: [Node]; attrs: None };
  /** A shape with several dimensions that are known only when the graph runs; sizes [rank] i64. */
  reshapeTo: { inputs: [x: Node, sizes: Node]; attrs: None };
  transpose: { inputs: [Node]; attrs: { readonly perm: readonly number[] } };
  broadcast: { inputs: [Node]; attrs: None };
  slice: { inputs: [Node]; attrs: { readonly axis: number; readonly start: number; readonly end: number } };
  concat: { inputs: Node[]; attrs: { readonly axis: number } };

  /** Rows of a table: table[ids]. */
  rows: { inputs: [table: Node, ids: Node]; attrs: None };
  /** The transpose of `rows`: a table with each row of g added at its id. */
  scatterRows: { inputs: [g: Node, ids: Node]; attrs: { readonly rows: number } };
  /** One element of each row: x[i, ids[i]]. */
  pick: { inputs: [x: Node, ids: Node]; attrs: None };
  oneHot: { inputs: [ids: Node]; attrs: { readonly depth: number } };
  /** Elements of a flat bank of numbers, from offsets[index] on, as many as the shape has. */
  window: { inputs: [bank: Node, offsets: Node]; attrs: { readonly index: number } };

  /**
   * Rotary embedding of rows x [N, heads*K]: each head's first 2R numbers (a, b) -> (a cos - b sin, b cos + a sin),
   * a and b R wide; cos and sin [N, R].
   */
  rotary: { inputs: [x: Node, cos: Node, sin: Node]; attrs: { readonly nHeads: number } };

  /** x [N, …], available only after all of `until` [N, …] are written, because readers of x also read their memory. */
  after: { inputs: [x: Node, ...until: Node[]]; attrs: None };

  /** The cells `at` [..., i] of a table (i leading indices each) replaced by values; in place if the output is bound to the table. */
  replaceAt: { inputs: [table: Node, at: Node, values: Node]; attrs: None };
  /** The first `count` [1] i64 entries of an axis. */
  take: { inputs: [x: Node, count: Node]; attrs: { readonly axis: number } };

  /**
   * Causal attention of new positions over a cache of past positions, to which the new ones are added.
   * q [B, T, H*K]; k, v [B, T, G*K]; caches [B, G, capacity, K]; lastIndex [B] i32 = positions after this call minus
   * one; total [] i32. The updated caches are read with `presentOf`.
   */
  cachedAttention: {
    inputs: [q: Node, k: Node, v: Node, pastK: Node, pastV: Node, lastIndex: Node, total: Node];
    attrs: CachedAttention;
  };
  /** The key (0) or value (1) cache after a `cachedAttention`. */
  presentOf: { inputs: [Node]; attrs: { readonly which: 0 | 1 } };
}

export interface QuantizedTensor {
  /** U8 [out, in / block, block * bits / 8] */
  readonly weight: StoredTensor;
  /** F32 [out, in / block] */
  readonly scales: StoredTensor;
  /** F32 [out, in / block]; see weights/quantize.ts. */
  readonly mins?: StoredTensor | undefined;
  readonly bits: 4 | 8;
}

export interface CachedAttention {
  readonly nHeads: number;
  readonly nKvHeads: number;
  readonly scale: number;
  /** Number of last positions that a position attends to; null for all. */
  readonly window: number | null;
}

export type Op = keyof Ops;

export class Node<K extends Op = Op> {
  constructor(
    readonly op: K,
    readonly inputs: Ops[K]["inputs"],
    readonly attrs: Ops[K]["attrs"],
    readonly shape: Shape,
    readonly dtype: DType = "f32",
  ) {}

  add(other: Node | number): Node {
    return elementwise("add", this as Node, other);
  }
  sub(other: Node | number): Node {
    return elementwise("sub", this as Node, other);
  }
  mul(other: Node | number): Node {
    return elementwise("mul", this as Node, other);
  }
  div(other: Node | number): Node {
    return elementwise("div", this as Node, other);
  }

  exp(): Node {
    return pointwise("exp", this as Node);
  }
  log(): Node {
    return pointwise("log", this as Node);
  }
  sqrt(): Node {
    return pointwise("sqrt", this as Node);
  }
  tanh(): Node {
    return pointwise("tanh", this as Node);
  }
  erf(): Node {
    return pointwise("erf", this as Node);
  }
  relu(): Node {
    return pointwise("relu", this as Node);
  }
  sigmoid(): Node {
    return pointwise("sigmoid", this as Node);
  }
  positive(): Node {
    return pointwise("positive", this as Node);
  }
  geluTanh(): Node {
    return pointwise("geluTanh", this as Node);
  }
  /** Over the last axis. */
  softmax(): Node {
    return pointwise("softmax", this as Node);
  }

  /** Over the given axes; all by default. */
  sum(axes?: readonly number[], keepDims = false): Node {
    return reduce("sum", this as Node, axes, keepDims);
  }
  mean(axes?: readonly number[], keepDims = false): Node {
    return reduce("mean", this as Node, axes, keepDims);
  }
  /** Sum of the squares of all elements, a scalar. */
  sumSquares(): Node {
    return new Node("sumSquares", [this as Node], {}, []) as Node;
  }
  /** log(sum(exp(x))) over the last axis, which is dropped. */
  logSumExp(): Node {
    return new Node("logSumExp", [this as Node], {}, this.shape.slice(0, -1)) as Node;
  }
  /** Over the last axis, which is dropped. */
  max(): Node {
    return new Node("max", [this as Node], {}, this.shape.slice(0, -1)) as Node;
  }
  argMax(): Node<"argMax"> {
    return new Node("argMax", [this as Node], {}, this.shape.slice(0, -1), "i64");
  }

  /** alpha * a @ b over the last two axes; the leading axes must be equal. */
  matmul(other: Node, { transA = false, transB = false, alpha = 1 } = {}): Node {
    const [a, b] = [this.shape, other.shape];
    const fits = a.length >= 2 && sameShape(a.slice(0, -2), b.slice(0, -2));
    if (!fits) throw new ShapeError("matmul", "leading dimensions differ", { a: this, b: other });
    const [m, ka] = lastTwo(a, transA);
    const [kb, n] = lastTwo(b, transB);
    if (ka !== kb) throw new ShapeError("matmul", "inner dimensions differ", { a: this, b: other });
    return new Node("matmul", [this as Node, other], { transA, transB, alpha }, [...a.slice(0, -2), m, n]) as Node;
  }

  reshape(shape: Shape): Node {
    if (sameShape(shape, this.shape)) return this as Node;
    if (isKnown(shape) && isKnown(this.shape) && sizeOf(shape) !== sizeOf(this.shape)) {
      throw new ShapeError("reshape", "sizes differ", { from: this, to: { shape } });
    }
    const source = this.op === "reshape" ? (this.inputs[0] as Node) : (this as Node);
    return new Node("reshape", [source], {}, shape, this.dtype) as Node;
  }
  transpose(...perm: readonly number[]): Node {
    if (perm.every((p, i) => p === i)) return this as Node;
    const shape = perm.map((p) => this.shape[p] as number);
    return new Node("transpose", [this as Node], { perm }, shape, this.dtype) as Node;
  }
  broadcast(shape: Shape): Node {
    if (sameShape(shape, this.shape)) return this as Node;
    const joint = broadcastShapes(this.shape, shape);
    if (!joint || !sameShape(joint, shape)) {
      throw new ShapeError("broadcast", "the shape cannot stretch", { from: this, to: { shape } });
    }
    return new Node("broadcast", [this as Node], {}, shape, this.dtype) as Node;
  }
  /** Elements start to end - 1 along an axis. */
  slice(axis: number, start: number, end: number): Node {
    if (start === 0 && end === this.shape[axis]) return this as Node;
    const shape = this.shape.map((d, i) => (i === axis ? end - start : d));
    return new Node("slice", [this as Node], { axis, start, end }, shape, this.dtype) as Node;
  }
}

/** A value that is fed when the graph runs. */
export const input = (name: string, shape: Shape, dtype: DType = "f32"): Node =>
  new Node("input", [], { name }, shape, dtype) as Node;

/** A number, or an array with its shape. */
export function constant(data: number | Float32Array | Int32Array, shape: Shape = []): Node {
  const values = typeof data === "number" ? new Float32Array([data]) : data;
  return new Node("constant", [], { data: values }, shape, values instanceof Int32Array ? "i32" : "f32") as Node;
}

export const zeros = (shape: Shape): Node => constant(new Float32Array(sizeOf(shape)), shape);
export const ones = (shape: Shape): Node => constant(new Float32Array(sizeOf(shape)).fill(1), shape);

/** The values of a file's tensor as float32. */
export const stored = (tensor: StoredTensor): Node => new Node("stored", [], { tensor }, tensor.shape) as Node;

export function quantized(tensor: QuantizedTensor): Node {
  const [rows, blocks] = tensor.weight.shape as [number, number];
  return new Node("quantized", [], tensor, [rows, blocks * blockOf(tensor)]) as Node;
}

/** Numbers per scale. */
export const blockOf = ({ weight, bits }: QuantizedTensor): number => ((weight.shape[2] as number) * 8) / bits;

/**
 * alpha * x @ w + beta * b with x [N, D], w [D, F] (or [F, D] with transW, and always if quantized), b [F].
 * Without b, only the product.
 */
export function linear(x: Node, w: Node, b?: Node, { alpha = 1, beta = 1, transW = false } = {}): Node {
  const transposed = transW || w.op === "quantized";
  if (!b && w.op !== "quantized") return x.matmul(w, { alpha, transB: transposed });
  const [inner, out] = lastTwo(w.shape, transposed);
  if (x.shape.length !== 2 || w.shape.length !== 2 || x.shape[1] !== inner) {
    throw new ShapeError("linear", "inner dimensions differ", { x, w });
  }
  const shape = [x.shape[0] as number, out];
  if (b && !sameShape(b.shape, [out])) throw new ShapeError("linear", "the bias must fit the output", { w, b });
  if (w.op === "quantized") return new Node("quantizedLinear", b ? [x, w, b] : [x, w], { alpha, beta }, shape) as Node;
  return new Node("linear", [x, w, b as Node], { alpha, beta, transW: transposed }, shape) as Node;
}

/** (x - mean) / sqrt(var + eps) * scale + bias over the last axis. */
export function layerNorm(x: Node, scale: Node, bias: Node, eps: number): Node {
  if (x.shape.at(-1) !== scale.shape[0]) throw new ShapeError("layerNorm", "widths differ", { x, scale });
  return new Node("layerNorm", [x, scale, bias], { eps }, x.shape) as Node;
}

/** x / sqrt(mean(x²) + eps) * scale over the last axis (Zhang and Sennrich, 2019). */
export function rmsNorm(x: Node, scale: Node, eps: number): Node {
  if (x.shape.at(-1) !== scale.shape[0]) throw new ShapeError("rmsNorm", "widths differ", { x, scale });
  return new Node("rmsNorm", [x, scale], { eps }, x.shape) as Node;
}

/** Rotates rows [N, nHeads*K] by their positions' angles; see `Ops`. */
export const rotary = (x: Node, cos: Node, sin: Node, nHeads: number): Node =>
  new Node("rotary", [x, cos, sin], { nHeads }, x.shape) as Node;

/** x in a shape whose unknown dimensions `sizes` holds when the graph runs. */
export const reshapeTo = (x: Node, sizes: Node, shape: Shape): Node =>
  new Node("reshapeTo", [x, sizes], {}, shape, x.dtype) as Node;

/** x after other outputs with as many rows are written, for ops that read their memory. */
export const after = (x: Node, until: readonly Node[]): Node => new Node("after", [x, ...until], {}, x.shape) as Node;

export const inverseStd = (x: Node, eps: number): Node =>
  new Node("inverseStd", [x], { eps }, [...x.shape.slice(0, -1), 1]) as Node;

/**
 * The exact GELU of sqrt(2) u, times sqrt(2). Both factors fold into the linear layers around it, which saves four
 * passes over the widest activation of the model: gelu(x) = x / 2 * (1 + erf(x / sqrt(2))).
 */
export const geluGate = (u: Node): Node => new Node("geluGate", [u, u.erf().add(1)], {}, u.shape) as Node;

export function concat(parts: readonly Node[], axis: number): Node {
  if (parts.length === 1) return parts[0] as Node;
  const [first] = parts as [Node, ...Node[]];
  const sizes = parts.map((part) => part.shape[axis] as number);
  const size = isKnown(sizes) ? sizes.reduce((n, d) => n + d, 0) : UNKNOWN;
  const shape = first.shape.map((d, i) => (i === axis ? size : d));
  return new Node("concat", [...parts], { axis }, shape, first.dtype) as Node;
}

/** table[ids]: table [V, D], ids any shape, result [...ids, D]. */
export const rows = (table: Node, ids: Node): Node =>
  new Node("rows", [table, ids], {}, [...ids.shape, ...table.shape.slice(1)]) as Node;

export const scatterRows = (g: Node, ids: Node, count: number): Node =>
  new Node("scatterRows", [g, ids], { rows: count }, [count, ...g.shape.slice(ids.shape.length)]) as Node;

/** x[i, ids[i]]: x [N, V], ids [N], result [N]. */
export const pick = (x: Node, ids: Node): Node => new Node("pick", [x, ids], {}, ids.shape) as Node;

export const oneHot = (ids: Node, depth: number): Node =>
  new Node("oneHot", [ids], { depth }, [...ids.shape, depth]) as Node;

export const windowOf = (bank: Node, offsets: Node, index: number, shape: Shape): Node =>
  new Node("window", [bank, offsets], { index }, shape) as Node;

export const replaceAt = (table: Node, at: Node, values: Node): Node =>
  new Node("replaceAt", [table, at, values], {}, table.shape) as Node;

export const take = (x: Node, count: Node, axis: number): Node =>
  new Node(
    "take",
    [x, count],
    { axis },
    x.shape.map((d, i) => (i === axis ? UNKNOWN : d)),
  ) as Node;

/** Attention over a cache; see `Ops`. Returns z [B, T, H*K] and the updated caches. */
export function cachedAttention(
  inputs: Ops["cachedAttention"]["inputs"],
  attrs: CachedAttention,
): { readonly z: Node; readonly k: Node; readonly v: Node } {
  const [q, , , pastK] = inputs;
  const z = new Node("cachedAttention", inputs, attrs, q.shape) as Node;
  const present = (which: 0 | 1) => new Node("presentOf", [z], { which }, pastK.shape) as Node;
  return { z, k: present(0), v: present(1) };
}

/** Returns every node that the outputs need, inputs before users. */
export function topoSort(outputs: readonly Node[]): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  // An explicit stack, because a deep model's graph is deeper than JavaScript's call stack.
  const stack: (readonly [Node, boolean])[] = outputs.toReversed().map((node) => [node, false] as const);
  for (let top = stack.pop(); top; top = stack.pop()) {
    const [node, inputsDone] = top;
    if (inputsDone) {
      order.push(node);
    } else if (!seen.has(node)) {
      seen.add(node);
      stack.push([node, true]);
      for (const x of (node.inputs as Node[]).toReversed()) if (!seen.has(x)) stack.push([x, false]);
    }
  }
  return order;
}

type Pointwise = "exp" | "log" | "sqrt" | "tanh" | "erf" | "relu" | "sigmoid" | "positive" | "geluTanh" | "softmax";
const pointwise = (op: Pointwise, x: Node): Node => new Node(op, [x], {}, x.shape) as Node;

function elementwise(op: "add" | "sub" | "mul" | "div", a: Node, other: Node | number): Node {
  const b = typeof other === "number" ? constant(other) : other;
  const shape = broadcastShapes(a.shape, b.shape);
  if (!shape) throw new ShapeError(op, "shapes do not broadcast", { a, b });
  return new Node(op, [a, b], {}, shape) as Node;
}

function reduce(
  op: "sum" | "mean",
  x: Node,
  axes: readonly number[] = x.shape.map((_, i) => i),
  keepDims: boolean,
): Node {
  const normalized = normalizeAxes(axes, x.shape.length);
  if (normalized.length === 0) return x;
  return new Node(op, [x], { axes: normalized, keepDims }, reducedShape(x.shape, normalized, keepDims)) as Node;
}

const lastTwo = (shape: Shape, transposed: boolean): [number, number] => {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
};
