/**
 * Principal components of vectors, computed in double precision and the same on every run.
 *
 * T vectors   D numbers of each   N the smaller of both
 */

import { EngineError } from "../errors";
import type { ModelWeights } from "../models/folder";
import { random } from "../random";
import { cooperate } from "../tokenizers/cooperate";
import { tableRow, vocabularyTable } from "./neighbours";
import type { Trace } from "./trace";

export interface Projection {
  /** [points, 3]: first the vectors, then the others. */
  readonly coordinates: Float32Array;
  readonly points: number;
  /** Share of the variance of the vectors, of each of the three. */
  readonly explained: Float32Array;
}

const COMPONENTS = 3;

/** A value [1, T, D] of a run; with its model, also input embeddings of tokens of the vocabulary, scaled as it does. */
export async function projectionIn(
  trace: Trace,
  name: string,
  tokens: { readonly ids: readonly number[]; readonly model: Pick<ModelWeights, "cfg" | "weights"> } | null,
  signal?: AbortSignal,
): Promise<Projection> {
  const value = trace.get(name);
  if (value?.shape.length !== 3) {
    throw new EngineError("config", `${name} has no vector for each token; choose a value of the residual stream.`);
  }
  const D = value.shape[2] as number;
  if (!tokens) return projectionOf(value.data, new Float32Array(), D, signal);
  const { ids, model } = tokens;
  const table = vocabularyTable(model, "embeddings");
  if (table.width !== D) {
    throw new EngineError(
      "config",
      `This model's token embeddings have ${table.width} numbers and ${name} has ${D}; leave the tokens of the vocabulary out.`,
    );
  }
  const others = new Float32Array(ids.length * D);
  for (const [i, id] of ids.entries()) {
    const row = await tableRow(table, id);
    others.set(
      row.map((x) => x * model.cfg.embedScale),
      i * D,
    );
  }
  return projectionOf(value.data, others, D, signal);
}

/**
 * Projects vectors [T, D] and others [M, D] onto the first three components of the vectors. Each component's largest
 * loading is positive, so that its sign is no accident. Vectors that vary in fewer directions have zeros in the rest.
 */
export async function projectionOf(
  vectors: Float32Array,
  others: Float32Array,
  D: number,
  signal?: AbortSignal,
): Promise<Projection> {
  const [T, M] = [vectors.length / D, others.length / D];
  const mean = new Float64Array(D);
  for (let i = 0; i < vectors.length; i++) mean[i % D] = (mean[i % D] as number) + (vectors[i] as number) / T;
  const centred = Float64Array.from(vectors, (x, i) => x - (mean[i % D] as number)); // [T, D]

  // Of products of rows and of columns the eigenvalues are the same, and the smaller matrix is the cheaper.
  const byRow = T <= D;
  const rows = byRow ? centred : transposed(centred, T, D);
  const gram = await products(rows, byRow ? T : D, byRow ? D : T, signal);
  const N = byRow ? T : D;
  let total = 0;
  for (let i = 0; i < N; i++) total += gram[i * N + i] as number;

  const coordinates = new Float32Array((T + M) * COMPONENTS);
  const explained = new Float32Array(COMPONENTS);
  const found: Float64Array[] = [];
  for (let c = 0; c < Math.min(COMPONENTS, N); c++) {
    const { value, vector } = largestEigenvector(gram, N, total, found);
    // What is left is rounding.
    if (!(value > total * 1e-12)) break;
    found.push(vector);
    explained[c] = value / total;
    const loadings = byRow ? combined(centred, vector, D) : vector;
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

function transposed(matrix: Float64Array, rows: number, cols: number): Float64Array {
  const result = new Float64Array(matrix.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) result[c * rows + r] = matrix[r * cols + c] as number;
  return result;
}

/** a aᵀ of rows [N, width]. Two rows at a time by two, which halves what is read. */
async function products(a: Float64Array, N: number, width: number, signal?: AbortSignal): Promise<Float64Array> {
  const result = new Float64Array(N * N);
  const pause = cooperate(signal);
  for (let i = 0; i < N; i += 2) {
    const i1 = Math.min(i + 1, N - 1);
    for (let j = 0; j <= i1; j += 2) {
      const j1 = Math.min(j + 1, N - 1);
      let [s00, s01, s10, s11] = [0, 0, 0, 0];
      for (let d = 0; d < width; d++) {
        const x0 = a[i * width + d] as number;
        const x1 = a[i1 * width + d] as number;
        const y0 = a[j * width + d] as number;
        const y1 = a[j1 * width + d] as number;
        s00 += x0 * y0;
        s01 += x0 * y1;
        s10 += x1 * y0;
        s11 += x1 * y1;
      }
      for (const [r, c, s] of [
        [i, j, s00],
        [i, j1, s01],
        [i1, j, s10],
        [i1, j1, s11],
      ] as const) {
        result[r * N + c] = s;
        result[c * N + r] = s;
      }
    }
    await pause();
  }
  return result;
}

/** Steps of one Krylov space, after which the best vector in it starts the next. */
const KRYLOV_STEPS = 24;
const MOST_ROUNDS = 50;

/**
 * The largest eigenvalue of a symmetric matrix [N, N] whose eigenvalues sum to `total`, among vectors at right angles to those that were found, and its
 * unit eigenvector: the Lanczos iteration, started again from the best that it has found (Golub and Van Loan, 10.1).
 */
function largestEigenvector(
  matrix: Float64Array,
  N: number,
  total: number,
  found: readonly Float64Array[],
): { readonly value: number; readonly vector: Float64Array } {
  const draws = random(found.length, "projection");
  let vector = Float64Array.from({ length: N }, () => draws.normal());
  let value = 0;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const basis: Float64Array[] = [];
    const small: number[][] = [];
    let next = vector;
    while (basis.length < Math.min(KRYLOV_STEPS, N - found.length)) {
      const length = rejectFrom([...found, ...basis], next);
      if (!(length > 1e-13)) break;
      basis.push(next.map((x) => x / length));
      next = applied(matrix, basis.at(-1) as Float64Array);
      small.push(basis.map((b) => dot(b, next)));
      const size = norm(next);
      if (size > 0) next = next.map((x) => x / size);
    }
    if (basis.length === 0) return { value: 0, vector };
    const best = largestOfSmall(small);
    vector = new Float64Array(N);
    basis.forEach((b, i) => {
      for (let n = 0; n < N; n++) vector[n] = (vector[n] as number) + (best.vector[i] as number) * (b[n] as number);
    });
    value = best.value;
    const image = applied(matrix, vector);
    let residual = 0;
    for (let n = 0; n < N; n++) residual += ((image[n] as number) - value * (vector[n] as number)) ** 2;
    if (Math.sqrt(residual) <= 1e-13 * total) break;
  }
  return { value, vector };
}

/** Takes out of x what points along unit vectors, twice for rounding's sake; answers the length of what is left of 1. */
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

function applied(matrix: Float64Array, x: Float64Array): Float64Array<ArrayBuffer> {
  const N = x.length;
  const y = new Float64Array(N);
  for (let r = 0; r < N; r++) y[r] = dot(matrix.subarray(r * N, (r + 1) * N), x);
  return y;
}

/** Of a small symmetric matrix, given by the columns of its upper half: Jacobi's rotations. */
function largestOfSmall(columns: readonly (readonly number[])[]) {
  const n = columns.length;
  const a = columns.map((_, r) => columns.map((_, c) => columns[Math.max(r, c)]?.[Math.min(r, c)] as number));
  const v = a.map((_, r) => a.map((_, c) => Number(r === c)));
  const rotate = (m: number[][], p: number, q: number, c: number, s: number) => {
    for (const row of m) {
      const [x, y] = [row[p] as number, row[q] as number];
      row[p] = c * x - s * y;
      row[q] = s * x + c * y;
    }
  };
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const apq = a[p]?.[q] as number;
        off += apq * apq;
        if (apq === 0) continue;
        const theta = ((a[q]?.[q] as number) - (a[p]?.[p] as number)) / (2 * apq);
        const t = Math.sign(theta || 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
        const c = 1 / Math.sqrt(t * t + 1);
        rotate(a, p, q, c, t * c);
        const [rowP, rowQ] = [a[p] as number[], a[q] as number[]];
        for (let i = 0; i < n; i++) {
          const [x, y] = [rowP[i] as number, rowQ[i] as number];
          rowP[i] = c * x - t * c * y;
          rowQ[i] = t * c * x + c * y;
        }
        rotate(v, p, q, c, t * c);
      }
    }
    if (off < 1e-300) break;
  }
  const values = a.map((row, i) => row[i] as number);
  const best = values.indexOf(Math.max(...values));
  return { value: values[best] as number, vector: v.map((row) => row[best] as number) };
}

/** Σ u_t x_t of rows x [T, D], as a unit vector. */
function combined(x: Float64Array, u: Float64Array, D: number): Float64Array {
  const sum = new Float64Array(D);
  for (let i = 0; i < x.length; i++)
    sum[i % D] = (sum[i % D] as number) + (u[Math.floor(i / D)] as number) * (x[i] as number);
  const length = norm(sum);
  return sum.map((value) => value / length);
}

function signPositive(loadings: Float64Array): void {
  let largest = 0;
  for (const x of loadings) if (Math.abs(x) > Math.abs(largest)) largest = x;
  if (largest < 0) for (let i = 0; i < loadings.length; i++) loadings[i] = -(loadings[i] as number);
}
