import { expect, test } from "vitest";
import { projectionOf } from "../../../src/engine/inspect/projection";
import { normals } from "../../helpers/gradcheck";
import { largestDifference } from "../../helpers/tinyModel";

const vectors = (T: number, D: number) =>
  Float32Array.from({ length: T * D }, (_, i) => {
    const [t, d] = [Math.floor(i / D), i % D];
    return Math.sin(1 + 3 * t + 7 * d + t * d * 0.37) * (1 + (d % 3));
  });
const other = (D: number) => Float32Array.from({ length: D }, (_, d) => Math.cos(d));

// numpy.linalg.svd of the centered vectors; the sign of a component makes its largest loading positive.
const NUMPY = [
  {
    T: 6,
    D: 4,
    coordinates: [
      [0.625937, 2.352817, 0.778357],
      [0.214501, -2.408497, 0.180814],
      [-2.228708, 1.016823, -0.753591],
      [2.73479, -0.613303, 0.23695],
      [-3.453576, -0.66904, 0.345482],
      [2.107056, 0.321199, -0.788011],
      [-0.957249, 0.624956, -0.832131],
    ],
    explained: [0.656562, 0.298473, 0.044957],
  },
  {
    T: 4,
    D: 7,
    coordinates: [
      [-3.60785, 1.919746, 0.74719],
      [1.376713, -1.810715, 2.379968],
      [3.380244, 2.051884, -0.921594],
      [-1.149107, -2.160914, -2.205563],
      [0.55486, 1.119007, -0.668086],
    ],
    explained: [0.498901, 0.285791, 0.215308],
  },
];
for (const { T, D, coordinates, explained } of NUMPY) {
  test(`${T} vectors of ${D} numbers have the principal components that NumPy finds`, async () => {
    const projection = await projectionOf(vectors(T, D), other(D), D);
    expect(projection.points).toBe(T + 1);
    expect(largestDifference(projection.coordinates, coordinates.flat())).toBeLessThan(2e-6);
    expect(largestDifference(projection.explained, explained)).toBeLessThan(1e-6);
  });
}

test("vectors on a line have one component, and a single vector has none", async () => {
  const line = Float32Array.of(1, 2, 2, 4, 3, 6, 5, 10);
  const { coordinates, explained } = await projectionOf(line, new Float32Array(), 2);
  expect(explained[0]).toBeCloseTo(1, 6);
  expect([...coordinates].filter((_, i) => i % 3 > 0).every((x) => Math.abs(x) < 1e-6)).toBe(true);
  const one = await projectionOf(Float32Array.of(3, 4), Float32Array.of(5, 5), 2);
  expect([...one.coordinates, ...one.explained]).toEqual(Array(9).fill(0));
});

test("components with equal variance are all found, which preserves distances", async () => {
  // The corners of a tetrahedron: three equal eigenvalues.
  const { coordinates, explained } = await projectionOf(
    Float32Array.of(1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1),
    new Float32Array(),
    4,
  );
  expect(largestDifference(explained, [1 / 3, 1 / 3, 1 / 3])).toBeLessThan(1e-6);
  const squared = (a: number, b: number) =>
    [0, 1, 2].reduce(
      (sum, c) => sum + ((coordinates[a * 3 + c] as number) - (coordinates[b * 3 + c] as number)) ** 2,
      0,
    );
  for (const [a, b] of [
    [0, 1],
    [0, 2],
    [0, 3],
    [1, 2],
    [1, 3],
    [2, 3],
  ] as const)
    expect(squared(a, b)).toBeCloseTo(2, 5);
});

test("components of many vectors satisfy their defining equation", async () => {
  const [T, D] = [60, 50];
  const x = normals(T * D, "projection");
  const { coordinates, explained } = await projectionOf(x, new Float32Array(), D);
  // Scores u of a component are an eigenvector of the centered Gram matrix: G u = λ u.
  const mean = Array.from(
    { length: D },
    (_, d) => Array.from({ length: T }, (_, t) => x[t * D + d] as number).reduce((a, b) => a + b) / T,
  );
  const centered = Array.from({ length: T }, (_, t) => mean.map((m, d) => (x[t * D + d] as number) - m));
  const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, y, i) => sum + y * (b[i] as number), 0);
  const total = centered.reduce((sum, row) => sum + dot(row, row), 0);
  const gram = centered.map((row) => centered.map((other) => dot(row, other)));
  for (let c = 0; c < 3; c++) {
    const u = Array.from({ length: T }, (_, t) => coordinates[t * 3 + c] as number);
    const image = gram.map((row) => dot(row, u));
    const value = (explained[c] as number) * total;
    expect(
      largestDifference(
        image,
        u.map((y) => value * y),
      ) / value,
    ).toBeLessThan(1e-4);
  }
});

test("components with nearly equal variance are separated among many others", async () => {
  const [T, D] = [150, 120];
  // Cosines, orthogonal to each other and, except the first, to a constant.
  const cosine = (N: number, k: number, n: number) => Math.sqrt(2 / N) * Math.cos((Math.PI * k * (n + 0.5)) / N);
  const size = (k: number) => 3 - 0.005 * k;
  const x = new Float32Array(T * D);
  for (let k = 1; k < D; k++)
    for (let i = 0; i < x.length; i++)
      x[i] = (x[i] as number) + size(k) * cosine(T, k, Math.floor(i / D)) * cosine(D, k, i % D);
  const { coordinates } = await projectionOf(x, new Float32Array(), D);
  for (let c = 0; c < 3; c++) {
    const found = Array.from({ length: T }, (_, t) => coordinates[t * 3 + c] as number);
    const expected = found.map((_, t) => size(c + 1) * cosine(T, c + 1, t));
    const sign = Math.sign((found[0] as number) * (expected[0] as number));
    const difference = largestDifference(
      found,
      expected.map((value) => sign * value),
    );
    expect(difference).toBeLessThan(2e-4);
  }
});
