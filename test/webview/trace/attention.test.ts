import { describe, expect, test } from "vitest";
import { Tracer } from "../../../src/engine/inspect/tracer";
import type { TraceInfo } from "../../../src/protocol/engineApi";
import { formatPercent, formatValue } from "../../../webview/base/format";
import { linesChart, matrixChart, patternTable, readingOf } from "../../../webview/trace/attention/charts";
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
  pairText,
  patternRow,
  rowMaxima,
  scoreRule,
  shades,
  strongestKeys,
  strongestLines,
} from "../../../webview/trace/attention/layout";
import {
  choose,
  INITIAL_CHOICES,
  offered,
  type ShownPattern,
  selectedCell,
} from "../../../webview/trace/attention/state";
import { type Inspection, matrixOf } from "../../../webview/trace/inspection";
import { largestDifference, modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";
import { tinyTrace } from "../tinyTrace";
import { tinyTranslation } from "../tinyTranslation";

const { info, tensor } = tinyTrace("hello");
const [kind] = attentionKinds(info);
const masked = kind!.masked(1);
const pattern = matrixOf(tensor("blocks.1.attn.pattern", 2));
const T = pattern.rows;

describe("the attention of a trace", () => {
  test("has the sizes of the trace", () => expect(attentionSize(info)).toMatchObject({ layers: 3, heads: 4 }));

  test("a causal mask hides later tokens, and a window those further back", () => {
    const config = { ...info.model.config, windows: [null, 2] };
    const [windowed] = attentionKinds({ ...info, model: { ...info.model, config } });
    const row = (layer: number) => Array.from({ length: 6 }, (_, key) => windowed!.masked(layer)!(3, key));
    expect(row(0)).toEqual([false, false, false, false, true, true]);
    expect(row(1)).toEqual([true, true, false, false, true, true]);
  });

  test("a translator has cross-attention without a mask and the self-attention of both stacks", () => {
    const found = attentionKinds(tinyTranslation("the cat", "le").info);
    expect(found.map(({ id, queries, keys }) => [id, queries.length, keys.length])).toEqual([
      ["cross", 3, 8],
      ["self", 3, 3],
      ["encoder", 8, 8],
    ]);
    expect(found.map((each) => each.masked(0) === null)).toEqual([true, false, true]);
  });
});

describe("the computation of a weight", () => {
  const at = { classic: tinyTrace("hello"), modern: tinyTrace("hello", 1, "modern") };
  test.each(["classic", "modern"] as const)("reproduces the trace of a %s model", (variant) => {
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

  test("the score includes a soft cap and a scale per layer", () => {
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

describe("a row computed from q and k equals the engine's pattern", () => {
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

describe("a pattern", () => {
  const small = Float32Array.of(1, 0, 0, 0.7, 0.3, 0, 0.5, 0.1, 0.4);

  test("has the strongest keys of a query in order, none of them masked", () => {
    const keys = strongestKeys(pattern.values, T, 2, 3);
    expect(keys.every(({ key }) => key <= 2)).toBe(true);
    expect(keys.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 5);
    expect(keys[0]!.weight).toBeGreaterThanOrEqual(keys[1]!.weight);
  });

  test("has the strongest lines of each query and the share that is left out", () => {
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

  test("has a share of the first key that ignores the first query, which sees nothing else", () => {
    expect(firstKeyMass(small, [3, 3], masked)).toBeCloseTo((0.7 + 0.5) / 2, 6);
    expect(firstKeyMass(small, [3, 3], null)).toBeCloseTo((1 + 0.7 + 0.5) / 3, 6);
  });

  test("is scaled per row by the largest value that is not masked", () => {
    const maxima = rowMaxima(Float32Array.of(-2, 9, 1, -4), [2, 2], masked);
    expect([...maxima]).toEqual([2, 4]);
    expect([...byRow(Float32Array.of(-2, 9, 1, -4), 2, maxima)]).toEqual([-1, 4.5, 0.25, -1]);
  });

  test("has shades for the editor relative to the largest weight shown", () => {
    expect([...shades(Float64Array.of(0.5, 0.25, 0.125), "linear")]).toEqual([1, 0.5, 0.25]);
    expect([...shades(Float64Array.of(0.5, 0.25, 0.125), "withoutFirst")]).toEqual([0, 1, 0.5]);
  });
});

describe("the grid of heads", () => {
  test("is sorted by descending score, heads without one last", () => {
    const order = headOrder(2, 2, Float32Array.of(0.1, Number.NaN, 0.9, 0.1));
    expect(order.map(({ layer, head }) => `${layer}.${head}`)).toEqual(["1.0", "0.0", "1.1", "0.1"]);
  });

  test("prefetches adjacent heads first, then those of adjacent layers, then the rest of the layer", () => {
    const some = { ...kind!, layers: 3, heads: 4 };
    const order = headsNear({ layer: 0, head: 1 }, some);
    expect(order.map(({ layer, head }) => `${layer}.${head}`)).toEqual(["0.2", "0.0", "1.1", "0.3"]);
  });

  test("moves by keyboard and stays inside", () => {
    expect(moveHead("ArrowDown", 1, 8, 4)).toBe(5);
    expect(moveHead("ArrowDown", 5, 8, 4)).toBe(5);
    expect(moveHead("ArrowLeft", 4, 8, 4)).toBe(3);
    expect(moveHead("End", 0, 8, 4)).toBe(7);
    expect(moveHead("a", 0, 8, 4)).toBeNull();
  });
});

describe("the choices of the view", () => {
  const scores = choose(INITIAL_CHOICES, { stage: "scores" });

  test("lines exist for the pattern only", () => expect(choose(scores, { form: "lines" }).stage).toBe("pattern"));

  test("scores have no logarithmic colors", () => {
    const logarithmic = choose(INITIAL_CHOICES, { scale: "log" });
    expect(choose(logarithmic, { stage: "scores" }).scale).toBe("linear");
    expect(choose(choose(INITIAL_CHOICES, { scale: "byRow" }), { stage: "scores" }).scale).toBe("byRow");
  });

  test("another kind of attention starts at its strongest key", () => {
    expect(choose({ ...INITIAL_CHOICES, key: 3 }, { kind: "cross" }).key).toBeNull();
    expect(choose({ ...INITIAL_CHOICES, key: 3 }, { perQuery: 8 }).key).toBe(3);
  });

  test("a stage that the layer lacks falls back to the pattern", () => {
    const masked = choose(INITIAL_CHOICES, { stage: "masked" });
    const stages = (hasScores: boolean, isMasked: boolean) => offered(masked, { hasScores, isMasked });
    expect(stages(true, true).choices.stage).toBe("masked");
    expect(stages(true, false)).toMatchObject({ choices: { stage: "pattern" }, stages: ["scores", "pattern"] });
    expect(stages(false, true).stages).toEqual(["pattern"]);
  });
});

describe("the charts of a head", () => {
  const labels = info.tokens.map(({ token }) => token);
  const shown: ShownPattern = {
    inspection: { trace: info, base: null } as Inspection,
    name: "blocks.1.attn.pattern",
    kind: kind!,
    stage: "pattern",
    layer: 1,
    head: 2,
    labels,
    keyLabels: labels,
    ...pattern,
    overlaid: [],
    masked,
  };
  const value = (query: number, key: number) => pattern.values[query * T + key] as number;

  test("the selected cell is the chosen key, or the strongest one", () => {
    const selection = { token: 3, layer: 1, head: 2 };
    expect(selectedCell(shown, selection, 1)).toEqual({ query: 3, key: 1 });
    const { query, key } = selectedCell(shown, selection, null);
    expect(value(query, key)).toBe(Math.max(...Array.from({ length: 4 }, (_, each) => value(3, each))));
  });

  test("the matrix hides the first key if it is ignored, and says how much attention that is", () => {
    const { data, note } = matrixChart(shown, "withoutFirst");
    expect([0, 1, 4].map((key) => data.masked?.(3, key))).toEqual([true, false, true]);
    expect(note).toContain(formatPercent(firstKeyMass(pattern.values, [T, T], masked)));
    expect(matrixChart(shown, "linear").note).toBe("");
  });

  test("a cell is described by its tokens, its tensor and its trace", () => {
    const text = matrixChart(shown, "byRow").data.describe(3, 1);
    expect(text).toContain(`${pairText(labels[3]!, labels[1]!)}, `);
    expect(text).toContain(`blocks.1.attn.pattern[0, 2, 3, 1] = ${value(3, 1).toPrecision(6)}\n`);
    expect(text.endsWith(`trace ${info.trace}`)).toBe(true);
    expect(matrixChart(shown, "linear").data.describe(1, 3)).toContain("masked");
  });

  test("overlaid heads have a color and a name each, and a cell has the weight of each", () => {
    const other = matrixOf(tensor("blocks.0.attn.pattern", 1)).values;
    const { data } = matrixChart({ ...shown, overlaid: [{ layer: 0, head: 1, values: other }] }, "log");
    expect(data.overlaid?.map(({ name }) => name)).toEqual(["L1 H2", "L0 H1"]);
    expect(data.title).toBe("Attention of L1 H2, L0 H1");
    expect(data.describe(3, 1).split("\n").slice(1, 3)).toEqual([
      `blocks.1.attn.pattern[0, 2, 3, 1] = ${formatValue(value(3, 1))}`,
      `blocks.0.attn.pattern[0, 1, 3, 1] = ${formatValue(other[3 * T + 1] as number)}`,
    ]);
    const table = patternTable({ ...shown, overlaid: [{ layer: 0, head: 1, values: other }] });
    expect(table.columns).toEqual(["query", "key", "L1 H2", "L0 H1"]);
    expect(table.row(3 * T + 1).slice(2)).toEqual([value(3, 1), other[3 * T + 1]]);
    expect(table.row(T - 1).slice(2)).toEqual(["masked", "masked"]);
  });

  test("a row is read in words: shares of 5 % or more, and the query itself", () => {
    const read = (...row: number[]) => {
      const values = Float32Array.from([0, 0, 0, ...row]);
      const words = ["The", "cat", "sat"];
      return readingOf({ ...shown, labels: words, keyLabels: words, cols: 3, values }, 1);
    };
    expect(read(0.41, 0.22, 0)).toBe("“cat” reads mostly “The” (41 %) and itself (22 %).");
    expect(read(0.97, 0.03, 0)).toBe("“cat” reads mostly “The” (97 %).");
    expect(read(0, 1, 0)).toBe("“cat” reads only itself.");
    expect(readingOf({ ...shown, stage: "scores" }, 1)).toBe("");
  });

  test("lines are as strong as their share of the largest weight", () => {
    const { data } = linesChart(shown, { ...INITIAL_CHOICES, perQuery: 1, scale: "byRow" });
    expect(data.lines).toHaveLength(T);
    expect(data.lines.map(data.strength)).toEqual(data.lines.map(() => 1));
  });
});
