import { expect, test } from "vitest";
import type { GenerationStep } from "../../../src/protocol/traceApi";
import {
  type Branch,
  bitsOf,
  branchWith,
  choicesOf,
  drawnStep,
  generationTable,
  parentAt,
  pickedStep,
  recipesOf,
  type Settings,
  type Step,
  stepsOf,
  textOf,
  treeRows,
  writtenAt,
} from "../../../webview/explorer/generation/layout";

const settings: Settings = {
  temperature: 1,
  topK: 2,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  seed: 0,
  maxNewTokens: 8,
};
const utf8 = new TextEncoder();
const letter = (id: number) => String.fromCharCode(97 + id);

/** A choice among `a`, `b` and `c` with 1/2, 1/4 and 1/8. */
const step = (id: number, sampling = settings): Step => {
  const told: GenerationStep = {
    id,
    token: letter(id),
    probability: 2 ** -(id + 1),
    entropyBits: 1.5,
    top: Array.from({ length: 3 }, (_, i) => ({
      id: i,
      token: letter(i),
      bytes: utf8.encode(letter(i)),
      probability: 2 ** -(i + 1),
      rank: i + 1,
    })),
    kept: { tokens: 2, mass: 0.75 },
    drawnWith: 2 / 3,
  };
  return drawnStep(told, sampling);
};
const branch = (id: number, parent: number | null, from: number, ids: readonly number[]): Branch => ({
  id,
  parent,
  from,
  steps: ids.map((token) => step(token)),
  reason: "length",
  settings,
  spans: null,
});

/** 1 writes a b a b; 2 parts from it at its second token, 3 at its last; 4 parts from 2. */
const branches = [
  branch(1, null, 0, [0, 1, 0, 1]),
  branch(2, 1, 1, [2, 0, 0]),
  branch(3, 1, 3, [2]),
  branch(4, 2, 2, [1, 1]),
];
const written = (id: number) =>
  stepsOf(branches, id)
    .map(({ token }) => token)
    .join("");

test("a branch is what it shares with the one that it parts from, and its own", () => {
  expect([1, 2, 3, 4].map(written)).toEqual(["abab", "acaa", "abac", "acbb"]);
  expect(treeRows(branches).map((row) => [row.branch.id, row.level])).toEqual([
    [1, 1],
    [2, 2],
    [4, 3],
    [3, 2],
  ]);
  expect(recipesOf(branches).map(({ parent, from, token }) => [parent, from, token])).toEqual([
    [-1, 0, 0],
    [0, 1, 2],
    [0, 3, 2],
    [1, 2, 1],
  ]);
  expect(bitsOf(stepsOf(branches, 3))).toBe(1 + 2 + 1 + 3);
});

test("a new branch parts from the one whose step it changes, and is not made twice", () => {
  expect(parentAt(branches, 4, 3)).toBe(4);
  expect(parentAt(branches, 4, 2)).toBe(2);
  expect(parentAt(branches, 4, 1)).toBe(1);
  expect(parentAt(branches, 4, 0)).toBe(1);
  expect(branchWith(branches, 4, 2, 0)).toBe(2);
  expect(branchWith(branches, 2, 1, 1)).toBe(1);
  expect(branchWith(branches, 2, 1, 0)).toBeNull();
  expect(pickedStep(step(0), 2)).toMatchObject({ id: 2, token: "c", probability: 1 / 8, drawnWith: null });
});

test("what the sampler cut is told by rank, but not where repetition changed the ranks", () => {
  expect(choicesOf(step(0), 3).map(({ isKept }) => isKept)).toEqual([true, true, false]);
  expect(choicesOf(step(0, { ...settings, repetitionPenalty: 1.2 }), 3).map(({ isKept }) => isKept)).toEqual([
    null,
    null,
    null,
  ]);
});

test("a token that was written is listed also where it is not among the first", () => {
  expect(choicesOf(step(2), 2).map(({ label, rank, isWritten }) => [label, rank, isWritten])).toEqual([
    ["a", 1, false],
    ["b", 2, false],
    ["c", 3, true],
  ]);
  expect(choicesOf(step(7), 1).at(-1)).toMatchObject({ id: 7, rank: null, isWritten: true });
});

test("written tokens are found at the end of a run, or not at all where it is split otherwise", () => {
  const tokens = (...ids: number[]) => ids.map((id) => ({ id }));
  expect(writtenAt(tokens(9, 8, 0, 1), tokens(0, 1))).toBe(2);
  expect(writtenAt(tokens(9, 8, 7), tokens(0, 1))).toBeNull();
  expect(writtenAt(tokens(1), tokens(0, 1))).toBeNull();
  const [first, rest] = [utf8.encode("é").subarray(0, 1), utf8.encode("é").subarray(1)];
  expect(textOf([{ bytes: utf8.encode("caf") }, { bytes: first }, { bytes: rest }])).toBe("café");
});

test("the table has a row for each step, with its alternatives", () => {
  const table = generationTable([step(1)], "Generation");
  expect(table.row(0).slice(0, 14)).toEqual([1, "b", 1, 0.25, 1.5, 2, 0.75, 2 / 3, 0, "a", 0.5, 1, "b", 0.25]);
  expect(table.row(0)).toHaveLength(table.columns.length);
});
