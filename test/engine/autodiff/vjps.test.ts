import { describe, expect, test } from "vitest";
import { grad } from "../../../src/engine/autodiff/grad";
import { vjps } from "../../../src/engine/autodiff/vjps";
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
  type Op,
  oneHot,
  pick,
  quantized,
  replaceAt,
  reshapeTo,
  rmsNorm,
  rotary,
  rows,
  scatterRows,
  take,
  topoSort,
  windowOf,
  zeros,
} from "../../../src/engine/graph/node";
import type { Shape } from "../../../src/engine/graph/shape";
import { erf, evaluate } from "../../helpers/evaluate";
import { expectGradsToMatch, inputsOf, normals } from "../../helpers/gradcheck";

const ids = (...values: number[]) => constant(Int32Array.from(values), [values.length]);
/** Keeps arguments of log, sqrt and similar functions in their domain. */
const positiveOf = (x: Node) => x.mul(x).add(0.5);

/** Cosines and sines [rows, half] of position angles. */
const angles = (rows: number, half: number): [cos: Node, sin: Node] => {
  const values = Float32Array.from({ length: rows * half }, (_, i) => Math.floor(i / half) * 0.9 ** (i % half));
  return [constant(values.map(Math.cos), [rows, half]), constant(values.map(Math.sin), [rows, half])];
};

type Case = readonly [f: (...xs: Node[]) => Node, ...shapes: Shape[]];
const cases: Readonly<Record<string, Case>> = {
  "add, both operands broadcast": [(a, b) => a.add(b), [2, 1, 3], [4, 1]],
  "sub, the first operand broadcast": [(a, b) => a.sub(b), [3], [2, 3]],
  "sub, the second operand a scalar": [(a, b) => a.sub(b), [2, 3], []],
  "mul, both operands broadcast": [(a, b) => a.mul(b), [2, 1, 3], [4, 1]],
  "div, both operands broadcast": [(a, b) => a.div(positiveOf(b)), [2, 1, 3], [4, 1]],
  "a number as operand": [(x) => x.mul(3).sub(0.5).div(4).add(2), [5]],
  "a value used twice": [(x) => x.mul(x).add(x), [4]],
  "a value that reaches the output on paths of different length": [(x) => x.exp().mul(x).add(x.tanh().mul(x)), [4]],

  exp: [(x) => x.exp(), [2, 3]],
  log: [(x) => positiveOf(x).log(), [2, 3]],
  sqrt: [(x) => positiveOf(x).sqrt(), [2, 3]],
  tanh: [(x) => x.tanh(), [2, 3]],
  erf: [(x) => x.erf(), [2, 3]],
  relu: [(x) => x.relu(), [4, 5]],
  sigmoid: [(x) => x.mul(2).sigmoid(), [4, 5]],
  "silu, which is a value times its sigmoid": [(x) => x.mul(x.sigmoid()), [4, 5]],
  geluTanh: [(x) => x.mul(2).geluTanh(), [4, 5]],
  "geluGate, whose second factor has no gradient of its own": [(u) => geluGate(u), [4, 5]],

  "sum over all axes": [(x) => x.sum(), [2, 3]],
  "sum over an axis in the middle": [(x) => x.sum([1]), [2, 3, 4]],
  "sum over two axes that are kept": [(x) => x.sum([0, -1], true), [2, 3, 4]],
  "mean over all axes": [(x) => x.mean(), [2, 3]],
  "mean over the first axis": [(x) => x.mean([0]), [3, 4]],
  "mean over the last axis, kept": [(x) => x.mean([-1], true), [2, 3, 4]],
  sumSquares: [(x) => x.sumSquares(), [2, 3]],
  logSumExp: [(x) => x.logSumExp(), [2, 3, 5]],
  "logSumExp of numbers whose exponentials overflow": [(x) => x.add(1000).logSumExp(), [3, 5]],
  softmax: [(x) => x.softmax(), [2, 3, 5]],
  "softmax that only a product reads": [(x, v) => x.softmax().matmul(v, { alpha: 0.7 }), [2, 3, 4], [2, 4, 5]],
  "softmax that only a product with a transposed operand reads": [
    (x, v) => x.softmax().matmul(v, { transB: true, alpha: 0.7 }),
    [3, 4],
    [5, 4],
  ],
  "softmax as the transposed operand of a product": [(x, v) => x.softmax().matmul(v, { transA: true }), [3, 4], [3, 5]],
  "softmax times itself": [(x) => x.softmax().matmul(x.softmax(), { transB: true }), [3, 4]],
  "softmax that a product and a sum read": [
    (x, v) => {
      const y = x.softmax();
      return y.matmul(v).add(y.mul(2));
    },
    [3, 3],
    [3, 3],
  ],
  "softmax with a masked element": [(x) => x.add(constant(Float32Array.of(0, -1e9, 0), [3])).softmax(), [2, 3]],

  matmul: [(a, b) => a.matmul(b), [3, 4], [4, 5]],
  "matmul, first operand transposed": [(a, b) => a.matmul(b, { transA: true, alpha: 0.7 }), [4, 3], [4, 5]],
  "matmul, second operand transposed": [(a, b) => a.matmul(b, { transB: true, alpha: 0.7 }), [3, 4], [5, 4]],
  "matmul, both operands transposed": [
    (a, b) => a.matmul(b, { transA: true, transB: true, alpha: 0.7 }),
    [4, 3],
    [5, 4],
  ],
  "matmul in batches": [(a, b) => a.matmul(b, { alpha: -2 }), [2, 3, 4, 5], [2, 3, 5, 2]],
  "matmul in batches, first operand transposed": [(a, b) => a.matmul(b, { transA: true }), [2, 5, 4], [2, 5, 3]],
  "matmul in batches, second operand transposed": [(a, b) => a.matmul(b, { transB: true }), [2, 4, 5], [2, 3, 5]],
  "matmul in batches, both operands transposed": [
    (a, b) => a.matmul(b, { transA: true, transB: true }),
    [2, 5, 4],
    [2, 3, 5],
  ],
  "matmul of a value with itself": [(x) => x.matmul(x, { transB: true }), [3, 4]],
  linear: [(x, w, b) => linear(x, w, b), [3, 4], [4, 5], [5]],
  "linear with factors": [(x, w, b) => linear(x, w, b, { alpha: 0.7, beta: -1.5 }), [3, 4], [4, 5], [5]],
  "linear without a bias": [(x, w) => linear(x, w, undefined, { alpha: 0.7 }), [3, 4], [4, 5]],
  "linear with a matrix [out, in]": [(x, w, b) => linear(x, w, b, { transW: true }), [3, 4], [5, 4], [5]],
  "linear with a matrix [out, in] and factors": [
    (x, w, b) => linear(x, w, b, { alpha: 0.7, beta: -1.5, transW: true }),
    [3, 4],
    [5, 4],
    [5],
  ],
  "linear with a matrix [out, in], without a bias": [
    (x, w) => linear(x, w, undefined, { alpha: 0.7, transW: true }),
    [3, 4],
    [5, 4],
  ],
  rmsNorm: [(x, scale) => rmsNorm(x, scale, 1e-5), [2, 3, 8], [8]],
  "rmsNorm of a value far from zero, with an eps that matters": [
    (x, scale) => rmsNorm(x.mul(0.1).add(0.2), scale, 0.3),
    [3, 8],
    [8],
  ],
  "rmsNorm that multiplies by 1 + scale": [(x, scale) => rmsNorm(x, scale.add(1), 1e-5), [3, 8], [8]],
  "rotary over whole heads": [(x) => rotary(x, ...angles(3, 2), 2), [3, 8]],
  "rows after other rows": [(x, y) => after(x, [y.exp()]).exp(), [3, 4], [3, 2]],
  "rotary over a part of each head": [(x) => rotary(x, ...angles(3, 1), 2), [3, 8]],
  layerNorm: [(x, scale, bias) => layerNorm(x, scale, bias, 1e-5), [2, 3, 8], [8], [8]],
  "layerNorm without a bias": [(x, scale) => layerNorm(x, scale, zeros([8]), 1e-5), [3, 8], [8]],
  "layerNorm of a value far from zero, with an eps that matters": [
    (x, scale, bias) => layerNorm(x.add(50), scale, bias, 0.3),
    [3, 8],
    [8],
    [8],
  ],

  "reshape to sizes that are known when the graph runs": [
    (x) => reshapeTo(x.mul(2), constant(Int32Array.of(3, 4), [2]), [3, 4]).mul(3),
    [2, 6],
  ],
  reshape: [(x) => x.reshape([3, 4]).softmax(), [2, 6]],
  "transpose that is not its own inverse": [(x) => x.transpose(1, 2, 0), [2, 3, 4]],
  broadcast: [(x) => x.broadcast([2, 3, 4]), [3, 1]],
  "key heads that several query heads share": [
    (x) => x.reshape([3, 2, 2, 1, 4]).broadcast([3, 2, 2, 3, 4]).reshape([6, 24]),
    [6, 8],
  ],
  "slice from the front": [(x) => x.slice(0, 0, 2), [5, 2]],
  "slice from the middle": [(x) => x.slice(1, 1, 3), [2, 5, 2]],
  "slice to the end": [(x) => x.slice(1, 2, 5), [2, 5]],
  "overlapping slices": [(x) => x.slice(0, 0, 3).mul(x.slice(0, 1, 4)), [5]],
  concat: [(a, b, c) => concat([a, b, c], 1), [2, 1, 2], [2, 3, 2], [2, 2, 2]],
  "concat of a value with itself": [(x) => concat([x, x.mul(2), x], 0), [2, 3]],

  "rows with an id that repeats": [(table) => rows(table, ids(3, 1, 3, 0)), [4, 2]],
  "rows by ids in two axes": [(table) => rows(table, ids(3, 1, 3, 0, 2, 2).reshape([2, 3])), [4, 2]],
  "scatterRows with an id that repeats": [(g) => scatterRows(g, ids(3, 1, 3, 0), 5), [4, 2]],
  "scatterRows by ids in two axes": [(g) => scatterRows(g, ids(3, 1, 3, 0).reshape([2, 2]), 5), [2, 2, 3]],
  pick: [(x) => pick(x, ids(2, 0, 2)), [3, 4]],
  "cross-entropy": [(x) => x.logSumExp().sub(pick(x, ids(2, 0, 2))), [3, 4]],
  "dropout with a window": [
    (x) => x.mul(windowOf(constant(Float32Array.of(9, 2, 0, 2, 0, 0, 2), [7]), ids(5, 1), 1, [2, 3])),
    [2, 3],
  ],
};

describe("gradients agree with finite differences", () => {
  test.each(Object.entries(cases))("%s", (_name, [f, ...shapes]) => expectGradsToMatch(f, ...shapes));
});

/** Ops without a gradient, and ops that only inference uses. */
const withoutGradient = [
  "input",
  "constant",
  "stored",
  "quantized",
  "positive",
  "max",
  "argMax",
  "oneHot",
  "window",
  "inverseStd",
  "quantizedLinear",
  "replaceAt",
  "take",
  "cachedAttention",
  "presentOf",
] as const satisfies readonly Op[];

test("every op with a gradient is checked against finite differences", () => {
  const checked = new Set<string>();
  for (const [f, ...shapes] of Object.values(cases)) {
    const xs = inputsOf(shapes);
    const dependent = new Set<Node>(xs);
    for (const node of topoSort([f(...xs)])) {
      if (!node.inputs.some((x) => dependent.has(x))) continue;
      dependent.add(node);
      checked.add(node.op);
    }
  }
  const unchecked = Object.keys(vjps).filter(
    (op) => !checked.has(op) && !(withoutGradient as readonly string[]).includes(op),
  );
  expect(unchecked).toEqual([]);
});

test("the gradient of geluGate is that of the exact GELU", () => {
  const h = input("h", [41]);
  const gelu = geluGate(h.mul(Math.SQRT1_2)).mul(Math.SQRT1_2);
  const points = Float64Array.from({ length: 41 }, (_, i) => (i - 20) / 4);
  const [value, slope] = evaluate([gelu, grad(gelu.sum(), [h])[0] as Node], { h: points }) as [
    Float64Array,
    Float64Array,
  ];
  points.forEach((x, i) => {
    const below = (1 + erf(x / Math.SQRT2)) / 2;
    const density = Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
    expect(value[i]).toBeCloseTo(x * below, 6);
    expect(slope[i]).toBeCloseTo(below + x * density, 6);
  });
});

describe("ops without a gradient", () => {
  const gradOf = (f: (x: Node) => Node, shape: Shape): Float64Array => {
    const x = input("x", shape);
    const values = normals(
      shape.reduce((n, d) => n * d, 1),
      "x",
    );
    return evaluate(grad(f(x).sum(), [x]), { x: values })[0] as Float64Array;
  };
  const zero = new Float64Array(6);

  test("a step function has gradient 0", () => expect(gradOf((x) => x.positive(), [2, 3])).toEqual(zero));
  test("a mask cut from a bank of numbers has gradient 0", () =>
    expect(gradOf((bank) => windowOf(bank, ids(1), 0, [2]), [6])).toEqual(zero));
  test("a value that the loss does not use has gradient 0", () =>
    expect(gradOf(() => constant(3), [2, 3])).toEqual(zero));
  test("chosen ids have gradient 0", () =>
    expect(gradOf((x) => oneHot(x.argMax(), 3).mul(x.sum() /* keeps the path alive */), [2, 3])).toEqual(
      new Float64Array(6).fill(2),
    ));

  test("an op that only inference uses has no derivative", () => {
    const [q, cache] = [input("q", [1, 1, 8]), input("cache", [1, 1, 4, 8])];
    const at = input("at", [1], "i32");
    const heads = { nHeads: 1, nKvHeads: 1, scale: 1, window: null };
    const { z } = cachedAttention([q, q, q, cache, cache, at, input("total", [], "i32")], heads);
    expect(() => grad(z.sum(), [q])).toThrow("cachedAttention has no derivative: only inference uses it");
    const cells = input("cells", [1, 3], "i64");
    expect(() => grad(replaceAt(q, cells, q).sum(), [q])).toThrow("replaceAt has no derivative");
    expect(() => grad(take(q, input("count", [1], "i64"), 1).sum(), [q])).toThrow("take has no derivative");
    expect(() => grad(inverseStd(q, 1e-5).sum(), [q])).toThrow("inverseStd has no derivative");
    const [x, part] = [input("x", [2, 32]), { name: "w", dtype: "U8", file: "", offset: 0, length: 0 } as const];
    const w = quantized({ weight: { ...part, shape: [4, 1, 32] }, scales: { ...part, shape: [4, 1] }, bits: 8 });
    expect(() => grad(linear(x, w).sum(), [x])).toThrow("quantizedLinear has no derivative");
  });
});

describe("grad", () => {
  test("rejects a loss that is not a scalar", () => {
    const x = input("x", [2, 3]);
    expect(() => grad(x.mul(2), [x])).toThrow("grad: the loss must be a scalar, got loss [2, 3]");
  });

  test("returns the whole gradients of a value and of another computed from it", () => {
    const x = input("x", [3]);
    const y = x.mul(x);
    const [dx, dy] = evaluate(grad(y.mul(3).sum(), [x, y]), { x: [1, 2, 3] });
    expect(dx).toEqual(Float64Array.of(6, 12, 18));
    expect(dy).toEqual(Float64Array.of(3, 3, 3));
  });

  test("is 1 for the loss itself", () => {
    const loss = input("x", [3]).sum();
    expect(evaluate(grad(loss, [loss]), { x: [1, 2, 3] })).toEqual([Float64Array.of(1)]);
  });

  test("builds no gradients of other inputs", () => {
    const [x, table] = [input("x", [3]), input("table", [50, 3])];
    const loss = rows(table, ids(7)).reshape([3]).mul(x).sum();
    const ops = topoSort(grad(loss, [x])).map((node) => node.op);
    expect(ops).not.toContain("scatterRows");
  });
});
