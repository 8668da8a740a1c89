import { describe, expect, test } from "vitest";
import { Tracer } from "../../../src/engine/inspect/tracer";
import type { TraceInfo } from "../../../src/protocol/engineApi";
import {
  type AttentionValue,
  attentionKinds,
  attentionSize,
  byRow,
  cellParts,
  firstKeyMass,
  headOrder,
  headsNear,
  kvHeadOf,
  moveHead,
  patternRow,
  rowMaxima,
  scoreRule,
  shades,
  strongestKeys,
  strongestLines,
} from "../../../webview/trace/attention/layout";
import { createInspection, matrixOf } from "../../../webview/trace/inspection";
import { largestDifference, modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";
import { tinyTrace } from "../tinyTrace";
import { tinyTranslation } from "../tinyTranslation";

const { info, tensor } = tinyTrace("hello");
const [kind] = attentionKinds(info);
const masked = kind!.masked(1);
const pattern = matrixOf(tensor("blocks.1.attn.pattern", 2));
const T = pattern.rows;

describe("what there is to look at", () => {
  test("sizes come from the trace", () => expect(attentionSize(info)).toMatchObject({ layers: 3, heads: 4 }));

  test("a decoder sees no later token; a layer with a window none that is further back", () => {
    const config = { ...info.model.config, windows: [null, 2] };
    const [windowed] = attentionKinds({ ...info, model: { ...info.model, config } });
    const row = (layer: number) => Array.from({ length: 6 }, (_, key) => windowed!.masked(layer)!(3, key));
    expect(row(0)).toEqual([false, false, false, false, true, true]);
    expect(row(1)).toEqual([true, true, false, false, true, true]);
  });

  test("of a translator there is that to the source, where nothing is masked, and that of both to themselves", () => {
    const found = attentionKinds(tinyTranslation("the cat", "le").info);
    expect(found.map(({ id, queries, keys }) => [id, queries.length, keys.length])).toEqual([
      ["cross", 3, 8],
      ["self", 3, 3],
      ["encoder", 8, 8],
    ]);
    expect(found.map((each) => each.masked(0) === null)).toEqual([true, false, true]);
  });
});

describe("a weight taken apart", () => {
  const at = { classic: tinyTrace("hello"), modern: tinyTrace("hello", 1, "modern") };
  test.each(["classic", "modern"] as const)("is the run's own again, of a %s model", (variant) => {
    const { info: run, tensor: value } = at[variant];
    const of = (name: string) => matrixOf(value(`blocks.1.attn.${name}`, 3));
    const [q, k] = [of("q"), of("k")];
    const parts = cellParts(q.values, k.values, q.cols, [4, 2], scoreRule(run, 1), masked);
    expect(parts.terms.reduce((sum, x) => sum + x, 0)).toBeCloseTo(parts.product, 10);
    expect(parts.score).toBeCloseTo(of("scores").values[4 * T + 2]!, 5);
    expect(parts.weight).toBeCloseTo(of("pattern").values[4 * T + 2]!, 6);
    const row = patternRow(q.values, k.values, q.cols, 4, scoreRule(run, 1), masked);
    of("pattern")
      .values.subarray(4 * T, 5 * T)
      .forEach((weight, key) => void expect(row[key]).toBeCloseTo(weight, 6));
  });

  test("a soft cap and a scale by layer are in the score", () => {
    const config = { ...info.model.config, attentionSoftcap: 2, scaleByLayer: true };
    const rule = scoreRule({ ...info, model: { ...info.model, config } }, 3);
    expect(rule).toEqual({ scale: config.attentionScale / 4, softcap: 2 });
    const parts = cellParts(Float32Array.of(3, 4), Float32Array.of(8, 16), 2, [0, 0], { scale: 0.5, softcap: 2 }, null);
    expect(parts.scaled).toBe(44);
    expect(parts.score).toBeCloseTo(2 * Math.tanh(22), 12);
  });

  test("a masked cell has no weight", () => {
    const [q, k] = ["q", "k"].map((name) => matrixOf(tensor(`blocks.1.attn.${name}`, 2)));
    expect(cellParts(q!.values, k!.values, q!.cols, [1, 3], scoreRule(info, 1), masked).weight).toBe(0);
  });
});

describe("a row computed from q and k is the engine's own pattern", () => {
  const length = 13;
  test.each([
    ["GPT-2's way, scaled by layer", { ...tinyConfig, scaleByLayer: true }],
    ["soft-capped, in a window, over keys that heads share", modernConfig],
    ["without a mask", { ...tinyConfig, causal: false }],
  ])("%s", async (_name, config) => {
    const tracer = new Tracer(config, (await tinyModel(config)).weights);
    const trace = await tracer.trace([someIds(length)]);
    await tracer.release();
    const run: TraceInfo = {
      ...info,
      model: { ...info.model, config },
      tokens: Array.from({ length }, () => info.tokens[0]!),
      values: [...trace].map(([name, { shape }]) => ({ name, shape })),
    };
    const [own] = attentionKinds(run);
    for (const [layer, head] of [
      [0, 0],
      [1, config.nHeads - 1],
    ] as const) {
      const of = (value: AttentionValue, ofHead: number) => {
        const { shape, data } = trace.get(own!.valueName(layer, value))!;
        const size = shape.at(-1)! * shape.at(-2)!;
        return data.subarray(ofHead * size, (ofHead + 1) * size);
      };
      const [q, k] = [of("q", head), of("k", kvHeadOf(own!, head))];
      const rule = scoreRule(run, layer);
      const rows = run.tokens.map((_, query) => patternRow(q, k, config.dHead, query, rule, own!.masked(layer)));
      expect(
        largestDifference(
          rows.flatMap((row) => [...row]),
          of("pattern", head),
        ),
      ).toBeLessThan(1e-6);
    }
  });
});

describe("what is drawn of a pattern", () => {
  const small = Float32Array.of(1, 0, 0, 0.7, 0.3, 0, 0.5, 0.1, 0.4);

  test("the strongest keys of a query are in order and never masked", () => {
    const keys = strongestKeys(pattern.values, T, 2, 3);
    expect(keys.every(({ key }) => key <= 2)).toBe(true);
    expect(keys.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 5);
    expect(keys[0]!.weight).toBeGreaterThanOrEqual(keys[1]!.weight);
  });

  test("lines are the strongest of each query, and what they leave out is told", () => {
    const { lines, leftOut } = strongestLines(small, [3, 3], 1, masked);
    expect(lines.map(({ query, key }) => [query, key])).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
    ]);
    expect(leftOut).toBeCloseTo((0.3 + 0.5) / 3, 6);
    const two = strongestLines(small, [3, 3], 2, (query, key) => key > query || key === 0);
    expect(two.lines.map(({ query, key }) => [query, key])).toEqual([
      [1, 1],
      [2, 2],
      [2, 1],
    ]);
    expect(two.leftOut).toBeCloseTo((1 + 0.7 + 0.5) / 3, 6);
  });

  test("the first token's share leaves the first query out, which sees nothing else", () => {
    expect(firstKeyMass(small, [3, 3], masked)).toBeCloseTo((0.7 + 0.5) / 2, 6);
    expect(firstKeyMass(small, [3, 3], null)).toBeCloseTo((1 + 0.7 + 0.5) / 3, 6);
  });

  test("rows by their largest value that is not masked", () => {
    const maxima = rowMaxima(Float32Array.of(-2, 9, 1, -4), [2, 2], masked);
    expect([...maxima]).toEqual([2, 4]);
    expect([...byRow(Float32Array.of(-2, 9, 1, -4), 2, maxima)]).toEqual([-1, 4.5, 0.25, -1]);
  });

  test("the editor's shades are relative to the largest that is shown", () => {
    expect([...shades(Float64Array.of(0.5, 0.25, 0.125), "linear")]).toEqual([1, 0.5, 0.25]);
    expect([...shades(Float64Array.of(0.5, 0.25, 0.125), "withoutFirst")]).toEqual([0, 1, 0.5]);
  });
});

describe("the grid of heads", () => {
  test("goes by a score from the largest, those without one last", () => {
    const order = headOrder(2, 2, Float32Array.of(0.1, Number.NaN, 0.9, 0.1));
    expect(order.map(({ layer, head }) => `${layer}.${head}`)).toEqual(["1.0", "0.0", "1.1", "0.1"]);
  });

  test("the heads on both sides come first, then those above and below, then the rest of the layer", () => {
    const some = { ...kind!, layers: 3, heads: 4 };
    const order = headsNear({ layer: 0, head: 1 }, some);
    expect(order.map(({ layer, head }) => `${layer}.${head}`)).toEqual(["0.2", "0.0", "1.1", "0.3"]);
  });

  test("keys move between heads and stay inside", () => {
    expect(moveHead("ArrowDown", 1, 8, 4)).toBe(5);
    expect(moveHead("ArrowDown", 5, 8, 4)).toBe(5);
    expect(moveHead("ArrowLeft", 4, 8, 4)).toBe(3);
    expect(moveHead("End", 0, 8, 4)).toBe(7);
    expect(moveHead("a", 0, 8, 4)).toBeNull();
  });
});

test("the page keeps a few heads of a long text, not all", async () => {
  const asked: number[] = [];
  const call = async (_method: string, { head }: { head: number }) => {
    asked.push(head);
    return { name: "pattern", shape: [1, 1024, 1024], data: new Float32Array(1024 * 1024) };
  };
  const source = { kind: "typed", label: "", text: "hello", truncated: false } as const;
  const inspection = createInspection(info, source, { call: call as never });
  for (let head = 0; head < 30; head++) await inspection.tensor("pattern", head);
  await inspection.tensor("pattern", 29);
  expect(asked).toHaveLength(30);
  await inspection.tensor("pattern", 0);
  expect(asked).toHaveLength(31);
});
