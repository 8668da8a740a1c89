import { expect, test } from "vitest";
import type { SamplerView } from "../../../src/protocol/traceApi";
import {
  distribution,
  distributionTable,
  sampled,
  searched,
  shownToken,
  typedSetting,
} from "../../../webview/trace/nextToken/layout";
import { factsText } from "../../../webview/trace/nextToken/texts";

const token = (id: number, probability: number, rank: number) => ({
  id,
  token: `t${id}`,
  bytes: new TextEncoder().encode(`t${id}`),
  probability,
  rank,
});
const view: SamplerView = {
  model: { top: [token(2, 0.5, 1), token(0, 0.25, 2), token(1, 0.125, 3)], entropyBits: 1.75 },
  drawn: Float32Array.of(1, 0, 0),
  drawnEntropyBits: 0,
  cuts: [],
  kept: { tokens: 2, mass: 0.75 },
};

test("a token that was cut differs from a kept one whose probability rounds to 0", () => {
  expect(sampled(view, 5, 3).top.map(({ drawn, isCut }) => [drawn, isCut])).toEqual([
    [1, false],
    [0, false],
    [0, true],
  ]);
});

test("the table covers the whole vocabulary in both distributions, however many tokens are listed", () => {
  for (const count of [1, 3]) {
    const { rows, row } = distributionTable(sampled(view, 5, count), "", "others");
    const cells = Array.from({ length: rows }, (_, i) => row(i));
    expect(rows).toBe(count + 1);
    const sum = (column: number) => cells.reduce((total, each) => total + Number(each[column]), 0);
    expect([sum(3), sum(4)]).toEqual([1, 1]);
  }
});

test.each([
  ["temperature", "0", 0],
  ["temperature", "2.5", null],
  ["topK", "512", 512],
  ["topK", "513", null],
  ["topK", "1.5", null],
  ["topP", " ", null],
  ["minP", "-0.1", null],
] as const)("%s reads %j as %j", (kind, typed, value) => expect(typedSetting(kind, typed, 512)).toBe(value));

const ranked = (id: number, token: string, probability: number, rank: number) => ({
  id,
  token,
  bytes: new TextEncoder().encode(token),
  probability,
  rank,
});
const known = {
  top: [ranked(0, "a", 0.5, 1), ranked(2, " b", 0.25, 2), ranked(1, "\n", 0.125, 3)],
  entropyBits: 1.75,
};

test("the top tokens and the rest are the whole vocabulary", () => {
  const { top, rest, entropyBits, maxEntropyBits } = distribution(known, 4, 2);
  expect(top.map(({ id, label, rank }) => [id, label, rank])).toEqual([
    [0, "a", 1],
    [2, "·b", 2],
  ]);
  expect(rest).toEqual({ count: 2, probability: 0.25 });
  expect([entropyBits, maxEntropyBits]).toEqual([1.75, 2]);
});

test("a part of a character reads as bytes, and a special token as its name", () => {
  const part = { ...ranked(3, "x", 0.1, 4), bytes: Uint8Array.of(0xe2, 0x82) };
  expect(shownToken(part).label).toBe("E2 82");
  expect(shownToken({ ...ranked(4, "<eos>", 0.1, 5), bytes: new Uint8Array() }).label).toBe("<eos>");
});

test.each([
  [" b", " b"],
  ["·b⏎", " b\n"],
  ["#3", "#3"],
  ["#x·", "#x "],
])("typed %j searches for %j", (typed, query) => expect(searched(typed)).toBe(query));

test("facts name the sampler's distribution only when it is known", () => {
  const shown = sampled(view, 5, 3);
  expect(factsText(shown, null)).toMatch(/^Entropy: 1.750 of at most 2.322 bits. The top 3 tokens have 87.5 % /);
  expect(factsText(shown, view)).toContain("The sampler draws from 2 tokens with 75.0 % of the probability.");
});
