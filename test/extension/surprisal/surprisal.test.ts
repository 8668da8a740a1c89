/** Tests the surprisal lens without an editor, with the real engine. */

import { resolve } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type Edit, type ScoredToken, Scores } from "../../../src/extension/surprisal/scores";
import { costOf, peaksOf, shadedOf, stepOf, unknownOf } from "../../../src/extension/surprisal/shading";
import {
  convertLineBreaks,
  nextSlice,
  type RequestScores,
  type Source,
  score,
} from "../../../src/extension/surprisal/slices";
import { scoredTokenText, statusText, statusTooltip } from "../../../src/extension/surprisal/surprisalText";
import type { EngineApi } from "../../../src/protocol/engineApi";
import { type Client, connect, serve } from "../../../src/protocol/rpc";
import { engineService } from "../../../src/worker/service";
import { portPair } from "../../helpers/portPair";

const dir = resolve(import.meta.dirname, "../../golden/characters");
let engine: Client<EngineApi, Record<never, never>>;
let reach: number;
beforeAll(async () => {
  const [ours, theirs] = portPair();
  serve<EngineApi>(theirs, engineService("cpu"));
  engine = connect<EngineApi>(ours);
  reach = (await engine.call("model", { dir })).config.nCtx;
});

const sourceOf = (text: string): Source => ({
  length: text.length,
  read: (start, end) => ({ offset: start, text: text.slice(start, end) }),
});

/** Scores the rest of a text, and returns the number of tokens that were requested. */
async function complete(scores: Scores, text: string, wanted: readonly [number, number] = [0, text.length]) {
  let requested = 0;
  const request: RequestScores = async (slice) => {
    const reading = await engine.call("surprisal", { dir, alternatives: 3, ...slice });
    requested += reading.tokens.length;
    return reading;
  };
  for (let slice = nextSlice(scores, [wanted]); slice; slice = nextSlice(scores, [wanted])) {
    await score(scores, sourceOf(text), slice, reach, request);
  }
  return requested;
}

const summary = (tokens: Iterable<ScoredToken>) =>
  Array.from(tokens, ({ span, start, end, surprisal, rank }) => ({ id: span.id, start, end, surprisal, rank }));

const changed = (text: string, { offset, removed }: Edit, inserted: string) =>
  text.slice(0, offset) + inserted + text.slice(offset + removed);

const story = "Tom was a clever frog. One cold day, Tom walked home with Sam the goat.\r\n\r\nThe end.";
const long = Array.from({ length: 40 }, (_, i) => `Story ${i}. ${story}`).join("\r\n");

test("the scores of a text are those of the engine, with offsets among Windows line breaks", async () => {
  const scores = new Scores();
  await complete(scores, story);
  const whole = await engine.call("surprisal", { dir, text: story.replaceAll("\r\n", "\n"), alternatives: 3 });
  const tokens = [...scores.tokens()];
  expect(tokens.map(({ surprisal }) => surprisal)).toEqual([...whole.surprisal]);
  expect(tokens.map(({ start, end }) => story.slice(start, end)).join("")).toBe(story);
  for (const { span, start, end } of tokens) {
    expect(story.slice(start, end).replace("\r\n", "\n")).toBe(new TextDecoder().decode(span.bytes));
  }
});

test("after an edit, a text within the context has the same scores as if scored from scratch", async () => {
  const scores = new Scores();
  await complete(scores, story);
  const edit = { offset: story.indexOf("frog"), removed: 4, inserted: 5 };
  const edited = changed(story, edit, "goats");
  scores.edit(edit, reach);
  expect([...scores.tokens()].every(({ end }) => end <= edit.offset)).toBe(true);
  await complete(scores, edited);
  const fresh = new Scores();
  await complete(fresh, edited);
  expect(summary(scores.tokens())).toEqual(summary(fresh.tokens()));
});

test("an edit in a long text rescores only the tokens that had it as context, and shifts the rest", async () => {
  const scores = new Scores();
  await complete(scores, long);
  const before = summary(scores.tokens());
  const edit = { offset: 500, removed: 0, inserted: 3 };
  scores.edit(edit, reach);
  const edited = changed(long, edit, "a b");
  const requested = await complete(scores, edited);
  expect(requested).toBeLessThan(reach + 300);
  const after = summary(scores.tokens());
  expect(after.map(({ start, end }) => edited.slice(start, end)).join("")).toBe(edited);
  // Tokens before the edit are the same, and those far after it are shifted.
  expect(after.filter(({ end }) => end < 460)).toEqual(before.filter(({ end }) => end < 460));
  const later = 500 + 2 * reach;
  expect(after.filter(({ start }) => start > later + 3)).toEqual(
    before.flatMap((token) => (token.start > later ? [{ ...token, start: token.start + 3, end: token.end + 3 }] : [])),
  );
});

test("only the requested range of a long text is scored, and deleting it removes the scores", async () => {
  const scores = new Scores();
  await complete(scores, long, [2000, 2100]);
  const tokens = [...scores.tokens()];
  expect([tokens[0]?.start, tokens.at(-1)?.end]).toEqual([2000, 2100]);
  expect(scores.missing(1990, 2050)).toEqual([1990, 2000]);
  expect(scores.missing(2010, 2090)).toBeNull();
  scores.edit({ offset: 1900, removed: 400, inserted: 0 }, reach);
  expect(scores.count).toBe(0);
});

test("keepNear keeps the nearest scores", async () => {
  const scores = new Scores();
  await complete(scores, long, [0, 100]);
  await complete(scores, long, [2000, 2100]);
  scores.keepNear(2050, 150);
  expect(scores.missing(2000, 2100)).toBeNull();
  expect(scores.missing(0, 100)).toEqual([0, 100]);
});

test("a token outside the vocabulary has no surprisal and does not count", async () => {
  const scores = new Scores();
  await complete(scores, "Tom 漢 was");
  const tokens = [...scores.tokens()];
  const unknown = tokens.find(({ start }) => start === 4) as ScoredToken;
  expect(unknown.surprisal).toBeNaN();
  expect(scoredTokenText(unknown)).toBe("`漢` is not in the model's vocabulary and has no surprisal.");
  const scored = tokens.filter(({ surprisal }) => !Number.isNaN(surprisal));
  expect(costOf(tokens)).toEqual({
    bits: scored.reduce((sum, { surprisal }) => sum + surprisal, 0),
    bytes: scored.length,
    unscored: tokens.length - scored.length,
    unknown: 1,
  });
});

describe("the lens", () => {
  const token = (start: number, end: number, surprisal: number): ScoredToken => ({
    span: { id: 7, token: "a|b", start, end, special: false, bytes: new Uint8Array(end - start) },
    start,
    end,
    surprisal,
    entropy: 1.23456789,
    rank: 2,
    alternatives: [{ id: 8, text: "`|", probability: 0.5 }],
  });

  test("has a hover with six digits, in which no token is Markdown", () => {
    expect(scoredTokenText(token(0, 3, 2)).split(/\s*\n+/)).toEqual([
      "`a|b`, id 7",
      "surprisal **2** bits, probability 0.25",
      "rank 2; entropy 1.23457 bits",
      "| most likely here | id | probability |",
      "|---|--:|--:|",
      "| `` `\u01c0 `` | 8 | 0.5 |",
    ]);
    // The token hover names the token.
    expect(scoredTokenText(token(0, 3, 2), false)).toMatch(/^surprisal/);
  });

  test("frames tokens that are not in the vocabulary, side by side as one", () => {
    const unknown = (start: number, end: number) => ({
      ...token(start, end, Number.NaN),
      span: { ...token(start, end, 0).span, id: -1 },
    });
    expect(unknownOf([token(0, 2, 4), unknown(2, 3), unknown(3, 5), token(5, 6, Number.NaN), unknown(7, 8)])).toEqual([
      { start: 2, end: 5 },
      { start: 7, end: 8 },
    ]);
  });

  test("shades tokens that share a character together, by their sum", () => {
    const shaded = shadedOf([token(0, 2, 4), token(0, 2, 5), token(2, 3, 13), token(3, 4, Number.NaN)]);
    expect(shaded).toEqual([
      { start: 0, end: 2, bits: 9 },
      { start: 2, end: 3, bits: 13 },
    ]);
    expect(shaded.map(({ bits }) => stepOf(bits))).toEqual([2, 3]);
    expect(stepOf(2.99)).toBe(-1);
    expect(peaksOf(shaded, 10)).toEqual([{ start: 2, end: 3, bits: 13 }]);
  });

  test("shows the bits per byte in the status bar, and of which text", () => {
    const state = {
      model: "m",
      cost: { bits: 10, bytes: 4, unscored: 0, unknown: 0 },
      selection: false,
      scored: 0.257,
      problem: null,
    };
    expect(statusText(state)).toBe("$(pulse) 2.500 bits/byte (25 % of file scored)");
    expect(statusText({ ...state, scored: 1 })).toBe("$(pulse) 2.500 bits/byte");
    expect(statusText({ ...state, selection: true })).toBe("$(pulse) 2.500 bits/byte (selection)");
    const left = { ...state, scored: 1, cost: { ...state.cost, unscored: 172, unknown: 171 } };
    expect(statusText(left)).toBe("$(pulse) 2.500 bits/byte (171 unknown)");
    expect(statusTooltip(left)).toContain("without surprisal: 172.");
    expect(statusTooltip({ ...state, problem: "It broke." })).toBe("It broke.");
    expect(statusTooltip(state)).toContain("3 to 6 bits, dotted line");
  });
});

test("offsets of a text with Windows line breaks refer to the original text", () => {
  const { text, toSource } = convertLineBreaks("a\r\nb\r\n\r\nc");
  expect(text).toBe("a\nb\n\nc");
  const span = { id: 0, token: "", special: false, bytes: new Uint8Array() };
  const spans = [
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 5],
    [5, 6],
  ].map(([start, end]) => ({ ...span, start: start as number, end: end as number }));
  expect(toSource(spans).map(({ start, end }) => [start, end])).toEqual([
    [0, 1],
    [1, 3],
    [3, 4],
    [4, 8],
    [8, 9],
  ]);
});
