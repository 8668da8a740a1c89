import { expect, test } from "vitest";
import { lower } from "../../../src/engine/runtime/lower";
import { expectAllClose } from "../../helpers/allclose";
import { evaluate } from "../../helpers/evaluate";
import { runGraph, runOnnx } from "../../helpers/run";
import { describeWebgpu } from "../../helpers/webgpu";
import { type LoweringCase, loweringCases } from "./loweringCases";

describeWebgpu("on WebGPU a graph computes what it means, with nothing left to the CPU", () => {
  test.each(Object.entries(loweringCases))("%s", async (_name, make) => {
    const { outputs, feeds } = make();
    const results = await runGraph(outputs, feeds, "webgpu");
    const expected = evaluate(Object.values(outputs), feeds);
    Object.keys(outputs).forEach((name, i) => {
      expectAllClose(results[name], expected[i], 2e-6, name);
    });
  });

  test("an operator that WebGPU lacks is refused rather than run on the CPU", async () => {
    const { outputs, feeds } = (loweringCases["matmul in batches"] as () => LoweringCase)();
    await expect(runOnnx(lower(outputs, "cpu"), feeds, "webgpu")).rejects.toThrow(/fallback/i);
  });
});
