import { expect, test } from "vitest";
import { lower } from "../../../src/engine/runtime/lower";
import { expectMeaning } from "../../helpers/goldenChecks";
import { normals } from "../../helpers/gradcheck";
import { runGraph, runOnnx } from "../../helpers/run";
import { describeWebgpu } from "../../helpers/webgpu";
import { type LoweringCase, loweringCases } from "./loweringCases";

describeWebgpu("a graph computes the expected values on WebGPU without CPU fallback", () => {
  test.each(Object.entries(loweringCases))("%s", async (_name, make) => {
    const { outputs, feeds } = make();
    expectMeaning(await runGraph(outputs, feeds, "webgpu"), outputs, feeds, 2e-6);
  });

  test.each(Object.entries(loweringCases).filter(([name]) => name.startsWith("linear with a matrix in ")))(
    "%s, exactly",
    async (_name, make) => {
      const { outputs, feeds } = make();
      // Values that the faster product would round.
      const x = normals(feeds.x?.length ?? 0, "exact");
      const onnx = lower(outputs, "webgpu", { exact: true });
      expectMeaning(await runOnnx(onnx, { ...feeds, x }, "webgpu"), outputs, { ...feeds, x }, 2e-6);
    },
  );

  test("an operator that WebGPU lacks is an error instead of a CPU fallback", async () => {
    const { outputs, feeds } = (loweringCases["matmul in batches"] as () => LoweringCase)();
    await expect(runOnnx(lower(outputs, "cpu"), feeds, "webgpu")).rejects.toThrow(/fallback/i);
  });
});
