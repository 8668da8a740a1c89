/**
 * Principal components of vectors, computed deterministically in double precision.
 *
 * T vectors   D components of each   M other vectors
 */

import type { Projection } from "../api/trace";
import { EngineError } from "../errors";
import { random } from "../random";
import { cooperate } from "../tokenizers/cooperate";
import { stackNamed } from "./interventions";
import { stackOfValue, tableRow, vocabularyTable } from "./neighbors";
import type { Trace } from "./trace";
import type { AnyWeights } from "./weightRows";

const COMPONENTS = 3;

/**
 * Projects a value [1, T, D] of a trace and, with its model, input embeddings of tokens, scaled as in the model; in a
 * translator, those of the value's stack.
 */
export async function projectionIn(
  trace: Trace,
  name: string,
  tokens: { readonly ids: readonly number[]; readonly model: AnyWeights } | null,
  signal?: AbortSignal,
): Promise<Projection> {
  const value = trace.get(name);
  if (value?.shape.length !== 3) {
    throw new EngineError(
      "config",
      `${name} does not have one vector per token. Choose a value of the residual stream.`,
    );
  }
  const D = value.shape[2] as number;
  if (!tokens) return projectionOf(value.data, new Float32Array(), D, signal);
  const { ids, model } = tokens;
  const stack = stackOfValue(name);
  const table = vocabularyTable(model, "embeddings", stack);
  const { embedScale } = stackNamed(stack, model.cfg).cfg;
  if (table.width !== D) {
    throw new EngineError(
      "config",
      `This model's token embeddings have ${table.width} numbers, but ${name} has ${D}. Remove the tokens of the vocabulary.`,
    );
  }
  const others = new Float32Array(ids.length * D);
  for (const [i, id] of ids.entries()) {
    const row = await tableRow(table, id);
    others.set(
      row.map((x) => x * embedScale),
      i * D,
    );
  }
  return projectionOf(value.data, others, D, signal);
}

/**
 * Projects vectors [T, D] and others [M, D] onto the first three components of the vectors. Each component's largest
 * loading is positive, which fixes its sign. Vectors that vary in fewer directions have zeros in the other components.
 */
export async function projectionOf(
  vectors: Float32Array,
  others: Float32Array,
  D: number,
  signal?: AbortSignal,
): Promise<Projection> {
  const [T, M] = [vectors.length / D, others.length / D];
  const mean = new Float64Array(D);
  for (let t = 0; t < T; t++)
    for (let d = 0; d < D; d++) mean[d] = (mean[d] as number) + (vectors[t * D + d] as number) / T;
  // Padded with rows of zeros to whole groups, which do not change products.
  const centered = new Float64Array(Math.ceil(T / ROWS) * ROWS * D);
  let total = 0;
  for (let t = 0; t < T; t++) {
    for (let d = 0; d < D; d++) {
      const x = (vectors[t * D + d] as number) - (mean[d] as number);
      centered[t * D + d] = x;
      total += x * x;
    }
  }

  const coordinates = new Float32Array((T + M) * COMPONENTS);
  const explained = new Float32Array(COMPONENTS);
  const components = await principalComponents(centered, D, total, signal);
  for (const [c, { value, vector: loadings }] of components.entries()) {
    // Smaller eigenvalues are rounding errors.
    if (!(value > total * 1e-12)) break;
    explained[c] = value / total;
    signPositive(loadings);
    for (let p = 0; p < T + M; p++) {
      const [from, at] = p < T ? [vectors, p * D] : [others, (p - T) * D];
      let sum = 0;
      for (let i = 0; i < D; i++) sum += ((from[at + i] as number) - (mean[i] as number)) * (loadings[i] as number);
      coordinates[p * COMPONENTS + c] = sum;
    }
  }
  return { coordinates, points: T + M, explained };
}

interface Eigenpair {
  readonly value: number;
  readonly vector: Float64Array;
}

/** Vectors in a Krylov space before it restarts from its best, and the number of these. */
const MAX_VECTORS = 45;
const KEPT_VECTORS = 15;
const MAX_ROUNDS = 60;

/**
 * The largest eigenvalues of xᵀx of rows x [T, D], which sum to `total` with all others, and their unit eigenvectors:
 * block Lanczos with thick restarts (Wu and Simon, 2000). The matrix xᵀx is never computed: a product with it is two with
 * x. A block has one vector per component, so that components with equal variance are all found.
 */
async function principalComponents(
  x: Float64Array,
  D: number,
  total: number,
  signal?: AbortSignal,
): Promise<readonly Eigenpair[]> {
  const pause = cooperate(signal);
  const draws = random(0, "projection");
  let basis: readonly Float64Array[] = [];
  /** The vectors of the basis, multiplied by xᵀx. */
  let images: readonly Float64Array[] = [];
  let block: readonly Float64Array[] = Array.from({ length: COMPONENTS }, () =>
    Float64Array.from({ length: D }, () => draws.normal()),
  );
  for (let round = 1; ; round++) {
    while (block.length > 0 && basis.length + block.length <= MAX_VECTORS) {
      const added: Float64Array[] = [];
      for (const candidate of block) {
        const unit = orthogonalUnit([...basis, ...added], candidate);
        if (unit) added.push(unit);
      }
      const products = added.map((vector) => multiplied(x, vector));
      basis = [...basis, ...added];
      images = [...images, ...products];
      block = products;
      await pause();
    }
    const small = basis.map((b) => images.map((image) => dot(b, image)));
    const pairs = eigenpairs(small).slice(0, KEPT_VECTORS);
    const vectors = pairs.map(({ vector }) => combined(basis, vector));
    const products = pairs.map(({ vector }) => combined(images, vector));
    const found = pairs.slice(0, COMPONENTS).map(({ value }, i) => ({ value, vector: vectors[i] as Float64Array }));
    const isExact = found.every(({ value, vector }, i) => {
      const image = products[i] as Float64Array;
      let residual = 0;
      for (let d = 0; d < D; d++) residual += ((image[d] as number) - value * (vector[d] as number)) ** 2;
      return Math.sqrt(residual) <= 1e-13 * total;
    });
    // Without candidates the space contains its own images, so the result is exact.
    if (isExact || block.length === 0 || round === MAX_ROUNDS) return found;
    // The next block is orthogonal to the whole space, and so to the part that is kept.
    block = block.flatMap((candidate) => orthogonalUnit(basis, candidate) ?? []);
    [basis, images] = [vectors, products];
  }
}

/** Rows per step of a product: their separate sums run in parallel. */
const ROWS = 4;

/** xᵀ(x v) of rows x [T, D]. */
function multiplied(x: Float64Array, v: Float64Array): Float64Array {
  const D = v.length;
  const result = new Float64Array(D);
  for (let at = 0; at < x.length; at += ROWS * D) {
    const [at1, at2, at3] = [at + D, at + 2 * D, at + 3 * D];
    let [s0, s1, s2, s3] = [0, 0, 0, 0];
    for (let d = 0; d < D; d++) {
      const y = v[d] as number;
      s0 += (x[at + d] as number) * y;
      s1 += (x[at1 + d] as number) * y;
      s2 += (x[at2 + d] as number) * y;
      s3 += (x[at3 + d] as number) * y;
    }
    for (let d = 0; d < D; d++) {
      const upper = s0 * (x[at + d] as number) + s1 * (x[at1 + d] as number);
      const lower = s2 * (x[at2 + d] as number) + s3 * (x[at3 + d] as number);
      result[d] = (result[d] as number) + (upper + lower);
    }
  }
  return result;
}

/** The unit vector of the part of `vector` orthogonal to unit vectors; null if only rounding is left. */
function orthogonalUnit(units: readonly Float64Array[], vector: Float64Array): Float64Array | null {
  const rest = vector.slice();
  const length = rejectFrom(units, rest);
  return length > 1e-13 ? rest.map((value) => value / length) : null;
}

/** Removes the components along unit vectors from x, twice because of rounding, and returns the remaining length. */
function rejectFrom(units: readonly Float64Array[], x: Float64Array): number {
  const before = norm(x);
  for (let pass = 0; pass < 2; pass++) {
    for (const unit of units) {
      const along = dot(unit, x);
      for (let n = 0; n < x.length; n++) x[n] = (x[n] as number) - along * (unit[n] as number);
    }
  }
  const after = norm(x);
  return after > 1e-13 * before ? after : 0;
}

const norm = (x: Float64Array) => Math.sqrt(dot(x, x));

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let n = 0; n < a.length; n++) sum += (a[n] as number) * (b[n] as number);
  return sum;
}

/** Eigenvalues of a small symmetric matrix, the largest first, with unit eigenvectors, by Jacobi rotations. */
function eigenpairs(matrix: readonly (readonly number[])[]): Eigenpair[] {
  const n = matrix.length;
  // The input is only symmetric up to rounding.
  const a = matrix.map((row, r) => Float64Array.from(row, (value, c) => (value + (matrix[c]?.[r] as number)) / 2));
  const v = a.map((_, r) => Float64Array.from({ length: n }, (_, c) => Number(r === c)));
  const rotate = (p: Float64Array, q: Float64Array, c: number, s: number) => {
    for (let i = 0; i < n; i++) {
      const [x, y] = [p[i] as number, q[i] as number];
      p[i] = c * x - s * y;
      q[i] = s * x + c * y;
    }
  };
  const rounding = 1e-18 * a.reduce((most, row, i) => Math.max(most, Math.abs(row[i] as number)), 0);
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotations = 0;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const [rowP, rowQ] = [a[p] as Float64Array, a[q] as Float64Array];
        const apq = rowP[q] as number;
        if (Math.abs(apq) <= rounding) continue;
        rotations++;
        const theta = ((rowQ[q] as number) - (rowP[p] as number)) / (2 * apq);
        const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        const s = t * c;
        for (const row of a) {
          const [x, y] = [row[p] as number, row[q] as number];
          row[p] = c * x - s * y;
          row[q] = s * x + c * y;
        }
        rotate(rowP, rowQ, c, s);
        // The rows of v become the eigenvectors.
        rotate(v[p] as Float64Array, v[q] as Float64Array, c, s);
      }
    }
    if (rotations === 0) break;
  }
  return a
    .map((row, i) => ({ value: row[i] as number, vector: v[i] as Float64Array }))
    .sort((one, other) => other.value - one.value);
}

/** Σ u_i x_i of vectors x. */
function combined(x: readonly Float64Array[], u: Float64Array): Float64Array {
  const sum = new Float64Array(x[0]?.length ?? 0);
  for (const [i, vector] of x.entries()) {
    const weight = u[i] as number;
    for (let d = 0; d < sum.length; d++) sum[d] = (sum[d] as number) + weight * (vector[d] as number);
  }
  return sum;
}

function signPositive(loadings: Float64Array): void {
  let largest = 0;
  for (const x of loadings) if (Math.abs(x) > Math.abs(largest)) largest = x;
  if (largest < 0) for (let i = 0; i < loadings.length; i++) loadings[i] = -(loadings[i] as number);
}
