import { expect, test } from "vitest";
import type { CheckpointInfo } from "../../../src/protocol/engineApi";
import type { TraceDifference } from "../../../src/protocol/traceApi";
import { barScale } from "../../../webview/charts/barChart";
import { type Choice, LATEST, otherOf, stepChoices } from "../../../webview/explorer/compareTraces/choice";
import {
  relativeRows,
  relativeTable,
  sortedWeights,
  traceNames,
  valueKinds,
} from "../../../webview/explorer/compareTraces/layout";
import {
  matrixDifference,
  pairedTokens,
  partnersOf,
  positionBeside,
  wantedTokens,
} from "../../../webview/explorer/tracePair/layout";

const cell = (...top: [id: number, probability: number][]) => ({
  top: top.map(([id, probability]) => ({ id, label: `t${id}`, probability })),
  entropyBits: 0,
  tracked: null,
});

test("the top tokens of either trace have probabilities in both, including those read separately", () => {
  const [a, b] = [cell([1, 0.5], [2, 0.25], [3, 0.125]), cell([3, 0.5], [4, 0.25], [1, 0.125])];
  const { missingInA, missingInB } = wantedTokens(a, b, 2);
  expect([missingInA, missingInB]).toEqual([[4], [2]]);
  expect(pairedTokens(a, b, 2, new Map([[4, 0.0625]]), new Map([[2, 0.03125]]))).toEqual([
    { id: 1, label: "t1", a: 0.5, b: 0.125 },
    { id: 2, label: "t2", a: 0.25, b: 0.03125 },
    { id: 3, label: "t3", a: 0.125, b: 0.5 },
    { id: 4, label: "t4", a: 0.0625, b: 0.25 },
  ]);
});

const tokens = (...ids: readonly number[]) => ids.map((id) => ({ id }));

test("a token is compared with its partner, and one without a partner with that of the token before it", () => {
  const own = tokens(1, 2, 3, 4, 5);
  const inserted = partnersOf(own, tokens(1, 9, 2, 3, 4, 5));
  expect(inserted).toEqual([0, 2, 3, 4, 5]);
  expect([0, 1, 4].map((position) => positionBeside(position, inserted, 6))).toEqual([0, 2, 5]);
  const missing = partnersOf(own, tokens(1, 4, 5));
  expect(missing).toEqual([0, null, null, 1, 2]);
  expect([1, 2, 3].map((position) => positionBeside(position, missing, 3))).toEqual([0, 0, 1]);
  expect(positionBeside(0, partnersOf(tokens(8, 1, 2), tokens(1, 2)), 2)).toBe(0);
});

test("the last token of a longer text is compared with the last of the other", () => {
  expect(positionBeside(4, partnersOf(tokens(1, 2, 3, 4, 5), tokens(1, 2)), 2)).toBe(1);
});

test("the last token of a text that the other continues is compared with its partner", () => {
  expect(positionBeside(1, partnersOf(tokens(1, 2), tokens(1, 2, 3)), 3)).toBe(1);
});

test("the partners of another pair of texts are not those of the pair before", () => {
  const own = tokens(1, 2);
  expect([partnersOf(own, tokens(2)), partnersOf(own, tokens(1))]).toEqual([
    [null, 0],
    [0, null],
  ]);
});

test("the difference of two matrices is that of the cells whose tokens both texts have", () => {
  const a = { rows: 3, cols: 2, values: Float32Array.of(1, 2, 3, 4, 5, 6) };
  const b = { rows: 2, cols: 3, values: Float32Array.of(10, 20, 30, 40, 50, 60) };
  const { NaN: none } = Number;
  expect(matrixDifference(a, b, [0, null, 1], [0, 2])).toEqual({
    rows: 3,
    cols: 2,
    values: Float32Array.of(9, 28, none, none, 35, 54),
  });
});

const difference: TraceDifference = {
  positions: { a: Uint32Array.of(0, 2), b: Uint32Array.of(0, 1) },
  sourcePositions: { a: Uint32Array.of(0, 1, 2), b: Uint32Array.of(1, 2, 3) },
  divergence: Float32Array.of(0, 1),
  values: [
    { name: "embed", relative: Float32Array.of(0, 0) },
    { name: "blocks.0.residPost", relative: Float32Array.of(0.25, 0.5) },
    { name: "blocks.1.residPost", relative: Float32Array.of(0.75, 1) },
    { name: "enc.blocks.0.residPost", relative: Float32Array.of(0, 0.5, 1) },
  ],
};

test("the differences of a kind of value have a row per layer, the last on top", () => {
  expect(valueKinds(difference)).toEqual(["embed", "residPost", "enc.residPost"]);
  expect(relativeRows(difference, "enc.residPost")).toMatchObject({
    names: ["enc.blocks.0.residPost"],
    positions: difference.sourcePositions,
  });
  const rows = relativeRows(difference, "residPost");
  expect(rows.names).toEqual(["blocks.1.residPost", "blocks.0.residPost"]);
  expect(relativeTable("Difference", rows, ["x", "y", "z"]).row(3)).toEqual(["blocks.0.residPost", 2, "z", 0.5, 1]);
});

test("traces are named by what differs between them", () => {
  const model = { dir: "/m", name: "stories", step: 100 };
  expect(traceNames(model, model)).toEqual(["this text", "other text"]);
  expect(traceNames(model, { dir: "/m/checkpoints/step-50", name: "stories", step: 50 })).toEqual([
    "step 100",
    "step 50",
  ]);
  expect(traceNames(model, { ...model, dir: "/m/checkpoints/step-100" })).toEqual(["this model", "other model"]);
  expect(traceNames(model, { dir: "/n", name: "poems", step: 100 })).toEqual(["stories", "poems"]);
});

test("weights are sorted by their difference, largest first", () => {
  const weight = (name: string, relative: number) => ({ name, shape: [1], relative, cosine: 1 });
  expect(sortedWeights([weight("a", 0.1), weight("b", 0.3), weight("c", 0.2)]).map(({ name }) => name)).toEqual([
    "b",
    "c",
    "a",
  ]);
});

test("bars of both signs share one scale with zero in between", () => {
  const { zero, length } = barScale([{ values: [3, Number.NaN] }, { values: [-1, 2] }], 100);
  expect([zero, length(3), length(-1)]).toEqual([25, 75, 25]);
  expect(barScale([{ values: [0] }], 100)).toMatchObject({ zero: 0 });
});

test("the other trace is chosen by checkpoint, model and text", () => {
  const own = { dir: "/m", text: "a" };
  const checkpoint = { step: 50, dir: "/m/checkpoints/step-50" } as CheckpointInfo;
  const other = (choice: Partial<Choice>) =>
    otherOf(own, { model: null, step: LATEST, text: "", ...choice }, [checkpoint]);
  expect(other({})).toEqual({ dir: "/m", text: "a", isOther: false });
  expect(other({ text: "b" })).toEqual({ dir: "/m", text: "b", isOther: true });
  expect(other({ model: "/n" })).toEqual({ dir: "/n", text: "a", isOther: true });
  expect(other({ step: "50" })).toEqual({ dir: checkpoint.dir, text: "a", isOther: true });
  expect(stepChoices([checkpoint]).map(({ label }) => label)).toEqual(["latest", "step 50"]);
});
