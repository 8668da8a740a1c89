/** Graphs that cover every lowering rule, for all devices. */

import {
  after,
  cachedAttention,
  concat,
  constant,
  geluGate,
  input,
  inverseStd,
  layerNorm,
  linear,
  type Node,
  oneHot,
  ones,
  pick,
  type QuantizedTensor,
  quantized,
  replaceAt,
  reshapeTo,
  rmsNorm,
  rotary,
  rows,
  scatterRows,
  stored,
  take,
  topoSort,
  windowOf,
  zeros,
} from "../../../src/engine/graph/node";
import { type Shape, sizeOf, UNKNOWN } from "../../../src/engine/graph/shape";
import type { HostArray } from "../../../src/engine/runtime/session";
import { normals } from "../../helpers/gradcheck";
import { quantizedNormals, randomBlocks, storedNormals } from "../../helpers/storedTensors";

export interface LoweringCase {
  readonly outputs: Readonly<Record<string, Node>>;
  readonly feeds: Readonly<Record<string, HostArray>>;
}

/** A case with inputs a, b, c … of the given shapes, filled with normal numbers. */
function caseOf(shapes: readonly Shape[], f: (...xs: Node[]) => Node | Record<string, Node>): LoweringCase {
  const names = shapes.map((_, i) => "abcdefgh"[i] as string);
  const y = f(...shapes.map((shape, i) => input(names[i] as string, shape)));
  const values = shapes.map((shape, i) => [names[i] as string, normals(sizeOf(shape), "lowering", i)] as const);
  return { outputs: isNode(y) ? { y } : y, feeds: Object.fromEntries(values) };
}

const isNode = (x: Node | Record<string, Node>): x is Node => "op" in x && typeof x.op === "string";

/** The same with ids as an input, so that nothing is folded at compile time. */
function caseWithIds(
  ids: readonly number[],
  shape: Shape,
  shapes: readonly Shape[],
  f: (ids: Node, ...xs: Node[]) => Node | Record<string, Node>,
): LoweringCase {
  const { outputs, feeds } = caseOf(shapes, (...xs) => f(input("ids", shape, "i32"), ...xs));
  return { outputs, feeds: { ...feeds, ids: Int32Array.from(ids) } };
}

const manyIds = (count: number, below: number) => Array.from({ length: count }, (_, i) => (i * i * 7 + 3) % below);
/** [T, B, H, K] to [B, H, T, K], which the CPU's product reads without a copy. */
const headsFirst = (x: Node) => x.transpose(1, 2, 0, 3);

function attentionOverCache(
  batch: number,
  length: number,
  lastIndex: readonly number[],
  { nKvHeads: G = 2, window = null as number | null } = {},
): LoweringCase {
  const [H, K, C] = [2, 16, 48];
  const shapes: Shape[] = [
    [batch, length, H * K],
    [batch, length, G * K],
    [batch, length, G * K],
    [batch, G, C, K],
    [batch, G, C, K],
  ];
  const total = Math.max(...lastIndex) + 1;
  const filled = Math.min(...lastIndex) + 1;
  const heads = { nHeads: H, nKvHeads: G, scale: 0.3, window };
  const { outputs, feeds } = caseOf(shapes, (q, k, v, pastK, pastV) => {
    const at = [input("lastIndex", [batch], "i32"), input("total", [], "i32")] as const;
    const present = cachedAttention([q as Node, k as Node, v as Node, pastK as Node, pastV as Node, ...at], heads);
    // The unused part of a cache is undefined.
    return { z: present.z, k: present.k.slice(2, 0, filled), v: present.v.slice(2, 0, filled) };
  });
  return { outputs, feeds: { ...feeds, lastIndex: Int32Array.from(lastIndex), total: Int32Array.of(total) } };
}

/** Rows rotated by angles that differ between rows. */
const rotated = (nHeads: number, K: number, R: number) =>
  caseOf(
    [
      [5, nHeads * K],
      [5, R],
    ],
    (x, angles) => {
      // cos² + sin² need not be 1, because some scalings multiply both.
      const [cos, sin] = [angles.tanh(), angles.mul(0.5)];
      return rotary(x.mul(1), cos, sin, nHeads);
    },
  );

/**
 * Rows of integers up to 127, which occurs in every block: a quantized product rounds its operand to 8 bits, which does
 * not change these values.
 */
const wholeNumbers = (rows: number, width: number): Float32Array =>
  Float32Array.from({ length: rows * width }, (_, i) => (i % 16 === 5 ? 127 : ((i * 37) % 255) - 127));

const quantizedProducts = (matrix: (shape: readonly [number, number]) => QuantizedTensor, K = 96): LoweringCase => {
  const [N, F] = [3, 40];
  const [x, b] = [input("x", [N, K]), input("b", [F])];
  const w = quantized(matrix([F, K]));
  return {
    outputs: {
      plain: linear(x, w),
      bias: linear(x, w, b),
      scaled: linear(x, w, undefined, { alpha: 0.7 }),
      both: linear(x, w, b, { alpha: 0.7, beta: -1.5 }),
      oneRow: linear(x.slice(0, 1, 2), w, b),
    },
    feeds: { x: wholeNumbers(N, K), b: normals(F, "bias") },
  };
};

/** Blocks of types of GGUF: Q6_K, Q3_K, Q5_K, Q4_K, and Q2_K. */
const BLOCKS = {
  "8 bits and small blocks": { bits: 8, block: 16, hasMins: false },
  "4 bits and small blocks": { bits: 4, block: 16, hasMins: false },
  "8 bits with minimums": { bits: 8, block: 32, hasMins: true },
  "4 bits with minimums": { bits: 4, block: 32, hasMins: true },
  "4 bits, small blocks and minimums": { bits: 4, block: 16, hasMins: true },
} as const;

export const loweringCases: Readonly<Record<string, () => LoweringCase>> = {
  "arithmetic that broadcasts": () =>
    caseOf([[2, 1, 3], [4, 1], []], (a, b, c) => ({
      add: a.add(b),
      sub: a.sub(b),
      mul: a.mul(c),
      div: a.div(b.mul(b).add(1)),
      number: a.mul(2).sub(0.5),
    })),
  "functions of one element": () =>
    caseOf([[3, 7]], (x) => ({
      exp: x.exp(),
      log: x.mul(x).add(0.1).log(),
      sqrt: x.mul(x).sqrt(),
      tanh: x.mul(3).tanh(),
      erf: x.mul(2).erf(),
      relu: x.relu(),
      sigmoid: x.mul(3).sigmoid(),
      positive: x.positive(),
      geluTanh: x.mul(3).geluTanh(),
      geluGate: geluGate(x.mul(2)),
    })),
  "a step function is 0 at 0": () => caseOf([[3]], (x) => x.sub(x).positive()),
  "a step function is 1 at the smallest normal number": () =>
    caseOf([[3]], (x) => x.mul(x).sub(x.mul(x)).add(1.2e-38).positive()),
  "products with large addends": () =>
    caseOf([[300, 8], [8, 256], [256], [300, 256]], (x, w, b, c) => ({
      bias: linear(x, w, b),
      scaled: linear(x, w, b, { alpha: 0.7, beta: -1.5 }),
      transposed: linear(x, w.transpose(1, 0), b, { transW: true }),
      sum: x.matmul(w).add(c),
    })),
  "sums of columns": () =>
    caseOf([[70, 5]], (x) => ({ sum: x.sum([0]), kept: x.sum([0], true), scaled: x.mul(2).sum([0]) })),
  "a layer norm whose value is also normalized without scale and bias": () =>
    caseOf([[4, 6], [6], [6]], (x, s, b) => ({
      y: layerNorm(x, s, b, 1e-5),
      unbiased: layerNorm(x, s, zeros([6]), 1e-5),
      plain: layerNorm(x, ones([6]), zeros([6]), 1e-5),
      inverse: inverseStd(x, 1e-5),
    })),

  "sums and means": () =>
    caseOf([[2, 3, 4]], (x) => ({
      all: x.sum(),
      middle: x.sum([1]),
      kept: x.sum([0, 2], true),
      mean: x.mean([-1], true),
      meanFirst: x.mean([0]),
      squares: x.sumSquares(),
    })),
  "sum of many elements": () => caseOf([[300, 200]], (x) => ({ sum: x.sum([0]), squares: x.sumSquares() })),
  logSumExp: () => caseOf([[2, 3, 40]], (x) => x.logSumExp()),
  "logSumExp and softmax of numbers whose exponentials overflow": () =>
    caseOf([[5, 40]], (x) => ({ large: x.mul(1e4).logSumExp(), softmax: x.mul(1e4).softmax() })),
  softmax: () => caseOf([[2, 3, 40]], (x) => x.softmax()),
  "softmax of masked scores": () =>
    caseOf([[2, 3, 4]], (x) => x.add(constant(Float32Array.of(0, 0, -1e9, -1e9), [4])).softmax()),
  max: () => caseOf([[4, 9]], (x) => x.max()),
  argMax: () => caseOf([[4, 9]], (x) => x.argMax()),

  "matmul of matrices": () =>
    caseOf(
      [
        [5, 4],
        [4, 6],
        [4, 5],
        [6, 4],
      ],
      (a, b, at, bt) => ({
        plain: a.matmul(b),
        transA: at.matmul(b, { transA: true, alpha: 0.5 }),
        transB: a.matmul(bt, { transB: true, alpha: -2 }),
        both: at.matmul(bt, { transA: true, transB: true }),
      }),
    ),
  "matmul in batches": () =>
    caseOf(
      [
        [2, 3, 5, 4],
        [2, 3, 4, 6],
        [2, 3, 4, 5],
        [2, 3, 6, 4],
      ],
      (a, b, at, bt) => ({
        plain: a.matmul(b),
        scaled: a.matmul(b, { alpha: 0.5 }),
        transA: at.matmul(b, { transA: true }),
        transB: a.matmul(bt, { transB: true, alpha: -2 }),
        both: at.matmul(bt, { transA: true, transB: true, alpha: 3 }),
      }),
    ),
  "matmul of heads that are only read by products": () =>
    caseOf(
      [
        [5, 2, 3, 4],
        [5, 2, 3, 4],
        [5, 2, 3, 4],
      ],
      (q, k, v) => {
        const scores = headsFirst(q).matmul(headsFirst(k), { transB: true, alpha: 0.5 });
        return { scores, z: scores.matmul(headsFirst(v)), zt: scores.matmul(headsFirst(v), { transA: true }) };
      },
    ),
  "matmul of operands with other transpositions": () =>
    caseOf(
      [
        [2, 5, 3, 4],
        [2, 5, 3, 4],
        [4, 3, 2],
        [3, 2, 4],
      ],
      (a, b, c, d) => ({
        scores: a.transpose(0, 2, 1, 3).matmul(b.transpose(0, 2, 1, 3), { transB: true }),
        cubes: c.transpose(1, 2, 0).matmul(d.transpose(0, 2, 1)),
      }),
    ),
  "matmul of heads with other users": () =>
    caseOf(
      [
        [5, 2, 3, 4],
        [5, 2, 3, 4],
      ],
      (a, b) => {
        const [q, k] = [headsFirst(a), headsFirst(b)];
        return { scores: q.matmul(k, { transB: true }), q, squares: k.sumSquares() };
      },
    ),
  "a product with an addend": () =>
    caseOf([[5, 4], [4, 6], [5, 6], [6]], (a, b, c, row) => {
      const [used, seen] = [a.matmul(b, { alpha: 2 }), a.matmul(b, { alpha: 3 })];
      return {
        left: a.matmul(b).add(c),
        right: c.add(a.matmul(b, { alpha: 0.5 })),
        two: a.matmul(b).add(a.matmul(b, { alpha: 4 })),
        chain: a.matmul(b).add(c.add(a.matmul(b, { alpha: 5 }))),
        row: a.matmul(b).add(row),
        twice: used.add(used),
        again: used.mul(c),
        seen,
        sum: seen.add(c),
      };
    }),
  "a product of one row with an addend of many": () =>
    caseOf(
      [
        [1, 4],
        [4, 6],
        [5, 6],
      ],
      (a, b, c) => a.matmul(b).add(c),
    ),
  linear: () =>
    caseOf([[5, 4], [4, 6], [6]], (x, w, b) => ({
      plain: linear(x, w, b),
      scaled: linear(x, w, b, { alpha: 0.7, beta: -1.5 }),
      none: linear(x, w, undefined, { alpha: 0.7 }),
    })),
  "linear with a matrix [out, in]": () =>
    caseOf([[5, 4], [6, 4], [6]], (x, w, b) => ({
      plain: linear(x, w, b, { transW: true }),
      scaled: linear(x, w, b, { alpha: 0.7, beta: -1.5, transW: true }),
      none: linear(x, w, undefined, { alpha: 0.7, transW: true }),
    })),
  "linear with a matrix in 8 bits": () => quantizedProducts((shape) => quantizedNormals(shape, 8)),
  "linear with a matrix in 4 bits": () => quantizedProducts((shape) => quantizedNormals(shape, 4)),
  "linear with a matrix in 8 bits and large blocks": () =>
    quantizedProducts((shape) => quantizedNormals(shape, 8), 256),
  ...Object.fromEntries(
    Object.entries(BLOCKS).flatMap(([name, blocks]): [string, () => LoweringCase][] => [
      [`linear with a matrix in ${name}`, () => quantizedProducts((shape) => randomBlocks(shape, blocks))],
      [
        `rows of a table in ${name}`,
        () => caseWithIds([3, 1, 3, 0], [2, 2], [], (ids) => rows(quantized(randomBlocks([5, 64], blocks)), ids)),
      ],
    ]),
  ),
  "rows of a table in 8 bits": () =>
    caseWithIds([3, 1, 3, 0], [2, 2], [], (ids) => rows(quantized(quantizedNormals([5, 64], 8)), ids)),
  "rows of a table in 8 bits and large blocks": () =>
    caseWithIds([3, 1, 3, 0], [2, 2], [], (ids) => rows(quantized(quantizedNormals([5, 256], 8)), ids)),
  "rows of a table in 4 bits": () =>
    caseWithIds([3, 1, 3, 0], [4], [], (ids) => rows(quantized(quantizedNormals([5, 64], 4)), ids)),
  rmsNorm: () => caseOf([[3, 16], [16]], (x, scale) => rmsNorm(x, scale, 0.1)),
  "rmsNorm in three axes": () => caseOf([[2, 3, 16], [16]], (x, scale) => rmsNorm(x, scale, 1e-5)),
  "rotary over whole heads": () => rotated(3, 16, 8),
  "rotary over a part of each head": () => rotated(2, 16, 4),
  layerNorm: () => caseOf([[3, 16], [16], [16]], (x, scale, bias) => layerNorm(x, scale, bias, 1e-5)),
  "layerNorm with its inverseStd": () =>
    caseOf([[3, 16], [16], [16]], (x, scale, bias) => {
      const y = layerNorm(x, scale, bias, 0.1);
      return { y, weighted: y.mul(inverseStd(x, 0.1)) };
    }),
  "layerNorm in three axes": () =>
    caseOf([[2, 3, 16], [16], [16]], (x, scale, bias) => layerNorm(x, scale, bias, 1e-5)),

  "reshape, transpose, broadcast": () =>
    caseOf([[2, 3, 4]], (x) => ({
      reshape: x.mul(2).reshape([4, 6]),
      twice: x.reshape([4, 6]).reshape([24]),
      transpose: x.transpose(1, 2, 0),
      broadcast: x.reshape([2, 3, 1, 4]).broadcast([2, 3, 5, 4]),
    })),
  slice: () =>
    caseOf([[4, 5, 6]], (x) => ({ first: x.slice(0, 0, 2), middle: x.slice(1, 1, 3), last: x.slice(2, 5, 6) })),
  concat: () =>
    caseOf(
      [
        [2, 1, 3],
        [2, 4, 3],
      ],
      (a, b) => concat([a, b], 1),
    ),
  "concat of more operands than a kernel binds": () =>
    caseOf([[2, 70]], (x) => ({
      seven: concat(
        Array.from({ length: 7 }, (_, i) => x.slice(1, i, i + 2)),
        1,
      ),
      many: concat(
        Array.from({ length: 70 }, (_, i) => x.slice(1, i, i + 1).mul(i)),
        0,
      ),
    })),

  rows: () => caseWithIds([3, 1, 3, 0, 2, 2], [2, 3], [[4, 5]], (ids, table) => rows(table, ids)),
  "scatterRows into a small table": () => caseWithIds([3, 1, 3, 0], [4], [[4, 5]], (ids, g) => scatterRows(g, ids, 6)),
  "scatterRows by ids in two axes": () =>
    caseWithIds([3, 1, 3, 0], [2, 2], [[2, 2, 5]], (ids, g) => scatterRows(g, ids, 6)),
  "scatterRows into a large table": () =>
    caseWithIds(manyIds(60, 2000), [60], [[60, 5]], (ids, g) => scatterRows(g, ids, 2000)),
  pick: () => caseWithIds([2, 0, 6], [3], [[3, 7]], (ids, x) => pick(x, ids)),
  oneHot: () => caseWithIds([2, 0, 6], [3], [[3, 7]], (ids, x) => oneHot(ids, 7).mul(x)),
  window: () => {
    const { outputs, feeds } = caseOf([[50], [2, 3]], (bank, x) => {
      const offsets = input("offsets", [4], "i32");
      return { first: windowOf(bank, offsets, 0, [2, 3]).mul(x), last: windowOf(bank, offsets, 3, [20]) };
    });
    return { outputs, feeds: { ...feeds, offsets: Int32Array.of(7, 0, 0, 30) } };
  },

  "an output that is an input, a constant, or has two names": () =>
    caseOf([[2, 3]], (x) => {
      const y = x.mul(2);
      return { x2: x, constant: constant(4), y, again: y };
    }),

  "attention over a cache: a prompt": () => attentionOverCache(1, 5, [4]),
  "attention over a cache: one token after seven": () => attentionOverCache(1, 1, [7]),
  "attention over a cache: three tokens after four": () => attentionOverCache(1, 3, [6]),
  "attention over a cache: the longest piece that is read on WebGPU": () => attentionOverCache(1, 24, [40]),
  "attention over a cache: sequences of different length": () => attentionOverCache(3, 1, [7, 2, 11]),
  "attention over a cache: keys that heads share": () => attentionOverCache(1, 3, [6], { nKvHeads: 1 }),
  "attention over a cache: one token within a window": () => attentionOverCache(1, 1, [11], { window: 4 }),
  "attention over a cache: a prompt longer than the window": () => attentionOverCache(1, 9, [8], { window: 4 }),
};

/** Cases for the CPU only: weights mapped from files, and sizes that are known only when the graph runs. */
export const cpuCases: Readonly<Record<string, () => LoweringCase>> = {
  ...Object.fromEntries(
    (["F32", "F16", "BF16"] as const).map((dtype) => [
      `matrices and tables that lie in files as ${dtype}`,
      () =>
        caseWithIds([3, 1, 3, 0], [2, 2], [[5, 8], [7]], (ids, x, b) => {
          const [w, table] = [stored(storedNormals(dtype, [8, 7])), stored(storedNormals(dtype, [6, 8], "table"))];
          const [scale, bias] = [stored(storedNormals(dtype, [8], "scale")), stored(storedNormals(dtype, [8], "bias"))];
          return {
            plain: linear(x, w, b),
            rows: rows(table, ids),
            // A tied head also reads the table as a matrix.
            head: linear(x, table, undefined, { transW: true }),
            norm: layerNorm(x, scale, bias, 1e-5),
            value: w.mul(2),
          };
        }),
    ]),
  ),
  "reshape to sizes from an input": () => {
    const { outputs, feeds } = caseOf([[2, 6]], (x) =>
      reshapeTo(x.mul(2), input("sizes", [2], "i64"), [UNKNOWN, 4]).exp(),
    );
    return { outputs, feeds: { ...feeds, sizes: BigInt64Array.of(3n, 4n) } };
  },
  "replaced cells of a cache, and the positions in use": () => {
    const shapes = [
      [2, 2, 9, 4],
      [2, 2, 3, 4],
    ];
    const { outputs, feeds } = caseOf(shapes, (cache, found) => {
      const replaced = replaceAt(cache as Node, input("cells", [2, 2, 3, 3], "i64"), found as Node);
      return { replaced, used: take(replaced, input("count", [1], "i64"), 2).exp() };
    });
    // Sequence 1 is a position ahead.
    const cells = [0, 1].flatMap((b) => [0, 1].flatMap((g) => [0, 1, 2].flatMap((t) => [b, g, 4 + b + t])));
    return { outputs, feeds: { ...feeds, cells: BigInt64Array.from(cells, BigInt), count: BigInt64Array.of(8n) } };
  },
  "rows after other rows": () =>
    caseOf(
      [
        [5, 6],
        [5, 2],
        [5, 2],
      ],
      (x, a, b) => ({ y: after(x.mul(2), [a.exp(), b.exp()]).exp() }),
    ),
};

export const opsOfCases = (): Set<string> =>
  new Set(
    Object.values({ ...loweringCases, ...cpuCases }).flatMap((make) =>
      topoSort(Object.values(make().outputs)).map(({ op }) => op),
    ),
  );
