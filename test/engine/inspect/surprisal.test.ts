import { expect, test } from "vitest";
import { Readout } from "../../../src/engine/inspect/readout";
import { type ScoredTokens, surprisalOf, WindowScorer, windowsOf } from "../../../src/engine/inspect/surprisal";
import type { TraceValue } from "../../../src/engine/inspect/trace";
import { Tracer } from "../../../src/engine/inspect/tracer";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { createTokenizer } from "../../../src/engine/tokenizers/tokenizer";
import { characterModel } from "../../../src/engine/tokenizers/vocabulary";
import { largestDifference, modernConfig, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const LETTERS = [..."abcdefghijklmnopqrstuv"];
const [BOS, V] = [22, 23];
const tokenizerWith = (addBos: boolean) =>
  createTokenizer(characterModel("characters", [...LETTERS, "<s>"], null), {
    added: [{ id: BOS, content: "<s>", special: true }],
    bosId: BOS,
    eosId: null,
    padId: null,
    unkId: null,
    addBos,
  });
/** A deterministic text without a simple pattern. */
const textOf = (length: number) => Array.from({ length }, (_, i) => LETTERS[(3 + i * i * 7 + i * 5) % 22]).join("");

async function scored(text: string, { cfg = tinyConfig, addBos = false, from = 0, alternatives = 3 } = {}) {
  const { weights } = await tinyModel(cfg);
  const model = new WindowScorer(cfg, weights, new Readout(cfg, weights));
  const pieces: ScoredTokens[] = [];
  const { signal } = new AbortController();
  const options = { from, alternatives, signal, report: (piece: ScoredTokens) => pieces.push(piece) };
  const result = await surprisalOf(text, tokenizerWith(addBos), model, options);
  await model.release();
  await model.readout.release();
  return { ...result, pieces };
}

/** Log-probabilities of every token after each position, by the trace of ids. */
async function expected(ids: readonly number[], cfg: DecoderConfig): Promise<number[][]> {
  const { weights } = await tinyModel(cfg);
  const tracer = new Tracer(cfg, weights);
  const { data } = (await tracer.trace([ids])).get("logits") as TraceValue; // [1, T, V]
  await tracer.release();
  return ids.map((_, t) => {
    const row = [...data.subarray(t * V, (t + 1) * V)];
    const logSum = Math.log(row.reduce((sum, x) => sum + Math.exp(x), 0));
    return row.map((x) => x - logSum);
  });
}

for (const [name, cfg] of [
  ["GPT-2's way", tinyConfig],
  ["today's", modernConfig],
] as const) {
  test(`surprisal, entropy, rank and alternatives follow from the trace's logits: ${name}`, async () => {
    const { tokens, surprisal, entropy, rank, ids, probabilities } = await scored(textOf(40), { cfg, addBos: true });
    const given = tokens.map(({ id }) => id);
    expect(given[0]).toBe(BOS);
    expect([surprisal[0], entropy[0], rank[0]]).toEqual([Number.NaN, Number.NaN, 0]);
    const logs = await expected(given, cfg);
    for (let t = 1; t < given.length; t++) {
      const before = logs[t - 1] as number[];
      const own = before[given[t] as number] as number;
      expect(surprisal[t]).toBeCloseTo(-own / Math.LN2, 5);
      expect(entropy[t]).toBeCloseTo(-before.reduce((sum, x) => sum + Math.exp(x) * x, 0) / Math.LN2, 5);
      expect(rank[t]).toBe(1 + before.filter((x) => x > own).length);
      const best = before.map((x, id) => ({ x, id })).sort((a, b) => b.x - a.x || a.id - b.id);
      expect([...ids.subarray(t * 3, t * 3 + 3)]).toEqual(best.slice(0, 3).map(({ id }) => id));
      const three = best.slice(0, 3).map(({ x }) => Math.exp(x));
      expect(largestDifference(probabilities.subarray(t * 3, t * 3 + 3), three)).toBeLessThan(1e-5);
    }
  });
}

test("windows move by half their length and score each token once", () => {
  expect(windowsOf(0, 0, 8, 4, false)).toEqual([
    { start: 0, from: 1, end: 4 },
    { start: 2, from: 4, end: 6 },
    { start: 4, from: 6, end: 8 },
  ]);
  expect(windowsOf(5, 12, 15, 4, true)).toEqual([
    { start: 10, from: 12, end: 14 },
    { start: 12, from: 14, end: 15 },
  ]);
  expect(windowsOf(3, 0, 4, 4, false)).toEqual([]);
});

test("a text longer than the context is read in windows that start with BOS and reported in order", async () => {
  const cfg = { ...tinyConfig, nCtx: 16 };
  const text = textOf(700);
  for (const addBos of [true, false]) {
    const { tokens, surprisal, pieces } = await scored(text, { cfg, addBos });
    expect(pieces.length).toBeGreaterThan(1);
    expect(pieces.flatMap((piece) => piece.tokens)).toEqual(tokens);
    expect(pieces.flatMap((piece) => [...piece.surprisal])).toEqual([...surprisal]);
    expect([...surprisal].filter(Number.isNaN).length).toBe(1);
    // The last token's window, computed separately.
    const ids = tokens.map(({ id }) => id);
    const [length, half] = addBos ? [15, 7] : [16, 8];
    let start = 0;
    for (let end = length; end < ids.length; end += length - half) start = end - half;
    const window = [...(addBos ? [BOS] : []), ...ids.slice(start)];
    const logs = await expected(window, cfg);
    expect(surprisal.at(-1)).toBeCloseTo(-(logs.at(-2)?.[ids.at(-1) as number] as number) / Math.LN2, 4);
  }
});

test("scoring from an offset uses the text before it as context", async () => {
  const text = textOf(60);
  const [whole, rest] = [await scored(text, { addBos: true }), await scored(text, { addBos: true, from: 30 })];
  expect(rest.tokens).toEqual(whole.tokens.slice(31));
  expect(rest.tokens[0]?.start).toBe(30);
  expect(largestDifference(rest.surprisal, whole.surprisal.subarray(31))).toBeLessThan(1e-5);
  expect((await scored(text, { from: 60 })).tokens).toEqual([]);
});

test("an unknown character ends the context of the tokens after it", async () => {
  const { tokens, surprisal } = await scored("abc?dc?");
  expect(tokens.map(({ id }) => id)).toEqual([0, 1, 2, -1, 3, 2, -1]);
  expect([...surprisal].map(Number.isNaN)).toEqual([true, false, false, true, true, false, true]);
  const alone = await scored("dc");
  expect(surprisal[5]).toBeCloseTo(alone.surprisal[1] as number, 5);
});

test("canceling stops scoring", async () => {
  const { cfg, weights } = await tinyModel({ ...tinyConfig, nCtx: 16 });
  const model = new WindowScorer(cfg, weights, new Readout(cfg, weights));
  const controller = new AbortController();
  let pieces = 0;
  const report = () => {
    pieces++;
    controller.abort();
  };
  const options = { alternatives: 0, signal: controller.signal, report };
  await expect(surprisalOf(textOf(3000), tokenizerWith(false), model, options)).rejects.toThrow();
  expect(pieces).toBe(1);
  await model.release();
  await model.readout.release();
});
