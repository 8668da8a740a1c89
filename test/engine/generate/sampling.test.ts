import { describe, expect, test } from "vitest";
import { choose, softmax } from "../../../src/engine/generate/sampling";
import { random } from "../../../src/engine/random";

const logits = Float32Array.of(2, -1, 0.5, 2, 1);

/** How often each token is chosen. */
function frequencies(sampling: { temperature: number; topK?: number; topP?: number }, n = 20_000): number[] {
  const draws = random(1, "test");
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < n; i++) (counts[choose(logits, { topK: 0, topP: 1, ...sampling }, draws).id] as number) += 1;
  return counts.map((count) => count / n);
}

test("temperature 0 takes the first of the most likely tokens", () => {
  expect(frequencies({ temperature: 0 }, 10)).toEqual([1, 0, 0, 0, 0]);
});

describe("tokens are drawn as often as their probability says", () => {
  for (const temperature of [0.5, 1, 3]) {
    test(`temperature ${temperature}`, () => {
      const expected = softmax(logits, temperature);
      frequencies({ temperature }).forEach((share, i) => {
        expect(Math.abs(share - (expected[i] as number))).toBeLessThan(0.012);
      });
    });
  }
});

test("top-k leaves the k most likely, in their proportions", () => {
  const shares = frequencies({ temperature: 1, topK: 3 });
  expect(shares[1]).toBe(0);
  expect(shares[2]).toBe(0);
  expect((shares[4] as number) / (shares[0] as number)).toBeCloseTo(Math.exp(-1), 1);
});

test("top-p keeps the token that crosses the threshold and nothing after it", () => {
  const p = softmax(logits);
  const twoLargest = (p[0] as number) + (p[3] as number);
  expect(frequencies({ temperature: 1, topP: twoLargest - 0.01 }).map((share) => share > 0)).toEqual([
    true,
    false,
    false,
    true,
    false,
  ]);
  expect(frequencies({ temperature: 1, topP: twoLargest + 0.01 }).map((share) => share > 0)).toEqual([
    true,
    false,
    false,
    true,
    true,
  ]);
  expect(frequencies({ temperature: 1, topP: 0 }, 100)[0]).toBe(1);
});

test("the probability told is the model's own, before temperature and cuts", () => {
  const draws = random(1, "test");
  const { id, probability } = choose(logits, { temperature: 5, topK: 1, topP: 1 }, draws);
  expect(probability).toBeCloseTo(softmax(logits)[id] as number, 6);
});

test("huge logits do not overflow", () => {
  expect([...softmax(Float32Array.of(1e30, 0, -1e30))]).toEqual([1, 0, 0]);
});
