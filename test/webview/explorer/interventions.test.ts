import { expect, test } from "vitest";
import type { Attribution, Part, PatchedValue } from "../../../src/protocol/traceApi";
import { attributedRows, attributionTable } from "../../../webview/explorer/interventions/attributedRows";
import {
  factorOf,
  patchesOf,
  symbolOf,
  withFactor,
  withoutPart,
  withPatch,
  withToggled,
} from "../../../webview/explorer/interventions/changes";
import { partGrid, type Stack, stacksOf } from "../../../webview/explorer/interventions/parts";
import { alignTexts, kindsOf, patchOf, stackOf } from "../../../webview/explorer/interventions/patchState";
import { sweepOf, sweepTable } from "../../../webview/explorer/interventions/sweepPlan";
import { interventionText, partText } from "../../../webview/explorer/interventionText";
import type { Inspection } from "../../../webview/trace/inspection";
import type { ActiveIntervention } from "../../../webview/trace/interventionHistory";
import { tinyTranslation } from "../tinyTranslation";

const HEADS = 4;
const decoder: Stack = { stack: undefined, layers: 2, heads: HEADS, crosses: false };

test("a layer's parts are its heads, its attention, its MLP and the whole layer", () => {
  const { rows, columns, at, cellOf } = partGrid([decoder]);
  expect(rows).toEqual(["layer 0", "layer 1"]);
  expect(columns).toEqual(["H0", "H1", "H2", "H3", "attn", "MLP", "layer"]);
  expect([3, 4, 5, 6].map((col) => at(1, col))).toEqual([
    { kind: "head", layer: 1, head: 3 },
    { kind: "attention", layer: 1 },
    { kind: "mlp", layer: 1 },
    { kind: "layer", layer: 1 },
  ]);
  expect(cellOf({ kind: "mlp", layer: 1 })).toEqual({ row: 1, col: 5 });
});

test("a translator has parts in encoder and decoder, and cross-attention only in the decoder", () => {
  const stacks = stacksOf(tinyTranslation("the cat", "le").info);
  const crossing = { stack: "decoder", layers: 3, heads: 4, crosses: true };
  expect(stacks).toEqual([{ ...crossing, stack: "encoder", crosses: false }, crossing]);
  const { rows, columns, at, cellOf } = partGrid(stacks);
  expect(rows.slice(2, 4)).toEqual(["encoder 2", "decoder 0"]);
  expect(columns.slice(3, 10)).toEqual(["self 3", "cross 0", "cross 1", "cross 2", "cross 3", "attn", "cross"]);
  const part = { kind: "crossHead", stack: "decoder", layer: 0, head: 1 } as const;
  expect([at(3, 5), at(2, 5), at(2, 10)]).toEqual([part, null, { kind: "mlp", stack: "encoder", layer: 2 }]);
  expect(cellOf(part)).toEqual({ row: 3, col: 5 });
  expect([part, { ...part, kind: "cross" } as const].map(partText)).toEqual([
    "decoder layer 0, cross-attention head 1",
    "decoder layer 0 cross-attention",
  ]);
});

test("a part has one factor, and none if it is unchanged", () => {
  const head: Part = { kind: "head", layer: 1, head: 2 };
  const mlp: Part = { kind: "mlp", layer: 1 };
  const list = withFactor(withFactor(withFactor([], head, 0), mlp, 2), head, 0.5);
  expect(list).toHaveLength(2);
  expect([factorOf(list, head), factorOf(list, mlp), factorOf(list, { ...head, head: 1 })]).toEqual([0.5, 2, 1]);
  expect(withFactor(list, head, 1)).toEqual([{ kind: "scale", part: mlp, factor: 2 }]);
});

test("toggling ablates an unchanged part and removes the factor of a changed one", () => {
  const mlp: Part = { kind: "mlp", layer: 1 };
  const ablated = withToggled([], mlp);
  expect(ablated).toEqual([{ kind: "scale", part: mlp, factor: 0 }]);
  expect(withToggled(ablated, mlp)).toEqual([]);
  expect(withToggled(withFactor([], mlp, 0.5), mlp)).toEqual([]);
});

test("a part is marked as ablated, scaled or patched, and a whole layer as patched with its residual stream", () => {
  const [head, layer]: Part[] = [
    { kind: "head", layer: 1, head: 2 },
    { kind: "layer", layer: 1 },
  ];
  const patch = (value: PatchedValue, position: number) =>
    ({ kind: "patch", value, position, from: { trace: "the cat", position: 0 } }) as const;
  const list: ActiveIntervention[] = [
    { kind: "scale", part: head as Part, factor: 0.5 },
    patch({ kind: "head", layer: 1, head: 2 }, 3),
    patch({ kind: "residPre", layer: 1 }, 3),
    patch({ kind: "residPost", layer: 1 }, 4),
    patch({ kind: "mlpOut", layer: 1 }, 4),
    { kind: "scale", part: { kind: "attention", layer: 1 }, factor: 0 },
  ];
  const marks = (of: readonly ActiveIntervention[]) =>
    partGrid([decoder]).columns.map((_, col) => symbolOf(of, partGrid([decoder]).at(1, col) as Part));
  expect(marks(list)).toEqual(["", "", "←×0.5", "", "∅", "←", "←"]);
  expect(patchesOf(list, layer as Part).map(({ value }) => value.kind)).toEqual(["residPre", "residPost"]);
  expect(marks(withoutPart(withoutPart(list, layer as Part), head as Part))).toEqual(["", "", "", "", "∅", "←", ""]);
});

test("an intervention names its part, its change, and the text that a value comes from", () => {
  const value = { kind: "residPost", layer: 2 } as const;
  const from = { trace: "A cat sat\non the mat, and then it slept.", position: 4 };
  expect(interventionText({ kind: "patch", value, position: 3, from })).toBe(
    "blocks.2.residPost at 3 patched from “A cat sat on the mat, a…” at 4",
  );
  expect(interventionText({ kind: "scale", part: { kind: "mlp", layer: 0 }, factor: 0 })).toBe("layer 0 MLP ablated");
});

test("a patch replaces an earlier one of the same value and position", () => {
  const value = { kind: "residPost", layer: 1 } as const;
  const first = { kind: "patch", value, position: 3, from: { trace: "a cat", position: 2 } } as const;
  const second = { ...first, from: { trace: "a dog", position: 5 } };
  const elsewhere = { ...first, position: 4 };
  const list = [first, elsewhere].reduce<ActiveIntervention[]>(withPatch, []);
  expect(withPatch(list, second)).toEqual([elsewhere, second]);
});

const size = { stacks: [decoder], last: 2 };

test("an ablation sweep has one trace for each part", () => {
  const { cells, rows, cols } = sweepOf("ablate", size, null);
  expect([rows.length, cols, cells.length]).toEqual([2, 7, 14]);
  expect(cells.at(-1)).toEqual({
    row: 1,
    col: 6,
    intervention: { kind: "scale", part: { kind: "layer", layer: 1 }, factor: 0 },
  });
});

test("a sweep over positions patches aligned tokens up to the selected one", () => {
  const aligned = [
    { a: 0, b: 0 },
    { a: null, b: 1 },
    { a: 1, b: null },
    { a: 2, b: 2 },
    { a: 3, b: 3 },
  ];
  const source = { trace: 9, stack: decoder, aligned, pair: { a: 2, b: 2 } };
  const sweep = sweepOf("residPre", size, source);
  expect([sweep.rows.length, sweep.cols]).toEqual([2, 3]);
  expect(sweep.cells.map(({ row, col }) => [row, col])).toEqual([
    [0, 0],
    [0, 2],
    [1, 0],
    [1, 2],
  ]);
  expect(sweep.cells[3]?.intervention).toEqual({
    kind: "patch",
    value: { kind: "residPre", layer: 1 },
    position: 2,
    from: { trace: 9, position: 2 },
  });
  expect(sweepOf("attnOut", size, null).cells).toEqual([]);

  // Each decoder position reads all positions of the encoder.
  const encoder = { ...decoder, stack: "encoder", layers: 1 } as const;
  const ofSource = sweepOf("residPre", { stacks: [encoder], last: 0 }, { ...source, stack: encoder });
  expect(ofSource.cells.map(({ col }) => col)).toEqual([0, 2, 3]);
  expect(ofSource.cells[0]?.intervention).toMatchObject({ value: { kind: "residPre", stack: "encoder", layer: 0 } });
});

test("a sweep's table has the finished traces with their interventions", () => {
  const sweep = sweepOf("ablate", size, null);
  const values = new Float32Array(14).fill(Number.NaN);
  values[8] = -0.25;
  const table = sweepTable("Sweep", sweep, values, 0.5, "probability");
  expect(table.rows).toBe(1);
  expect(table.row(0)).toEqual(["scale head", "", 1, 1, "", 0.5, 0.25, -0.25]);
});

const attribution = (values: Record<string, number>): Attribution => ({
  logit: 0,
  remainder: 0,
  convention: "",
  parts: Object.entries(values).map(([name, value]) => {
    const [kind = "", layer, head] = name.split(" ");
    return { kind, layer: layer ? Number(layer) : null, head: head ? Number(head) : null, value };
  }),
});

test("the contributions of two traces are paired, largest first", () => {
  const before = attribution({ embed: 1, "head 0 0": 0.5, "mlp 0": -2 });
  const after = attribution({ "stream 0": 3, "head 0 0": 0.25, "mlp 0": 0 });
  const rows = attributedRows([before, after], "size");
  expect(rows.map(({ label, values }) => [label, ...values])).toEqual([
    ["layer 0 residual stream, patched", Number.NaN, 3],
    ["layer 0 MLP", -2, 0],
    ["token embedding", 1, Number.NaN],
    ["layer 0 head 0", 0.5, 0.25],
  ]);
  expect(attributedRows([before], "model").map(({ kind }) => kind)).toEqual(["embed", "head", "mlp"]);
  expect(attributionTable("Parts", rows, ["before", "after"]).row(2)).toEqual([
    "token embedding",
    "embed",
    "",
    "",
    1,
    "",
  ]);
});

test("the biases of a layer's norms are one row", () => {
  const norm = (value: number) => ({ kind: "norm", layer: 0, head: null, value });
  const [row] = attributedRows([{ ...attribution({}), parts: [norm(1), norm(2)] }], "model");
  expect(row).toMatchObject({ label: "layer 0 norm bias", values: [3] });
});

type Traced = Pick<Inspection, "trace" | "source">;

test("a patch takes the selected layer and head as far as the stack has them", () => {
  const [base, other] = [tinyTranslation("the cat", "le").info, tinyTranslation("a cat", "un").info].map((trace) => ({
    trace,
    source: { kind: "typed", label: "", text: "a cat", truncated: false },
  })) as [Traced, Traced];
  const texts = { base, other, isEncoder: true };
  const { aligned, differs } = alignTexts(texts);
  expect(aligned.filter((_, i) => !differs[i]).at(-1)).toEqual({ a: 7, b: 5 });
  expect(patchOf(texts, "head", { layer: 9, head: 9 }, 7, 5)).toEqual({
    kind: "patch",
    value: { kind: "head", stack: "encoder", layer: 2, head: 3 },
    position: 7,
    from: { trace: "a cat", position: 5 },
  });
  expect(patchOf(texts, "residPost", { layer: 0, head: 0 }, 8, 5)).toBeNull();
  expect(kindsOf(stackOf(base, true))).not.toContain("crossOut");
  expect(kindsOf(stackOf(base, false))).toContain("crossOut");
});
