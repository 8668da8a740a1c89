import { expect } from "vitest";
import { grad } from "../../src/engine/autodiff/grad";
import { constant, input, type Node } from "../../src/engine/graph/node";
import { type Shape, sizeOf } from "../../src/engine/graph/shape";
import { random } from "../../src/engine/random";
import { evaluate } from "./evaluate";

/** Standard normal values that depend only on the label. */
export function normals(size: number, ...label: readonly (string | number)[]): Float32Array {
  const draws = random(1, ...label);
  return Float32Array.from({ length: size }, () => draws.normal());
}

export const inputsOf = (shapes: readonly Shape[]): Node[] => shapes.map((shape, i) => input(`x${i}`, shape));

const DIRECTIONS = 3;
const STEP = 1e-4;
// The constants of a graph are float32: a rule that contains 1/3 is off by 1e-8.
const TOLERANCE = 1e-6;

/**
 * Checks every gradient of `f` against finite differences, in float64, along random directions. The output has random
 * weights before it is summed, so that a gradient that is right only in total (softmax rows sum to 1) fails.
 */
export function expectGradsToMatch(f: (...xs: Node[]) => Node, ...shapes: Shape[]): void {
  const xs = inputsOf(shapes);
  const y = f(...xs);
  const loss = y.mul(constant(normals(sizeOf(y.shape), "weights"), y.shape)).sum();

  const point = Object.fromEntries(shapes.map((shape, i) => [`x${i}`, normals(sizeOf(shape), "x", i)]));
  const grads = evaluate(grad(loss, xs), point);
  shapes.forEach((shape, i) => {
    for (let n = 0; n < DIRECTIONS; n++) {
      const direction = normals(sizeOf(shape), "direction", i, n);
      const along = (distance: number) => {
        const moved = Float64Array.from(point[`x${i}`] as Float32Array, (x, k) => x + distance * (direction[k] ?? 0));
        return (evaluate([loss], { ...point, [`x${i}`]: moved })[0] as Float64Array)[0] as number;
      };
      const slopes = [...(grads[i] as Float64Array)].map((g, k) => g * (direction[k] ?? 0));
      const scale = slopes.reduce((sum, slope) => sum + Math.abs(slope), 1e-3);
      const slope = slopes.reduce((sum, s) => sum + s, 0);
      const error = Math.abs(slope - fivePointSlope(along)) / scale;
      expect(error, `gradient of input ${i}, direction ${n}, relative error`).toBeLessThan(TOLERANCE);
    }
  });
}

/** f'(0) with an error of STEP⁴. */
const fivePointSlope = (f: (x: number) => number): number =>
  (8 * (f(STEP) - f(-STEP)) - (f(2 * STEP) - f(-2 * STEP))) / (12 * STEP);
