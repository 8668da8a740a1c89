import { expect, test } from "vitest";
import type { Overview } from "../../../src/protocol/traceApi";
import { type OverviewData, overviewData, overviewTable } from "../../../webview/explorer/overview/data";
import { overviewLayout } from "../../../webview/explorer/overview/layout";
import { nextPart, partsOf } from "../../../webview/explorer/overview/parts";
import { shownRows } from "../../../webview/explorer/overview/rows";
import { tinyTrace } from "../tinyTrace";

/** A sequence of single letters through layers whose norms grow by 1; attention reads the first token. */
function data(layers: number, tokens: number, position = tokens - 1, more: Partial<OverviewData> = {}): OverviewData {
  return {
    tokens: Array.from({ length: tokens }, (_, i) => "abcdefghij"[i % 10] as string),
    source: null,
    position,
    layers: Array.from({ length: layers }, (_, l) => ({
      before: l + 1,
      after: l + 2,
      attention: 1,
      cross: Number.NaN,
      mlp: 2,
      sources: [{ position: 0, isCross: false, weight: 0.5, head: 3 }],
      guesses: [{ label: l === layers - 1 ? "x" : "y", probability: 0.25 }],
    })),
    firstGuesses: [],
    next: [
      { label: "x", probability: 0.5 },
      { label: "y", probability: 0.25 },
    ],
    hasCross: false,
    isOpened: false,
    ...more,
  };
}

test("rows are the selected token, the ones that are read, and its neighbors, with gaps between them", () => {
  expect(shownRows(3, 2, new Map(), 10)).toEqual([0, 1, 2].map((position) => ({ kind: "token", position })));
  expect(
    shownRows(
      1024,
      1023,
      new Map([
        [5, 2],
        [9, 1],
        [700, 0.1],
      ]),
      5,
    ),
  ).toEqual([
    { kind: "gap", count: 5 },
    { kind: "token", position: 5 },
    { kind: "gap", count: 3 },
    { kind: "token", position: 9 },
    { kind: "gap", count: 1011 },
    { kind: "token", position: 1021 },
    { kind: "token", position: 1022 },
    { kind: "token", position: 1023 },
  ]);
  // Earlier tokens, which it can read, come before later ones.
  expect(shownRows(9, 5, new Map(), 4)).toEqual([
    { kind: "gap", count: 2 },
    ...[2, 3, 4, 5].map((position) => ({ kind: "token", position })),
    { kind: "gap", count: 3 },
  ]);
});

test("1 to 80 layers and 1 to 1,024 tokens fit the width, or scroll with layers that stay legible", () => {
  for (const [layers, tokens] of [
    [1, 1],
    [12, 32],
    [24, 1024],
    [48, 100],
    [80, 1024],
  ] as const) {
    const layout = overviewLayout(data(layers, tokens), 1130, 480);
    const fits = layers <= 48;
    expect(layout.width <= 1130, `${layers} layers`).toBe(fits);
    expect(layout.height, `${layers} layers`).toBeLessThanOrEqual(480);
    for (const { width } of layout.layers) expect(width).toBeGreaterThanOrEqual(14);
    for (const { x } of layout.layers) expect(x).toBeLessThan(layout.barsX);
    expect(layout.rows.length).toBeLessThanOrEqual(tokens);
    expect(layout.rows.some(({ look }) => look === "selected")).toBe(true);
  }
  expect(overviewLayout(data(4, 8), 1000, 480).isNarrow).toBe(false);
  expect(overviewLayout(data(24, 8), 1000, 480).isNarrow).toBe(true);
});

test("thickness is the norm, for the stream and for what is added to it", () => {
  const { stream, layers } = overviewLayout(data(4, 8), 1000, 480);
  const [first, , , , last] = stream.halves as [number, number, number, number, number];
  expect(last / first).toBeCloseTo(5);
  const [attention, mlp] = layers[0]!.writes;
  expect(attention!.joint.width).toBeCloseTo(2 * first);
  expect(mlp!.joint.width).toBeCloseTo(4 * first);
  expect([attention!.text, mlp!.text]).toEqual(["1.00", "2.00"]);
  expect([attention!.share, mlp!.share]).toEqual([0.5, 1]);
});

test("attention is drawn from the tokens that it reads, and the stream divides among the next tokens", () => {
  const { flows, rows, bars, stream, layers } = overviewLayout(data(4, 8), 1000, 480);
  expect(flows.map(({ layer, weight }) => [layer, weight])).toEqual([0, 1, 2, 3].map((layer) => [layer, 0.5]));
  expect(flows[2]!.from[1]).toBe(rows[0]!.box.y + rows[0]!.box.height / 2);
  const half = stream.halves[4]!;
  expect(bars.map(({ share }) => share.half / half)).toEqual([0.5, 0.25]);
  expect(bars[0]!.share.y - bars[0]!.share.half).toBeCloseTo(stream.y - half);
  expect(bars[1]!.share.y).toBeCloseTo(stream.y + 0.25 * half);
  expect(layers.map(({ lens }) => lens?.isFinal)).toEqual([false, false, false, true]);
});

test("a translator has rows of its source above the translation, and a second attention", () => {
  const cross = { position: 1, isCross: true, weight: 0.75, head: 1 };
  const plain = data(2, 5);
  const translator = data(2, 5, 4, {
    source: ["a", "b", "c"],
    hasCross: true,
    layers: plain.layers.map((layer) => ({ ...layer, cross: 1.5, sources: [cross, { ...cross, isCross: false }] })),
  });
  const { rows, secondStack, layers, flows } = overviewLayout(translator, 1000, 520);
  expect(rows.map(({ label }) => label).join("")).toBe([..."abc", ..."abcde"].join(""));
  expect(rows[3]!.box.y).toBeGreaterThan(secondStack!);
  expect(layers[0]!.writes.map(({ kind }) => kind)).toEqual(["attention", "cross", "mlp"]);
  const middleOf = (row: number) => rows[row]!.box.y + rows[row]!.box.height / 2;
  expect(flows.slice(0, 2).map(({ from }) => from[1])).toEqual([middleOf(1), middleOf(4)]);
});

test("every part opens its view with its layer and head, and names its numbers", () => {
  const now = data(2, 3);
  const parts = partsOf(overviewLayout(now, 1000, 480), now);
  const views = parts.map(({ view }) => view);
  expect(views).toEqual([
    ...Array(3).fill("tokens"),
    "embedding",
    ...["attention", "layers", "layers", "lens"],
    ...["attention", "layers", "layers", "lens"],
    ...Array(2).fill("nextToken"),
  ]);
  expect(parts[8]).toMatchObject({ view: "attention", select: { layer: 1, head: 3 }, layer: 1 });
  expect(parts[8]!.text).toBe(
    "Attention of layer 1\nadds a vector of norm 1.00000\n“a” at 0: weight 0.500000, most in head 3",
  );
  expect(parts[10]).toMatchObject({ select: { layer: 1, value: "blocks.1.mlpOut" } });
  expect(parts[9]!.text).toBe("Residual stream after layer 1\nnorm 3.00000, 2.00000 before the layer");
});

test("arrow keys move to the nearest part in their direction", () => {
  const box = (x: number, y: number) => ({ x, y, width: 10, height: 10 });
  const boxes = [box(0, 0), box(20, 0), box(0, 20), box(26, 20)];
  expect(nextPart(boxes, 0, "ArrowRight")).toBe(1);
  expect(nextPart(boxes, 0, "ArrowDown")).toBe(2);
  expect(nextPart(boxes, 3, "ArrowUp")).toBe(1);
  expect(nextPart(boxes, 0, "ArrowLeft")).toBeNull();
  expect(nextPart(boxes, 0, "End")).toBe(3);
  expect(nextPart(boxes, 0, "x")).toBeNull();
});

test("the table has all digits of each layer, before and after the answer of the engine", () => {
  const { info } = tinyTrace("hello");
  const [T, position] = [info.tokens.length, 3];
  const overview: Overview = {
    attention: Float32Array.of(1, 2, 3),
    cross: null,
    mlp: Float32Array.of(4, 5, 6),
    sources: {
      count: 2,
      positions: Uint32Array.of(0, 1, 2, 3, 2, 1),
      weights: Float32Array.of(0.75, 0.25, 0.5, 0.01, 0.5, 0.25),
      heads: Uint32Array.of(1, 2, 3, 0, 1, 2),
    },
    crossSources: null,
  };
  const before = overviewTable(overviewData({ trace: info }, position, null, null));
  const after = overviewTable(overviewData({ trace: info }, position, overview, null));
  expect([before.rows, after.rows]).toEqual([3, 3]);
  expect(before.columns).toHaveLength(before.row(0).length);
  const row = after.row(1);
  expect(row.slice(0, 5)).toEqual([1, info.residualNorms[T + 3], 2, 5, info.residualNorms[2 * T + 3]]);
  // A weight below 0.02 is left out.
  expect(row.slice(5, 13)).toEqual(["e", 2, 0.5, 3, "", "", "", ""]);
  // The distribution after a token in the middle is only known from the lens.
  expect(overviewData({ trace: info }, position, overview, null).next).toEqual([]);
  expect(overviewData({ trace: info }, T - 1, overview, null).next).toHaveLength(100);
});
