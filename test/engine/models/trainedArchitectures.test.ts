import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Node } from "../../../src/engine/graph/node";
import type { TraceValue } from "../../../src/engine/inspect/trace";
import { openWeights, readParams } from "../../../src/engine/models/folder";
import { paramSpecs } from "../../../src/engine/nn/params";
import { ARCHITECTURES, readReference, VARIANTS } from "../../helpers/architectures";
import { evaluate } from "../../helpers/evaluate";
import { normals } from "../../helpers/gradcheck";
import { lossAndGrads } from "../../helpers/graphs";
import { runGraph } from "../../helpers/run";

/** Number of tokens from each prompt, small enough that neither has padding. */
const T = 7;
const B = 2;

/** Both prompts, each token labeled with the next one; the last of the second prompt has no label. */
async function batchOf(dir: string) {
  const reference = await readReference(join(dir, "reference.safetensors"));
  const [ids, logits] = [reference.get("ids"), reference.get("logits")] as [TraceValue, TraceValue];
  const [, length, V] = logits.shape as [number, number, number];
  const id = (b: number, t: number) => ids.data[b * length + t] as number;
  const positions = Array.from({ length: T * B }, (_, i) => [i % B, Math.floor(i / B)] as const);
  const isLabeled = ([b, t]: readonly [number, number]) => b === 0 || t < T - 1;
  const weight = 1 / positions.filter(isLabeled).length;
  const feeds = {
    ids: Int32Array.from(positions, ([b, t]) => id(b, t)),
    labels: Int32Array.from(positions, (position) => (isLabeled(position) ? id(position[0], position[1] + 1) : 0)),
    labelWeights: Float32Array.from(positions, (position) => (isLabeled(position) ? weight : 0)),
  };
  const loss = positions.filter(isLabeled).reduce((sum, [b, t]) => {
    const row = logits.data.subarray((b * length + t) * V, (b * length + t + 1) * V);
    const logZ = Math.log(row.reduce((z, x) => z + Math.exp(x), 0));
    return sum + weight * (logZ - (row[id(b, t + 1)] as number));
  }, 0);
  return { feeds, loss };
}

describe.each(Object.values(VARIANTS).flat())("%s trains", (name) => {
  test("with the loss of PyTorch's logits and gradients equal to finite differences", async () => {
    const dir = join(ARCHITECTURES, name);
    const opened = await openWeights(dir);
    const params = await readParams(opened);
    const { feeds, loss } = await batchOf(dir);
    const graph = lossAndGrads(opened.cfg, B, T);
    const results = await runGraph(graph, { ...Object.fromEntries(params), ...feeds }, "cpu");
    expect(results.loss?.[0]).toBeCloseTo(loss, 4);

    const gradOf = (param: string) => results[`grad.${param}`] as Float64Array;
    const norm = (values: ArrayLike<number>) => Math.hypot(...Array.from(values));
    // Gradients below this are rounding errors.
    const floor = 1e-3 * Math.max(...paramSpecs(opened.cfg).map((spec) => norm(gradOf(spec.name))));
    for (const seed of [1, 2]) {
      // Directions in which every parameter's gradient contributes equally to the slope.
      const directions = new Map(
        paramSpecs(opened.cfg).map(({ name: param }) => {
          const scale = 1 / Math.max(floor, norm(gradOf(param)));
          return [param, normals(gradOf(param).length, param, seed).map((x) => x * scale)];
        }),
      );
      const along = [...directions].flatMap(([param, d]) => [
        d.reduce((s, x, i) => s + x * (gradOf(param)[i] as number), 0),
      ]);
      const lossAt = (step: number) => {
        const moved = [...params].map(([param, values]) => {
          const d = directions.get(param) as Float32Array;
          return [param, Float64Array.from(values, (x, i) => x + step * (d[i] as number))] as const;
        });
        return evaluate([graph.loss as Node], { ...Object.fromEntries(moved), ...feeds })[0]?.[0] as number;
      };
      const step = 1e-5;
      const slope = (lossAt(step) - lossAt(-step)) / (2 * step);
      expect(Math.abs(along.reduce((a, b) => a + b, 0) - slope) / norm(along), `along directions ${seed}`).toBeLessThan(
        1e-3,
      );
    }
  });
});
