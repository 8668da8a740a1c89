import { describe, expect, test } from "vitest";
import { relativeError } from "../../helpers/allclose";
import { type GoldenDecoder, goldenDecoders } from "../../helpers/golden";
import { expectCheck, forwardCheck } from "../../helpers/goldenChecks";
import { probedForward } from "../../helpers/graphs";
import { runGraph } from "../../helpers/run";

const [anyDecoder] = goldenDecoders as [GoldenDecoder, ...GoldenDecoder[]];

describe("named values match a float64 evaluation, and logits match PyTorch", () => {
  test.each(goldenDecoders)("$name", (golden) => expectCheck(forwardCheck(golden), "cpu", 1e-5));
});

test("a forward pass names the values of a trace, and lnFinal only if there is a final norm", () => {
  const ofBlock = ["residPre", "attn.q", "attn.k", "attn.v", "attn.scores", "attn.pattern", "attn.z", "attnOut"];
  const names = [
    ...["embed", "posEmbed", "logits"],
    ...[0, 1].flatMap((l) => [...ofBlock, "residMid", "mlpOut", "residPost"].map((name) => `blocks.${l}.${name}`)),
  ].sort();
  const config = { ...anyDecoder.config, finalNorm: false };
  expect(Object.keys(probedForward(config, 1, 4)).sort()).toEqual(names);
  expect(Object.keys(probedForward({ ...config, finalNorm: true }, 1, 4)).sort()).toEqual([...names, "lnFinal"].sort());
});

test("a position never sees a later one", async () => {
  const { config, params } = anyDecoder;
  const [T, V] = [6, config.vocabSize];
  const logitsOf = async (...ids: number[]) => {
    const feeds = { ...Object.fromEntries(params), ids: Int32Array.from(ids) };
    return (await runGraph(probedForward(config, 1, T), feeds, "cpu")).logits as Float64Array;
  };
  const [one, other] = [await logitsOf(1, 2, 3, 4, 5, 6), await logitsOf(1, 2, 3, 4, 9, 0)];
  expect(other.subarray(0, 4 * V)).toEqual(one.subarray(0, 4 * V));
  for (const t of [4, 5]) {
    const row = [t * V, (t + 1) * V] as const;
    expect(relativeError(other.subarray(...row), one.subarray(...row))).toBeGreaterThan(1e-3);
  }
});

test("an attention pattern is 0 on later positions and sums to 1", async () => {
  const { config, params, batchSize: B, blockSize: T, steps } = anyDecoder;
  const feeds = { ...Object.fromEntries(params), ids: steps[0]?.feeds.ids as Int32Array };
  const pattern = (await runGraph(probedForward(config, B, T), feeds, "cpu"))["blocks.1.attn.pattern"] as Float64Array;
  for (let row = 0; row < B * config.nHeads * T; row++) {
    const weights = pattern.subarray(row * T, (row + 1) * T);
    expect(weights.subarray((row % T) + 1)).toEqual(new Float64Array(T - 1 - (row % T)));
    expect(weights.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 6);
  }
});
