import { describe, expect, test } from "vitest";
import type { Sampling } from "../../../src/engine/api/generation";
import { choose, isGreedy, softmax } from "../../../src/engine/generate/sampling";
import { random } from "../../../src/engine/random";

type Filters = Pick<Sampling, "temperature" | "topK" | "topP"> & Partial<Pick<Sampling, "minP">>;

const logits = Float32Array.of(2, -1, 0.5, 2, 1);

/** Counts how often each token is chosen. */
function frequencies(sampling: Partial<Sampling> & { temperature: number }, n = 20_000): number[] {
  const draws = random(1, "test");
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < n; i++) (counts[choose(logits, { topK: 0, topP: 1, ...sampling }, draws).id] as number) += 1;
  return counts.map((count) => count / n);
}

test("temperature 0 picks the first of the most likely tokens", () => {
  expect(frequencies({ temperature: 0 }, 10)).toEqual([1, 0, 0, 0, 0]);
});

describe("tokens are sampled with their probability", () => {
  for (const temperature of [0.5, 1, 3]) {
    test(`temperature ${temperature}`, () => {
      const expected = softmax(logits, temperature);
      frequencies({ temperature }).forEach((share, i) => {
        expect(Math.abs(share - (expected[i] as number))).toBeLessThan(0.012);
      });
    });
  }
});

test("top-k keeps the k most likely tokens in proportion", () => {
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

test("the reported probability is the model's, before temperature and filters", () => {
  const draws = random(1, "test");
  const { id, probability } = choose(logits, { temperature: 5, topK: 1, topP: 1 }, draws);
  expect(probability).toBeCloseTo(softmax(logits)[id] as number, 6);
});

test("huge logits do not overflow", () => {
  expect([...softmax(Float32Array.of(1e30, 0, -1e30))]).toEqual([1, 0, 0]);
});

test("min-p keeps tokens with at least that fraction of the most likely token's probability", () => {
  const share = Math.exp(-1); // of the fifth token, whose logit is 1 less than the largest
  const kept = (minP: number) => frequencies({ temperature: 1, minP }, 2000).map((f) => f > 0);
  expect(kept(share * 0.99)).toEqual([true, false, false, true, true]);
  expect(kept(share * 1.01)).toEqual([true, false, false, true, false]);
  expect(kept(1)).toEqual([true, false, false, true, false]);
  expect(kept(0)).toEqual([true, true, true, true, true]);
  // A higher temperature brings probabilities closer together before the filter.
  expect(frequencies({ temperature: 10, minP: share }, 2000).every((f) => f > 0)).toBe(true);
});

describe("a repetition penalty", () => {
  const draws = random(1, "test");
  const greedy = (penalty: number, past: readonly number[]) =>
    choose(logits, { temperature: 0, topK: 0, topP: 1, repetitionPenalty: penalty }, draws, past).id;

  test("lowers each past token once, however often it occurs", () => {
    expect(greedy(1.5, [])).toBe(0);
    expect(greedy(1.5, [0])).toBe(3);
    expect(greedy(1.5, [0, 3])).toBe(0); // 2 / 1.5 is still above 1
    expect(greedy(3, [0, 3, 0, 3])).toBe(4);
    expect(greedy(1, [0, 3])).toBe(0);
  });

  test("makes negative logits smaller, not larger", () => {
    const negative = Float32Array.of(-1, -1.5);
    const sampling = { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 2 };
    expect(choose(negative, sampling, draws, [0]).id).toBe(1);
    expect([...negative]).toEqual([-1, -1.5]);
  });

  test("does not change the reported probability", () => {
    const { id, probability } = choose(
      logits,
      { temperature: 0, topK: 0, topP: 1, repetitionPenalty: 3 },
      draws,
      [0, 3],
    );
    expect(probability).toBeCloseTo(softmax(logits)[id] as number, 6);
  });

  test("can change a greedy choice", () => {
    expect(isGreedy({ temperature: 0, topK: 40, topP: 0.5 })).toBe(true);
    expect(isGreedy({ temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1.1 })).toBe(false);
    expect(isGreedy({ temperature: 0.1, topK: 0, topP: 1 })).toBe(false);
  });
});

describe("filters over a vocabulary of 50,257 tokens agree with a full sort", () => {
  const many = (() => {
    const numbers = random(2, "logits");
    // Like a model's: most are far below a few, and some are equal.
    return Float32Array.from(
      { length: 50_257 },
      (_, i) => Math.round(numbers.normal() * 300) / 100 + (i % 997 === 0 ? 6 : 0),
    );
  })();

  /** The choice from sorted candidates, by the definition of each filter. */
  function bySorting({ temperature, topK, topP, minP = 0 }: Filters, draw: number): number {
    const p = softmax(many, temperature);
    let kept = [...p.keys()].sort((a, b) => (p[b] as number) - (p[a] as number) || a - b);
    if (topK > 0) kept = kept.slice(0, topK);
    const mass = kept.reduce((sum, id) => sum + (p[id] as number), 0);
    let seen = 0;
    let end = kept.length;
    for (const [i, id] of kept.entries()) {
      seen += (p[id] as number) / mass;
      if (seen < topP) continue;
      end = i + 1;
      break;
    }
    kept = kept.slice(0, end).filter((id) => (p[id] as number) >= minP * (p[kept[0] as number] as number));
    let left = draw * kept.reduce((sum, id) => sum + (p[id] as number), 0);
    for (const id of kept) {
      left -= p[id] as number;
      if (left < 0) return id;
    }
    return kept.at(-1) as number;
  }

  const cuts: Readonly<Record<string, Filters>> = {
    "top-p 0.9": { temperature: 1, topK: 0, topP: 0.9 },
    "top-p 0.999": { temperature: 1, topK: 0, topP: 0.999 },
    "top-p 0.99, hot": { temperature: 3, topK: 0, topP: 0.99 },
    "top-k 40": { temperature: 1, topK: 40, topP: 1 },
    "top-k 50,000": { temperature: 1, topK: 50_000, topP: 1 },
    "top-k 1,000, top-p 0.5, min-p 0.01": { temperature: 0.8, topK: 1000, topP: 0.5, minP: 0.01 },
    "min-p 0.001": { temperature: 1, topK: 0, topP: 1, minP: 0.001 },
  };
  test.each(Object.entries(cuts))("%s", (_name, sampling) => {
    // The ends of the range show the first and the last kept token.
    for (const draw of [0, 0.2, 0.5, 0.9, 0.99, 1 - 1e-6]) {
      const draws = { uniform: () => draw } as ReturnType<typeof random>;
      expect(choose(many, sampling, draws).id, `at ${draw}`).toBe(bySorting(sampling, draw));
    }
  });
});
