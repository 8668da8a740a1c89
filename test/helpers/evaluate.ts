/**
 * A graph interpreter in float64 with plain loops: slow, and independent of the tested code.
 */

import { readFileSync } from "node:fs";
import { type Node, type Op, type Ops, topoSort } from "../../src/engine/graph/node";
import { isKnown, type Shape, sizeOf } from "../../src/engine/graph/shape";
import type { StoredTensor } from "../../src/engine/weights/stored";

export type Numbers = ArrayLike<number>;
/** Input values by name. */
export type Feeds = Readonly<Record<string, Numbers | BigInt64Array>>;

/** Computes the values of nodes from input values. */
export function evaluate(outputs: readonly Node[], inputs: Feeds = {}): Float64Array[] {
  const values = new Map<Node, Float64Array>();
  const lookUp = (node: Node) => values.get(node) as Float64Array;
  for (const node of topoSort(outputs)) {
    const value = node.op === "input" ? given(node as Node<"input">, inputs) : (rules[node.op] as Rule)(node, lookUp);
    if (isKnown(node.shape) && value.length !== sizeOf(node.shape)) {
      throw new Error(`${node.op}: ${value.length} elements do not fit [${node.shape}]`);
    }
    values.set(node, value);
  }
  return outputs.map(lookUp);
}

function given({ attrs: { name } }: Node<"input">, inputs: Feeds): Float64Array {
  const value = inputs[name];
  if (!value) throw new Error(`evaluate: the input ${name} is missing`);
  return value instanceof BigInt64Array ? Float64Array.from(value, Number) : new Float64Array(value);
}

type Rule<K extends Op = Op> = (node: Node<K>, value: (x: Node) => Float64Array) => Float64Array;
type Values<Inputs extends readonly Node[]> = { [I in keyof Inputs]: Float64Array };

const rules: { readonly [K in Op]: Rule<K> } = {
  input: () => {
    throw new Error("an input has no rule: its value is given");
  },
  constant: ({ attrs: { data } }) => Float64Array.from(data),
  stored: ({ attrs: { tensor } }) => numbersOf(tensor),
  quantized: ({ attrs: { weight, scales, mins, bits }, shape }) => {
    const [codes, scale, min] = [numbersOf(weight), numbersOf(scales), mins && numbersOf(mins)];
    const half = (i: number) => (at(codes, i >> 1) >> (4 * (i & 1))) & 15;
    const block = sizeOf(shape) / scale.length;
    return Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
      const b = Math.floor(i / block);
      const code = bits === 8 ? at(codes, i) : half(i);
      if (min) return at(scale, b) * (code - (bits === 8 ? 112 : block === 16 ? 6 : 0)) + at(min, b);
      return at(scale, b) * (bits === 8 ? code - 128 : code - 8);
    });
  },

  add: elementwise((a, b) => a + b),
  sub: elementwise((a, b) => a - b),
  mul: elementwise((a, b) => a * b),
  div: elementwise((a, b) => a / b),

  exp: pointwise(Math.exp),
  log: pointwise(Math.log),
  sqrt: pointwise(Math.sqrt),
  tanh: pointwise(Math.tanh),
  erf: pointwise(erf),
  relu: pointwise((x) => Math.max(x, 0)),
  sigmoid: pointwise((x) => 1 / (1 + Math.exp(-x))),
  positive: pointwise((x) => (x > 0 ? 1 : 0)),
  geluTanh: pointwise((x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))),
  geluGate: elementwise((u, p) => u * p),

  sum: (node, value) => reduce(node, value, (xs) => total(xs)),
  mean: (node, value) => reduce(node, value, (xs) => total(xs) / xs.length),
  sumSquares: ({ inputs: [x] }, value) => Float64Array.of(total(value(x).map((v) => v * v))),
  logSumExp: (node, value) => perRow(rowsIn(node.inputs[0], value), (xs) => [logSumExp(xs)]),
  softmax: (node, value) =>
    perRow(rowsIn(node.inputs[0], value), (xs) => {
      const norm = logSumExp(xs);
      return xs.map((x) => Math.exp(x - norm));
    }),
  max: (node, value) => perRow(rowsIn(node.inputs[0], value), (xs) => [Math.max(...xs)]),
  argMax: (node, value) => perRow(rowsIn(node.inputs[0], value), (xs) => [xs.indexOf(Math.max(...xs))]),

  matmul: (node, value) => {
    const { transA, transB, alpha } = node.attrs;
    const [m, n] = node.shape.slice(-2) as [number, number];
    const inner = node.inputs[0].shape.at(transA ? -2 : -1) as number;
    const [a, b] = values(node, value);
    return Float64Array.from({ length: sizeOf(node.shape) }, (_, index) => {
      const batch = Math.floor(index / (m * n));
      const i = Math.floor(index / n) % m;
      const j = index % n;
      let dot = 0;
      for (let k = 0; k < inner; k++) {
        const ai = transA ? k * m + i : i * inner + k;
        const bi = transB ? j * inner + k : k * n + j;
        dot += at(a, batch * m * inner + ai) * at(b, batch * inner * n + bi);
      }
      return alpha * dot;
    });
  },
  linear: (node, value) => product(node, node.attrs.transW, value),
  quantizedLinear: (node, value) => product(node, true, value),
  layerNorm: (node, value) => {
    const [, scale, bias] = values(node, value);
    return perRow(rowsIn(node.inputs[0], value), (xs) => {
      const { mean, std } = moments(xs, node.attrs.eps);
      return xs.map((x, i) => ((x - mean) / std) * at(scale, i) + at(bias, i));
    });
  },
  rmsNorm: (node, value) => {
    const [, scale] = values(node, value);
    return perRow(rowsIn(node.inputs[0], value), (xs) => {
      const size = Math.sqrt(total(xs.map((x) => x * x)) / xs.length + node.attrs.eps);
      return xs.map((x, i) => (x / size) * at(scale, i));
    });
  },
  inverseStd: (node, value) => perRow(rowsIn(node.inputs[0], value), (xs) => [1 / moments(xs, node.attrs.eps).std]),

  reshape: ({ inputs: [x] }, value) => value(x),
  reshapeTo: ({ inputs: [x] }, value) => value(x),
  after: ({ inputs: [x] }, value) => value(x),
  transpose: ({ inputs: [x], attrs: { perm }, shape }, value) => {
    const steps = stridesOf(x.shape);
    return gather(value(x), shape, (index) => index.reduce((sum, i, axis) => sum + i * at(steps, at(perm, axis)), 0));
  },
  broadcast: ({ inputs: [x], shape }, value) => gather(value(x), shape, stretched(x.shape)),
  slice: ({ inputs: [x], attrs: { axis, start }, shape }, value) => {
    const steps = stridesOf(x.shape);
    return gather(value(x), shape, (index) => flat(index, steps) + start * at(steps, axis));
  },
  concat: ({ inputs, attrs: { axis }, shape }, value) => {
    const owners = inputs.flatMap((x) =>
      Array.from({ length: x.shape[axis] as number }, (_, position) => ({ x, position })),
    );
    return Float64Array.from(indices(shape), (index) => {
      const { x, position } = owners[at(index, axis)] as { x: Node; position: number };
      return at(value(x), flat(index.with(axis, position), stridesOf(x.shape)));
    });
  },

  rows: (node, value) => {
    const [table, ids] = values(node, value);
    const width = sizeOf(node.inputs[0].shape.slice(1));
    return Float64Array.from([...ids].flatMap((id) => [...table.subarray(id * width, (id + 1) * width)]));
  },
  scatterRows: (node, value) => {
    const [g, ids] = values(node, value);
    const width = g.length / ids.length;
    const table = new Float64Array(sizeOf(node.shape));
    g.forEach((x, i) => {
      table[at(ids, Math.floor(i / width)) * width + (i % width)]! += x;
    });
    return table;
  },
  pick: (node, value) => {
    const [x, ids] = values(node, value);
    const width = node.inputs[0].shape.at(-1) as number;
    return ids.map((id, row) => at(x, row * width + id));
  },
  oneHot: (node, value) => {
    const [ids] = values(node, value);
    const { depth } = node.attrs;
    return Float64Array.from({ length: ids.length * depth }, (_, i) =>
      at(ids, Math.floor(i / depth)) === i % depth ? 1 : 0,
    );
  },
  window: (node, value) => {
    const [bank, offsets] = values(node, value);
    const start = at(offsets, node.attrs.index);
    return bank.slice(start, start + sizeOf(node.shape));
  },

  rotary: (node, value) => {
    const [x, cos, sin] = values(node, value);
    const K = (node.shape[1] as number) / node.attrs.nHeads;
    const R = node.inputs[1].shape[1] as number;
    return x.map((now, i) => {
      const [row, k] = [Math.floor(i / (node.shape[1] as number)), i % K];
      if (k >= 2 * R) return now;
      const angle = row * R + (k % R);
      return k < R
        ? now * at(cos, angle) - at(x, i + R) * at(sin, angle)
        : now * at(cos, angle) + at(x, i - R) * at(sin, angle);
    });
  },

  replaceAt: (node, value) => {
    const [table, cells, found] = values(node, value);
    const depth = node.inputs[1].shape.at(-1) as number;
    const width = sizeOf(node.shape.slice(depth));
    const replaced = table.slice();
    for (let i = 0; i < cells.length / depth; i++) {
      let cell = 0;
      for (let d = 0; d < depth; d++) cell = cell * (node.shape[d] as number) + at(cells, i * depth + d);
      replaced.set(found.subarray(i * width, (i + 1) * width), cell * width);
    }
    return replaced;
  },
  take: ({ inputs: [x, count], attrs: { axis } }, value) => {
    const inner = sizeOf(x.shape.slice(axis + 1));
    const whole = (x.shape[axis] as number) * inner;
    return value(x).filter((_, i) => i % whole < at(value(count), 0) * inner);
  },
  cachedAttention: (node, value) => {
    const { nHeads: H, nKvHeads: G, scale, window } = node.attrs;
    const [B, T, width] = node.shape as [number, number, number];
    const K = width / H;
    const C = node.inputs[3].shape[2] as number;
    const [q, , , , , lastIndex] = values(node, value);
    const [keys, values_] = [filledCache(node, 0, value), filledCache(node, 1, value)];
    const z = new Float64Array(sizeOf(node.shape));
    for (const [b, t, h] of indices([B, T, H]) as Iterable<[number, number, number]>) {
      const query = at(lastIndex, b) + 1 - T + t;
      const cacheRow = (position: number) => ((b * G + Math.floor((h * G) / H)) * C + position) * K;
      const first = window === null ? 0 : Math.max(0, query + 1 - window);
      const scores = Array.from({ length: query + 1 - first }, (_, i) => {
        let dot = 0;
        for (let k = 0; k < K; k++) dot += at(q, (b * T + t) * width + h * K + k) * at(keys, cacheRow(first + i) + k);
        return dot * scale;
      });
      const norm = logSumExp(scores);
      for (let k = 0; k < K; k++) {
        z[(b * T + t) * width + h * K + k] = total(
          scores.map((score, i) => Math.exp(score - norm) * at(values_, cacheRow(first + i) + k)),
        );
      }
    }
    return z;
  },
  presentOf: ({ inputs: [attention], attrs: { which } }, value) =>
    filledCache(attention as Node<"cachedAttention">, which, value),
};

/** alpha * x @ w' + beta * b, for x [N, D] and w [D, F], or [F, D] if transposed. */
function product(
  node: Node<"linear"> | Node<"quantizedLinear">,
  transposed: boolean,
  value: (x: Node) => Float64Array,
): Float64Array {
  const { alpha, beta } = node.attrs;
  const [x, w, b] = (node.inputs as readonly Node[]).map(value) as [Float64Array, Float64Array, Float64Array?];
  const columns = node.shape[1] as number;
  const inner = node.inputs[0].shape[1] as number;
  return Float64Array.from({ length: sizeOf(node.shape) }, (_, index) => {
    const [i, j] = [Math.floor(index / columns), index % columns];
    let dot = 0;
    for (let k = 0; k < inner; k++) dot += at(x, i * inner + k) * at(w, transposed ? j * inner + k : k * columns + j);
    return alpha * dot + (b ? beta * at(b, j) : 0);
  });
}

/** A key (0) or value (1) cache with the new positions written in. */
function filledCache(node: Node<"cachedAttention">, which: 0 | 1, value: (x: Node) => Float64Array): Float64Array {
  const [B, T] = node.shape as [number, number, number];
  const G = node.attrs.nKvHeads;
  const [, , C, K] = node.inputs[3].shape as [number, number, number, number];
  const inputs = values(node, value);
  const [fresh, past, lastIndex] = [inputs[which + 1], inputs[which + 3], inputs[5]] as [
    Float64Array,
    Float64Array,
    Float64Array,
  ];
  const cache = past.slice();
  for (const [b, t, g, k] of indices([B, T, G, K]) as Iterable<[number, number, number, number]>) {
    const position = at(lastIndex, b) + 1 - T + t;
    cache[((b * G + g) * C + position) * K + k] = at(fresh, ((b * T + t) * G + g) * K + k);
  }
  return cache;
}

/** Reads the values of a file one at a time. */
function numbersOf({ file, offset, length, dtype, shape }: StoredTensor): Float64Array {
  const bytes = readFileSync(file);
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, length);
  const size = length / sizeOf(shape);
  const read: Partial<Record<typeof dtype, (i: number) => number>> = {
    U8: (i) => view.getUint8(i),
    F16: (i) => halfPrecision(view.getUint16(i, true)),
    BF16: (i) => float32Of(view.getUint16(i, true) * 2 ** 16),
    F32: (i) => view.getFloat32(i, true),
  };
  return Float64Array.from({ length: sizeOf(shape) }, (_, i) => (read[dtype] as (i: number) => number)(i * size));
}

/** One sign bit, five exponent bits, ten fraction bits. */
function halfPrecision(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
}

const float32Of = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0] as number;

const at = (xs: Numbers, i: number): number => {
  const x = xs[i];
  if (x === undefined) throw new RangeError(`index ${i} of ${xs.length} elements`);
  return x;
};

const values = <K extends Op>(node: Node<K>, value: (x: Node) => Float64Array) =>
  (node.inputs as readonly Node[]).map(value) as Float64Array[] as Values<Ops[K]["inputs"]>;

function pointwise(f: (x: number) => number): Rule {
  return ({ inputs: [x] }, value) => value(x as Node).map(f);
}

function elementwise(f: (a: number, b: number) => number): Rule {
  return ({ inputs, shape }, value) => {
    const [a, b] = (inputs as Node[]).map((x) => gather(value(x), shape, stretched(x.shape)));
    return (a as Float64Array).map((x, i) => f(x, at(b as Float64Array, i)));
  };
}

function reduce(
  { inputs: [x], attrs: { axes } }: Node<"sum"> | Node<"mean">,
  value: (x: Node) => Float64Array,
  f: (xs: number[]) => number,
): Float64Array {
  const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
  const groups: number[][] = Array.from({ length: sizeOf(kept) }, () => []);
  const target = stretched(kept);
  const steps = stridesOf(x.shape);
  for (const index of indices(x.shape)) groups[target(index)]?.push(at(value(x), flat(index, steps)));
  return Float64Array.from(groups, f);
}

/** Applies a function to each row along the last axis. */
function perRow(
  { data, width }: { readonly data: Float64Array; readonly width: number },
  f: (row: number[]) => readonly number[],
): Float64Array {
  const rows = Array.from({ length: data.length / width }, (_, i) => [...data.subarray(i * width, (i + 1) * width)]);
  return Float64Array.from(rows.flatMap((row) => [...f(row)]));
}

/** The value of a node, as rows along its last axis. */
const rowsIn = (x: Node, value: (x: Node) => Float64Array) => ({ data: value(x), width: x.shape.at(-1) as number });

const total = (xs: Iterable<number>): number => {
  let sum = 0;
  for (const x of xs) sum += x;
  return sum;
};

const logSumExp = (xs: readonly number[]): number => {
  const max = Math.max(...xs);
  return max + Math.log(total(xs.map((x) => Math.exp(x - max))));
};

function moments(xs: readonly number[], eps: number): { mean: number; std: number } {
  const mean = total(xs) / xs.length;
  return { mean, std: Math.sqrt(total(xs.map((x) => (x - mean) ** 2)) / xs.length + eps) };
}

/** erf(x) = 2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!, whose terms do not cancel. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const stridesOf = (shape: Shape): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)));
const flat = (index: readonly number[], steps: Numbers): number =>
  index.reduce((sum, i, axis) => sum + i * at(steps, axis), 0);

/** Every index of a shape, with the last axis changing fastest. */
function* indices(shape: Shape): Generator<number[]> {
  const steps = stridesOf(shape);
  for (let i = 0; i < sizeOf(shape); i++) yield shape.map((d, axis) => Math.floor(i / at(steps, axis)) % d);
}

const gather = (data: Float64Array, shape: Shape, source: (index: number[]) => number): Float64Array =>
  Float64Array.from(indices(shape), (index) => at(data, source(index)));

/** The source index of a broadcast element. */
function stretched(from: Shape): (index: readonly number[]) => number {
  const steps = stridesOf(from).map((step, axis) => (from[axis] === 1 ? 0 : step));
  return (index) => flat(index.slice(index.length - from.length), steps);
}
