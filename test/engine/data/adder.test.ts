import { describe, expect, test } from "vitest";
import {
  type Arithmetic,
  adderBatch,
  adderBatchesPerEpoch,
  adderData,
  adderEvaluationBatches,
  type Batch,
  carriesOf,
  type Equations,
  equationShape,
  IGNORE,
} from "../../../src/engine/data";
import { adderTokenizer } from "../../../src/engine/tokenizers";

const data = adderData(1);
const tokenizer = adderTokenizer();

const written = ({ ids, count, length }: Equations) =>
  Array.from({ length: count }, (_, i) => tokenizer.decode(ids.subarray(i * length, (i + 1) * length)));

/** The sequences of a batch with labels. */
const learned = ({ ids, labels }: Batch) =>
  Array.from({ length: ids.length / 10 }, (_, b) => ({
    ids: [...ids.subarray(b * 10, b * 10 + 10)],
    labels: [...labels.subarray(b * 10, b * 10 + 10)],
  })).filter(({ labels }) => labels.some((label) => label !== IGNORE));

test("every sum of two numbers below 100 occurs in exactly one part and is correct", () => {
  const all = [data.train, data.validation, data.test].flatMap(written);
  expect(new Set(all).size).toBe(10_000);
  for (const equation of all) {
    const [, a, b, sum] = equation.match(/^(\d\d)\+(\d\d)=(\d\d\d)$/) ?? [];
    expect(Number(a) + Number(b)).toBe(Number(sum));
  }
  expect([data.train.count, data.validation.count, data.test.count]).toEqual([7000, 2000, 1000]);
});

test("an equation starts with <BOS> and ends with <EOS>", () => {
  for (const { ids, count } of Object.values(data) as Equations[]) {
    for (let i = 0; i < count; i++) expect([ids[i * 11], ids[i * 11 + 10]]).toEqual([15, 14]);
  }
});

test("the parts depend on the seed", () => {
  expect(adderData(1)).toEqual(data);
  expect(written(adderData(2).test)).not.toEqual(written(data.test));
});

describe("batches", () => {
  const options = { batchSize: 256, seed: 3 };

  test("have labels only for the answer and <EOS>", () => {
    const [{ ids, labels } = { ids: [], labels: [] }] = learned(adderBatch(data.train, { ...options, step: 0 }));
    expect(ids).toHaveLength(10);
    expect(labels.slice(0, 6)).toEqual(new Array(6).fill(IGNORE));
    expect(labels.slice(6)).toEqual([...ids.slice(7), 14]);
  });

  test("contain every equation once in an epoch of 28 batches of 256", () => {
    expect(adderBatchesPerEpoch(data.train, 256)).toBe(28);
    const rows = Array.from({ length: 28 }, (_, step) => adderBatch(data.train, { ...options, step }));
    for (const { ids, labels } of rows) expect([ids.length, labels.length]).toEqual([2560, 2560]);
    const seen = rows.flatMap(learned).map(({ ids }) => tokenizer.decode(ids));
    expect(seen.sort()).toEqual(written(data.train).sort());
  });

  test("have a reproducible order that differs between epochs", () => {
    const at = (step: number) => adderBatch(data.train, { ...options, step });
    expect(at(28)).not.toEqual(at(0));
    expect(at(29)).toEqual(at(29));
  });

  test("contain every equation once in an evaluation", () => {
    const seen = [...adderEvaluationBatches(data.test, 256)].flatMap(learned).map(({ ids }) => tokenizer.decode(ids));
    expect(seen).toEqual(written(data.test));
  });
});

describe("other tasks", () => {
  const calculate = { "+": (a: number, b: number) => a + b, "-": (a: number, b: number) => a - b, "*": Math.imul };

  test.each<Arithmetic>([
    { digits: 1, operator: "+", reversed: false },
    { digits: 2, operator: "-", reversed: false },
    { digits: 2, operator: "*", reversed: true },
    { digits: 3, operator: "-", reversed: true },
  ])("$digits digits, $operator, reversed: $reversed: equations are correct, distinct and of one length", (task) => {
    const { train, validation, test: held } = adderData(1, task);
    const parts = [train, validation, held];
    expect(parts.reduce((sum, { count }) => sum + count, 0)).toBe(Math.min(100_000, 100 ** task.digits));
    // Only the held-out equations: decoding all hundred thousand takes seconds.
    const all = (task.digits > 2 ? [held] : parts).flatMap(written);
    expect(new Set(all).size).toBe(all.length);
    for (const text of all) {
      const [a = "", , b = "", answer = ""] = text.split(/([+*-](?=\d+=)|=)/).filter((part) => part !== "=");
      const value = Number(task.reversed ? [...answer].reverse().join("") : answer);
      if (value !== calculate[task.operator](Number(a), Number(b)) || text.length !== equationShape(task).length - 2) {
        expect(text).toBe("right");
      }
    }
  });

  test("carries and borrows are counted", () => {
    expect([carriesOf(55, 44, "+"), carriesOf(99, 1, "+"), carriesOf(5, 5, "+")]).toEqual([0, 2, 1]);
    expect([carriesOf(57, 15, "-"), carriesOf(15, 57, "-"), carriesOf(100, 1, "-")]).toEqual([0, 0, 2]);
    expect(carriesOf(99, 99, "*")).toBeNull();
  });
});
