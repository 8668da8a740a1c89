import { expect, test } from "vitest";
import type { SamplerView } from "../../../src/protocol/traceApi";
import { distributionTable, sampled, typedSetting } from "../../../webview/trace/nextToken/layout";

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

test("a token that was cut is told from one that is left and too unlikely for a number", () => {
  expect(sampled(view, 5, 3).top.map(({ drawn, isCut }) => [drawn, isCut])).toEqual([
    [1, false],
    [0, false],
    [0, true],
  ]);
});

test("the table is the whole vocabulary in both distributions, whatever is listed", () => {
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
] as const)("%s takes %j as %j", (kind, typed, value) => expect(typedSetting(kind, typed, 512)).toBe(value));
