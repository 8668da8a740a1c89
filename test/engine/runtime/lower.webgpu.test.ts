import { expect, test } from "vitest";
import { lower } from "../../../src/engine/runtime/lower";
import { expectMeaning } from "../../helpers/goldenChecks";
import { runGraph, runOnnx } from "../../helpers/run";
import { describeWebgpu } from "../../helpers/webgpu";
import { type LoweringCase, loweringCases } from "./loweringCases";

describeWebgpu("on WebGPU a graph computes what it means, with nothing left to the CPU", () => {
  test.each(Object.entries(loweringCases))("%s", async (_name, make) => {
    const { outputs, feeds } = make();
    expectMeaning(await runGraph(outputs, feeds, "webgpu"), outputs, feeds, 2e-6);
  });

  test("an operator that WebGPU lacks is refused rather than run on the CPU", async () => {
    const { outputs, feeds } = (loweringCases["matmul in batches"] as () => LoweringCase)();
    await expect(runOnnx(lower(outputs, "cpu"), feeds, "webgpu")).rejects.toThrow(/fallback/i);
  });
});
