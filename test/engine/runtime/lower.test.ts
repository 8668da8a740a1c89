import { describe, expect, test } from "vitest";
import { vjps } from "../../../src/engine/autodiff/vjps";
import { expectAllClose } from "../../helpers/allclose";
import { evaluate } from "../../helpers/evaluate";
import { runGraph } from "../../helpers/run";
import { loweringCases, opsOfCases } from "./loweringCases";

describe("on the CPU a graph computes what it means", () => {
  test.each(Object.entries(loweringCases))("%s", async (_name, make) => {
    const { outputs, feeds } = make();
    const results = await runGraph(outputs, feeds, "cpu");
    const expected = evaluate(Object.values(outputs), feeds);
    Object.keys(outputs).forEach((name, i) => {
      expectAllClose(results[name], expected[i], 2e-6, name);
    });
  });

  test("every op is tried", () => {
    const tried = opsOfCases();
    expect(Object.keys(vjps).filter((op) => !tried.has(op))).toEqual([]);
  });
});
