import { describe, expect, test } from "vitest";
import { vjps } from "../../../src/engine/autodiff/vjps";
import { after, input } from "../../../src/engine/graph/node";
import { UNKNOWN } from "../../../src/engine/graph/shape";
import { lower } from "../../../src/engine/runtime/lower";
import { Session } from "../../../src/engine/runtime/session";
import { expectMeaning } from "../../helpers/goldenChecks";
import { normals } from "../../helpers/gradcheck";
import { runGraph, runOnnx } from "../../helpers/run";
import { cpuCases, loweringCases, opsOfCases } from "./loweringCases";

describe("a graph computes the expected values on the CPU", () => {
  test.each(Object.entries({ ...loweringCases, ...cpuCases }))("%s", async (_name, make) => {
    const { outputs, feeds } = make();
    expectMeaning(await runGraph(outputs, feeds, "cpu"), outputs, feeds, 2e-6);
  });

  test.each(Object.entries(loweringCases).filter(([name]) => name.startsWith("linear with a matrix in ")))(
    "%s, exactly",
    async (_name, make) => {
      const { outputs, feeds } = make();
      // Values that the faster product would round.
      const x = normals(feeds.x?.length ?? 0, "exact");
      const onnx = lower(outputs, "cpu", { exact: true });
      expectMeaning(await runOnnx(onnx, { ...feeds, x }, "cpu"), outputs, { ...feeds, x }, 2e-6);
    },
  );

  test("every op has a case", () => {
    const tried = opsOfCases();
    expect(Object.keys(vjps).filter((op) => !tried.has(op))).toEqual([]);
  });
});

test("after reads memory once the output is written to it", async () => {
  const [q, x, memory] = [input("q", [UNKNOWN, 4]), input("x", [UNKNOWN, 2]), input("memory", [UNKNOWN, 2])];
  const key = x.exp().mul(2).tanh();
  // Without `after`, the product would be computed first, because it comes first and needs less.
  const z = after(q, [key]).reshape([UNKNOWN, 2]).mul(memory);
  const session = await Session.create(lower({ key, z }, "cpu"), "cpu");
  const rows = new Float32Array(8);
  const outputs = await session.run(
    { q: new Float32Array(8).fill(1), x: new Float32Array(4), memory: rows },
    { z: null, key: rows.subarray(4) },
  );
  await session.release();
  const written = Math.tanh(2);
  const read = outputs.z?.data as Float32Array;
  expect(read.slice(0, 4)).toEqual(new Float32Array(4));
  for (const value of read.slice(4)) expect(value).toBeCloseTo(written, 5);
});
