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
  alignTokens,
  matrixDifference,
  pairedTokens,
  positionBeside,
  wantedTokens,
} from "../../../webview/explorer/tracePair/layout";

/** Text such as `0-0 1-1 2-· 3-2`. */
const aligned = (a: string, b: string) => {
  const ids = (text: string) => [...text].map((char) => char.charCodeAt(0));
  return alignTokens(ids(a), ids(b))
    .map((row) => `${row.a ?? "·"}-${row.b ?? "·"}`)
    .join(" ");
};

test("tokens are aligned by the longest common subsequence, and replaced tokens are paired", () => {
  expect(aligned("abc", "abc")).toBe("0-0 1-1 2-2");
  expect(aligned("a fox ran", "a dog ran")).toBe("0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7 8-8");
  expect(aligned("xaby", "xy")).toBe("0-0 1-· 2-· 3-1");
  expect(aligned("ac", "abbc")).toBe("0-0 ·-1 ·-2 1-3");
  expect(aligned("", "ab")).toBe("·-0 ·-1");
  // Each text has tokens of its own before the common ones.
  expect(aligned("paq1", "zzaz2")).toBe("0-0 ·-1 1-2 2-3 3-4");
});

test("texts too long for a full comparison are aligned by their beginnings and ends", () => {
  const long = (first: string) => first + "ab".repeat(2000);
  const rows = alignTokens(
    [...long("x")].map((c) => c.charCodeAt(0)),
    [...`${"ba".repeat(2100)}b`].map((c) => c.charCodeAt(0)),
  );
  expect(rows.filter(({ a }) => a !== null)).toHaveLength(4001);
  expect(rows.filter(({ b }) => b !== null)).toHaveLength(4201);
});

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

test("the last positions of two texts are compared with each other, others by index", () => {
  expect([0, 3, 4].map((position) => positionBeside(position, 5, 9))).toEqual([0, 3, 8]);
  expect([0, 3, 4].map((position) => positionBeside(position, 5, 2))).toEqual([0, 1, 1]);
});

test("the difference of two matrices covers the cells that both have", () => {
  const a = { rows: 2, cols: 2, values: Float32Array.of(1, 2, 3, 4) };
  const b = { rows: 3, cols: 3, values: Float32Array.of(5, 5, 5, 6, 6, 6, 7, 7, 7) };
  expect(matrixDifference(a, b)).toEqual({ rows: 2, cols: 2, values: Float32Array.of(4, 3, 3, 2) });
});

const difference: TraceDifference = {
  positions: 2,
  tokensDifferAt: null,
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
  expect(relativeRows(difference, "enc.residPost")).toMatchObject({ names: ["enc.blocks.0.residPost"], positions: 3 });
  const rows = relativeRows(difference, "residPost");
  expect(rows.names).toEqual(["blocks.1.residPost", "blocks.0.residPost"]);
  expect(relativeTable("Difference", rows, ["x", "y"]).row(2)).toEqual(["blocks.0.residPost", 0, "x", 0.25]);
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
