/**
 * The derivative of every op, as vector-Jacobian products.
 *
 * A rule receives `g`, the gradient of the loss with respect to the op's output `y`, and returns the gradient of each
 * input, in order; `null` if an input is not differentiable. Rules build graph nodes. `readers` are the ops that read y.
 */

import {
  concat,
  constant,
  inverseStd,
  layerNorm,
  type Node,
  type Op,
  type Ops,
  oneHot,
  ones,
  rmsNorm,
  rotary,
  rows,
  scatterRows,
  zeros,
} from "../graph/node";
import { type Shape, sameShape, sizeOf } from "../graph/shape";

type Vjp<K extends Op> = (g: Node, y: Node<K>, readers: readonly Node[]) => GradPerInput<Ops[K]["inputs"]>;
type GradPerInput<Inputs extends readonly Node[]> = { [I in keyof Inputs]: Node | null };

export const vjps: { readonly [K in Op]: Vjp<K> } = {
  input: () => [],
  constant: () => [],
  stored: () => [],
  quantized: () => [],

  add: (g, { inputs: [a, b] }) => [sumTo(g, a.shape), sumTo(g, b.shape)],
  sub: (g, { inputs: [a, b] }) => [sumTo(g, a.shape), sumTo(g, b.shape).mul(-1)],
  mul: (g, { inputs: [a, b] }) => [sumTo(g.mul(b), a.shape), sumTo(g.mul(a), b.shape)],
  // y = a / b,  da = g / b,  db = -g * y / b
  div: (g, y) => {
    const [a, b] = y.inputs;
    return [sumTo(g.div(b), a.shape), sumTo(g.mul(y as Node).div(b), b.shape).mul(-1)];
  },

  exp: (g, y) => [g.mul(y as Node)],
  log: (g, { inputs: [x] }) => [g.div(x)],
  sqrt: (g, y) => [g.div((y as Node).mul(2))],
  tanh: (g, y) => [g.mul(constant(1).sub((y as Node).mul(y as Node)))],
  // d erf(x) = 2 / sqrt(pi) * exp(-x²)
  erf: (g, { inputs: [x] }) => [g.mul(gaussian(x))],
  sigmoid: (g, y) => [g.mul((y as Node).mul(constant(1).sub(y as Node)))],
  relu: (g, y) => [g.mul((y as Node).positive())],
  positive: () => [null],
  // y = x (1 + t) / 2 with t = tanh(c (x + k x³)),  dx = (1 + t) / 2 + x (1 - t²) / 2 * c (1 + 3 k x²)
  geluTanh: (g, { inputs: [x] }) => {
    const c = Math.sqrt(2 / Math.PI);
    const k = 0.044715;
    const square = x.mul(x);
    const t = square
      .mul(c * k)
      .add(c)
      .mul(x)
      .tanh();
    const slope = square
      .mul(1.5 * c * k)
      .add(0.5 * c)
      .mul(x)
      .mul(constant(1).sub(t.mul(t)));
    return [g.mul(slope.add(t.mul(0.5)).add(0.5))];
  },
  // y = u * p,  p = 1 + erf(u): u receives the whole derivative p + u * erf'(u), p none.
  geluGate: (g, { inputs: [u, p] }) => [g.mul(p.add(u.mul(gaussian(u)))), null],

  sum: (g, { inputs: [x], attrs: { axes } }) => [keepAxes(g, x.shape, axes).broadcast(x.shape)],
  mean: (g, { inputs: [x], attrs: { axes } }) => {
    const count = axes.reduce((n, axis) => n * (x.shape[axis] as number), 1);
    return [keepAxes(g.mul(1 / count), x.shape, axes).broadcast(x.shape)];
  },
  sumSquares: (g, { inputs: [x] }) => [x.mul(g.mul(2))],
  // y = log Σ exp(x),  dx = g * softmax(x)
  logSumExp: (g, { inputs: [x] }) => [x.softmax().mul(g.reshape([...g.shape, 1]))],
  // y = softmax(x),  dx = y * (g - Σ g*y).  If only z = y @ v reads y, then Σ g*y = Σ dz*z, whose rows are shorter.
  softmax: (g, y, readers) => {
    const [z] = readers as [Node];
    const inProduct = readers.length === 1 && isProductOf(z, y as Node) && g.op === "matmul";
    const sum = inProduct ? (g.inputs[0] as Node).mul(z) : g.mul(y as Node);
    return [(y as Node).mul(g.sub(sum.sum([-1], true)))];
  },
  max: () => [notDifferentiable("max")],
  argMax: () => [null],

  // y = α a @ b,  da = α g @ bᵀ,  db = α aᵀ @ g; the gradient of a transposed operand is transposed too.
  matmul: (g, { inputs: [a, b], attrs: { transA, transB, alpha } }) => [
    transA ? b.matmul(g, { transA: transB, transB: true, alpha }) : g.matmul(b, { transB: !transB, alpha }),
    transB ? g.matmul(a, { transA: true, transB: transA, alpha }) : a.matmul(g, { transA: !transA, alpha }),
  ],
  // y = α x @ w + β b
  linear: (g, { inputs: [x, w], attrs: { alpha, beta, transW } }) => [
    g.matmul(w, { transB: !transW, alpha }),
    transW ? g.matmul(x, { transA: true, alpha }) : x.matmul(g, { transA: true, alpha }),
    beta === 1 ? g.sum([0]) : g.sum([0]).mul(beta),
  ],
  quantizedLinear: () => notDifferentiable("quantizedLinear"),
  // y = x̂ s + b with x̂ = (x - mean) / std.  With h = g s:  dx = (h - mean(h) - x̂ mean(h x̂)) / std.
  // x̂ comes from the same kernel without scale and bias, which is cheaper than subtracting and dividing again.
  layerNorm: (g, { inputs: [x, scale], attrs: { eps } }) => {
    const normalized = layerNorm(x, ones(scale.shape), zeros(scale.shape), eps);
    const weighted = g.mul(normalized);
    const dx = g
      .mul(scale)
      .sub(meanProduct(g, scale))
      .sub(normalized.mul(meanProduct(weighted, scale)))
      .mul(inverseStd(x, eps));
    return [dx, sumTo(weighted, scale.shape), sumTo(g, scale.shape)];
  },
  inverseStd: () => [notDifferentiable("inverseStd")],
  // y = x̂ s with x̂ = x r, r = 1 / sqrt(mean(x²) + eps).  With h = g s:  dx = r (h - x̂ mean(h x̂)).
  rmsNorm: (g, { inputs: [x, scale], attrs: { eps } }) => {
    const normalized = rmsNorm(x, ones(scale.shape), eps);
    const weighted = g.mul(normalized);
    const r = constant(1).div(x.mul(x).mean([-1], true).add(eps).sqrt());
    const dx = g
      .mul(scale)
      .sub(normalized.mul(meanProduct(weighted, scale)))
      .mul(r);
    return [dx, sumTo(weighted, scale.shape)];
  },
  // The inverse of a rotation is the rotation by the opposite angle.
  rotary: (g, { inputs: [, cos, sin], attrs: { nHeads } }) => [rotary(g, cos, sin.mul(-1), nHeads), null, null],

  // Ops that only move or repeat elements are undone by their opposites.
  reshape: (g, { inputs: [x] }) => [g.reshape(x.shape)],
  after: (g, { inputs: [, ...until] }) => [g, ...until.map(() => null)],
  reshapeTo: (g, { inputs: [x] }) => [g.reshape(x.shape), null],
  transpose: (g, { attrs: { perm } }) => [g.transpose(...perm.map((_, i) => perm.indexOf(i)))],
  broadcast: (g, { inputs: [x] }) => [sumTo(g, x.shape)],
  slice: (g, { inputs: [x], attrs: { axis, start, end } }) => {
    const padding = (size: number) => (size > 0 ? [zeros(x.shape.map((d, i) => (i === axis ? size : d)))] : []);
    return [concat([...padding(start), g, ...padding((x.shape[axis] as number) - end)], axis)];
  },
  concat: (g, { inputs, attrs: { axis } }) => {
    let start = 0;
    return inputs.map((x) => {
      const end = start + (x.shape[axis] as number);
      const part = g.slice(axis, start, end);
      start = end;
      return part;
    });
  },

  rows: (g, { inputs: [table, ids] }) => [scatterRows(g, ids, table.shape[0] as number), null],
  scatterRows: (g, { inputs: [, ids] }) => [rows(g, ids), null],
  pick: (g, { inputs: [x, ids] }) => [oneHot(ids, x.shape.at(-1) as number).mul(g.reshape([...g.shape, 1])), null],
  oneHot: () => [null],
  window: () => [null, null],

  replaceAt: () => [notDifferentiable("replaceAt"), null, null],
  take: () => [notDifferentiable("take"), null],
  cachedAttention: () => [notDifferentiable("cachedAttention"), null, null, null, null, null, null],
  presentOf: () => [null],
};

/** Returns whether z = y @ v, whose gradient with respect to y is dz @ vᵀ. */
const isProductOf = (z: Node, y: Node): boolean =>
  z.op === "matmul" && z.inputs[0] === y && z.inputs[1] !== y && !(z as Node<"matmul">).attrs.transA;

/** exp(-x²) * 2 / sqrt(π), with the factor inside the exponent. */
const gaussian = (x: Node): Node =>
  constant(Math.log(2 / Math.sqrt(Math.PI)))
    .sub(x.mul(x))
    .exp();

/** The mean of x s along the last axis, which is kept, as a product: x is read once and nothing as large is written. */
function meanProduct(x: Node, s: Node): Node {
  const D = sizeOf(s.shape);
  const means = x.reshape([sizeOf(x.shape) / D, D]).matmul(s.mul(1 / D).reshape([D, 1]));
  return means.reshape([...x.shape.slice(0, -1), 1]);
}

/** The gradient of a broadcast: sums over the stretched axes. */
function sumTo(g: Node, shape: Shape): Node {
  if (sameShape(g.shape, shape)) return g;
  const lead = g.shape.length - shape.length;
  const stretched = g.shape.map((_, i) => i).filter((i) => i < lead || (shape[i - lead] === 1 && g.shape[i] !== 1));
  return g.sum(stretched).reshape(shape);
}

/** Restores reduced axes with size 1. */
const keepAxes = (g: Node, shape: Shape, axes: readonly number[]): Node =>
  g.reshape(shape.map((d, i) => (axes.includes(i) ? 1 : d)));

function notDifferentiable(op: Op): never {
  throw new Error(`${op} has no derivative: only inference uses it`);
}
