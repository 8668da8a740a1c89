import { describe, expect, test } from "vitest";
import { constant, input } from "../../../src/engine/graph/node";
import { lower, lowerLoop } from "../../../src/engine/runtime/lower";
import { adamRates, STEP_INPUTS, stepGraph } from "../../../src/engine/train/step";
import { dropoutDecoders, type GoldenDecoder } from "../../helpers/golden";
import { dropoutCheck } from "../../helpers/goldenChecks";
import { type Feeds, type Results, runOnnx, runTurns } from "../../helpers/run";

const TURNS = BigInt64Array.of(3n);

describe("a loop of training steps equals single steps, bit for bit", () => {
  test.each(dropoutDecoders)("$name", async (golden) => {
    const { outputs, state } = stepGraph(golden.config, { ...golden, dropout: 0.2, attentionDropout: true });
    const given = stepInputs(golden);
    const start = dropoutFeeds(golden);

    const single = await runTurns(
      lower(outputs, "cpu"),
      given.map((step) => (before: Results) => ({ ...start, ...nextState(state, before), ...step })),
      "cpu",
    );
    const stacked = STEP_INPUTS.map((name) => [`${name}[]`, joined(given.map((step) => step[name] as Float32Array))]);
    const loop = await runOnnx(
      lowerLoop(outputs, { state, perTurn: STEP_INPUTS }),
      { ...start, ...Object.fromEntries(stacked), turns: TURNS },
      "cpu",
    );

    for (const [name, next] of Object.entries(state)) expect(loop[`${name}'`]).toEqual(single[2]?.[next]);
    for (const report of ["loss", "gradNorm"]) {
      expect(loop[report]).toEqual(Float64Array.from(single.flatMap((turn) => [...(turn[report] ?? [])])));
    }
    // The comparison would also pass if every step were the same.
    expect(new Set(loop.loss).size).toBe(3);
  });
});

test("a loop passes each iteration its slice, the constant inputs and the state", async () => {
  const [x, scale, total] = [input("x", [2]), input("scale", []), input("total", [2])];
  const next = total.add(x.mul(scale));
  const outputs = { next, seen: next.mul(constant(10)) };
  const graph = lowerLoop(outputs, { state: { total: "next" }, perTurn: ["x"] });
  const feeds = { "x[]": Float32Array.of(1, 2, 3, 4, 5, 6), scale: Float32Array.of(2), total: Float32Array.of(100, 0) };
  expect(await runOnnx(graph, { ...feeds, turns: TURNS }, "cpu")).toEqual({
    "total'": Float64Array.of(118, 24),
    seen: Float64Array.of(1020, 40, 1080, 120, 1180, 240),
  });
});

/** The inputs that differ between three steps. */
function stepInputs(golden: GoldenDecoder): Feeds[] {
  const offsets = dropoutFeeds(golden).offsets as Int32Array;
  return golden.steps.map(({ feeds, lr }, i) => ({
    ...feeds,
    rates: adamRates(golden.optimizer, lr, i + 1),
    offsets: Int32Array.of(...offsets.subarray(i), ...offsets.subarray(0, i)),
  }));
}

const dropoutFeeds = (golden: GoldenDecoder): Feeds => dropoutCheck(golden).turns.map((feeds) => feeds({}))[0] as Feeds;

const nextState = (state: Readonly<Record<string, string>>, before: Results): Feeds =>
  Object.fromEntries(
    Object.entries(state).flatMap(([name, next]) =>
      before[next] ? [[name, Float32Array.from(before[next])] as const] : [],
    ),
  );

function joined<T extends Float32Array | Int32Array>(parts: readonly T[]): T {
  const values = parts.flatMap((part) => [...part]);
  return (parts[0] instanceof Int32Array ? Int32Array.from(values) : Float32Array.from(values)) as T;
}
