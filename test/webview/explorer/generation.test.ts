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
import {
  GenerationSession,
  type Prompt,
  placementOf,
  savedSession,
} from "../../../webview/explorer/generation/session";
import type { Inspection } from "../../../webview/trace/inspection";

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

/** A step that chose among `a`, `b` and `c` with probabilities 1/2, 1/4 and 1/8. */
const step = (id: number, sampling = settings): Step => {
  const reported: GenerationStep = {
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
  return drawnStep(reported, sampling);
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

/** Branch 1 is a b a b; 2 leaves it at its second token, 3 at its last; 4 leaves 2. */
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

test("a branch consists of the steps it shares with its parent and its own", () => {
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

test("a new branch starts from the one whose step it changes, and exists only once", () => {
  expect(parentAt(branches, 4, 3)).toBe(4);
  expect(parentAt(branches, 4, 2)).toBe(2);
  expect(parentAt(branches, 4, 1)).toBe(1);
  expect(parentAt(branches, 4, 0)).toBe(1);
  expect(branchWith(branches, 4, 2, 0)).toBe(2);
  expect(branchWith(branches, 2, 1, 1)).toBe(1);
  expect(branchWith(branches, 2, 1, 0)).toBeNull();
  expect(pickedStep(step(0), 2)).toMatchObject({ id: 2, token: "c", probability: 1 / 8, drawnWith: null });
});

test("ranks say what the sampler kept, unless a repetition penalty changed the order", () => {
  expect(choicesOf(step(0), 3).map(({ isKept }) => isKept)).toEqual([true, true, false]);
  expect(choicesOf(step(0, { ...settings, repetitionPenalty: 1.2 }), 3).map(({ isKept }) => isKept)).toEqual([
    null,
    null,
    null,
  ]);
});

test("the chosen token is listed even if it is not among the most likely", () => {
  expect(choicesOf(step(2), 2).map(({ label, rank, isWritten }) => [label, rank, isWritten])).toEqual([
    ["a", 1, false],
    ["b", 2, false],
    ["c", 3, true],
  ]);
  expect(choicesOf(step(7), 1).at(-1)).toMatchObject({ id: 7, rank: null, isWritten: true });
});

test("generated tokens are found at the end of a text, unless it is tokenized differently", () => {
  const tokens = (...ids: number[]) => ids.map((id) => ({ id }));
  expect(writtenAt(tokens(9, 8, 0, 1), tokens(0, 1))).toBe(2);
  expect(writtenAt(tokens(9, 8, 7), tokens(0, 1))).toBeNull();
  expect(writtenAt(tokens(1), tokens(0, 1))).toBeNull();
  const [first, rest] = [utf8.encode("é").subarray(0, 1), utf8.encode("é").subarray(1)];
  expect(textOf([{ bytes: utf8.encode("caf") }, { bytes: first }, { bytes: rest }])).toBe("café");
});

test("the table has a row for each step with its alternatives", () => {
  const table = generationTable([step(1)], "Generation");
  expect(table.row(0).slice(0, 14)).toEqual([1, "b", 1, 0.25, 1.5, 2, 0.75, 2 / 3, 0, "a", 0.5, 1, "b", 0.25]);
  expect(table.row(0)).toHaveLength(table.columns.length);
});

/** A session whose engine chooses `a` at each step and ends after three tokens. */
const sessionOn = (text: string) => {
  const saved: string[] = [];
  const span = (id: number) => ({ id, bytes: utf8.encode(letter(id)) });
  const inspection = {
    trace: { model: { dir: "/m", step: 1 }, tokens: [{ id: 9 }] },
    source: { text },
    generationTrace: async (
      { prompt, maxNewTokens }: { prompt: readonly number[]; maxNewTokens: number },
      report?: (step: GenerationStep) => void,
    ) => {
      for (let i = 0; i < Math.min(3, maxNewTokens); i++) report?.({ ...step(0), drawnWith: 1 });
      return { prompt: prompt.map(span), reason: "length" };
    },
    // Only these members are used.
  } as unknown as Inspection;
  const session = new GenerationSession({
    changed: () => undefined,
    failed: (error) => {
      if (error) throw error;
    },
    save: (json) => void saved.push(json),
  });
  const prompt: Prompt = { inspection, ids: [9], text, completion: null };
  session.begin(prompt, null);
  return { session, saved, prompt, inspection };
};

test("a session branches at a picked token and shows an existing branch instead of a second one", async () => {
  const { session } = sessionOn("x");
  await session.restart(settings);
  session.look(session.shown, 1);
  await session.pick(2, settings);
  expect(session.steps.map(({ id }) => id)).toEqual([0, 2, 0, 0, 0]);
  expect([session.branches.length, session.step, session.branch?.reason]).toEqual([2, 1, "length"]);
  await session.pick(0, settings);
  expect([session.branches.length, session.shown]).toEqual([2, 1]);
  session.look(1, 99);
  expect(session.step).toBe(2);
});

test("a saved session is generated again with its branches and its step, but only for its own model and text", async () => {
  const { session, saved, inspection } = sessionOn("x");
  await session.restart(settings);
  await session.pick(1, settings);
  session.look(session.shown, 2);
  const known = savedSession(saved.at(-1) ?? "", inspection);
  const again = sessionOn("x");
  again.session.begin(again.prompt, known);
  if (known) await again.session.replay(known);
  expect(again.session.branches.map(({ steps }) => steps.map(({ id }) => id))).toEqual(
    session.branches.map(({ steps }) => steps.map(({ id }) => id)),
  );
  expect([again.session.shown, again.session.step]).toEqual([2, 2]);
  expect(savedSession(saved.at(-1) ?? "", sessionOn("y").inspection)).toBeNull();
});

test("a branch is located in the trace of its text", async () => {
  const { session, prompt, inspection } = sessionOn("x");
  await session.restart(settings);
  expect(placementOf(inspection, prompt, session.branch)).toEqual({ isPrompt: true, isWhole: false, at: null });
  const tokens = [9, 0, 0, 0].map((id) => ({ id }));
  const whole = { trace: { tokens }, source: { text: "xaaa" } } as unknown as Inspection;
  expect(placementOf(whole, prompt, session.branch)).toEqual({ isPrompt: false, isWhole: true, at: 1 });
});
