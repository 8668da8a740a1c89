import { expect, test } from "vitest";
import { promptScoreOf } from "../../../src/engine/inspect/promptScore";

const token = (start: number, special = false) => ({
  id: 0,
  token: "",
  bytes: new Uint8Array(),
  start,
  end: start,
  special,
});
const nextToken = Float32Array.of(0.125, 0.5, 0.25, 0.125);
const vocabulary = ["a", "b", "c", "d"];

test("a prompt's score has the likeliest next token, requested probabilities, and the mean loss after the first token", () => {
  const inspection = { tokens: [token(0, true), token(0), token(1)], nextToken };
  expect(promptScoreOf(inspection, { surprisal: Float32Array.of(Number.NaN, 1, 3) }, [3, 2], vocabulary)).toEqual({
    tokens: 3,
    isTruncated: false,
    next: { id: 1, token: "b", probability: 0.5 },
    loss: 2 * Math.LN2,
    probabilities: Float32Array.of(0.125, 0.25),
  });
});

test("a prompt of one token has no loss, and one whose beginning was not read is truncated", () => {
  const one = promptScoreOf(
    { tokens: [token(4)], nextToken },
    { surprisal: Float32Array.of(Number.NaN) },
    [],
    vocabulary,
  );
  expect([one.loss, one.isTruncated]).toEqual([null, true]);
});

test("a token outside the vocabulary is rejected", () => {
  const inspection = { tokens: [token(0)], nextToken };
  expect(() => promptScoreOf(inspection, { surprisal: Float32Array.of(0) }, [4], vocabulary)).toThrow(
    "There is no token #4. The vocabulary ends at #3.",
  );
});
