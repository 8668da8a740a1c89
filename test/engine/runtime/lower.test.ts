import { describe, expect, test } from "vitest";
import { vjps } from "../../../src/engine/autodiff/vjps";
import { expectMeaning } from "../../helpers/goldenChecks";
import { runGraph } from "../../helpers/run";
import { cpuCases, loweringCases, opsOfCases } from "./loweringCases";

describe("on the CPU a graph computes what it means", () => {
  test.each(Object.entries({ ...loweringCases, ...cpuCases }))("%s", async (_name, make) => {
    const { outputs, feeds } = make();
    expectMeaning(await runGraph(outputs, feeds, "cpu"), outputs, feeds, 2e-6);
  });

  test("every op is tried", () => {
    const tried = opsOfCases();
    expect(Object.keys(vjps).filter((op) => !tried.has(op))).toEqual([]);
  });
});
