import { afterEach, describe, expect, test, vi } from "vitest";
import { EngineError } from "../../../src/engine/errors";
import { Decoding } from "../../../src/engine/generate/decoding";
import {
  type GenerateOptions,
  generate,
  generateBatch,
  TokenCache,
  windowStart,
} from "../../../src/engine/generate/generate";
import { fusedProblem, positionsPerRun } from "../../../src/engine/generate/gpuCache";
import { argMax, GREEDY, softmax } from "../../../src/engine/generate/sampling";
import { Tracer } from "../../../src/engine/inspect/tracer";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { Session } from "../../../src/engine/runtime/session";
import { placeWeights } from "../../../src/engine/runtime/weights";
import { largestDifference, modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const V = tinyConfig.vocabSize;

type TinyModel = Awaited<ReturnType<typeof tinyModel>>;

/** Logits after the last token, from a forward pass without a cache. */
async function wholePass({ cfg, weights }: TinyModel, ids: readonly number[]): Promise<Float32Array> {
  const tracer = new Tracer(cfg, weights);
  const trace = await tracer.trace([ids], "light");
  await tracer.release();
  return trace.get("logits")?.data.subarray(-V) as Float32Array;
}

const cacheOf = ({ cfg, weights }: TinyModel) => new TokenCache(new Decoding(cfg, weights));

/** The prediction after some tokens, from a cache. */
async function nextAfter(cache: TokenCache, ids: readonly number[], signal?: AbortSignal) {
  const { next, ...rest } = await cache.after(ids, { logits: true, signal });
  return { logits: next.logits as Float32Array, next, ...rest };
}

/** The ids generated after a prompt. */
async function written(
  cache: TokenCache,
  prompt: readonly number[],
  options: Partial<GenerateOptions> & { readonly onToken?: (id: number) => void },
): Promise<number[]> {
  const ids: number[] = [];
  const { onToken, ...given } = options;
  for await (const { id } of generate(cache, prompt, { ...GREEDY, maxNewTokens: 30, eosIds: [], ...given })) {
    ids.push(id);
    onToken?.(id);
  }
  return ids;
}

/** Transposes rows [B, T] to the cache's [T, B], with shorter ones padded at their end. */
const columns = (rows: readonly (readonly number[])[]): Int32Array =>
  Int32Array.from(
    Array.from({ length: Math.max(...rows.map((row) => row.length)) }, (_, t) => rows.map((row) => row[t] ?? 0)).flat(),
  );

/** Records the sizes of the tensors that sessions return. */
function watchedRuns(onRun = () => {}) {
  const runs: Record<string, number>[] = [];
  const run = Session.prototype.run;
  vi.spyOn(Session.prototype, "run").mockImplementation(async function (this: Session, ...given) {
    const outputs = await run.apply(this, given);
    runs.push(Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data.length])));
    onRun();
    return outputs;
  });
  return runs;
}
afterEach(() => vi.restoreAllMocks());

describe("a cache computes the same as a whole forward pass", () => {
  for (const norm of ["pre", "post"] as const) {
    // 1, a padded piece, a whole piece, several pieces, and the end of the context, where no padding fits.
    for (const length of [1, 5, 8, 64, 75, 80]) {
      test(`${norm}-norm, a prompt of ${length}`, async () => {
        const model = await tinyModel({ ...tinyConfig, norm });
        const ids = someIds(length);
        const { logits } = await nextAfter(cacheOf(model), ids);
        expect(largestDifference(logits, await wholePass(model, ids))).toBeLessThan(1e-5);
      });
    }
  }

  /** Options of other families; `modernConfig` combines most of them. */
  const variants: Readonly<Record<string, Partial<DecoderConfig>>> = {
    "shared key heads": { nKvHeads: 1 },
    "rotary positions": { positions: modernConfig.positions },
    "rotary positions of part of each head, and unrotated layers": {
      positions: { kind: "rotary", dims: 4, theta: 100, scaling: null, unrotatedLayers: [0] },
    },
    "a position table with an offset": { positions: { kind: "learned", offset: 2 } },
    "no positions": { positions: { kind: "none" } },
    "no causal mask": { causal: false },
    "windows in one of two layers": { windows: [5, null] },
    "a window of one position": { windows: [1, 1] },
    "soft-capped scores": { attentionSoftcap: 1.5 },
    "soft-capped logits": { logitSoftcap: 2 },
    "scores divided by the layer's number": { scaleByLayer: true, attentionScale: 1 },
    "queries, keys and values in one matrix": { qkv: "fused", weightLayout: "outIn" },
    "queries, keys and values in one matrix, head by head": { qkv: "fusedByHead" },
    "normalized heads": { qkNorm: "head", normKind: "rms", normBias: false },
    "a head width that is not a multiple of eight": { nHeads: 4, nKvHeads: 2, dHead: 5, attentionScale: 0.4 },
    "the options of current families": modernConfig,
  };
  test.each(Object.entries(variants))("%s", async (_name, variant) => {
    const model = await tinyModel({ ...tinyConfig, ...variant });
    const decoding = new Decoding(model.cfg, model.weights);
    const ids = someIds(14);
    // A prompt, a second piece, and single tokens.
    for (const [from, to] of [
      [0, 7],
      [7, 11],
      [11, 12],
      [12, 13],
      [13, 14],
    ] as const) {
      const { logits } = await decoding.append(Int32Array.from(ids.slice(from, to)), { logits: true });
      const difference = largestDifference(logits as Float32Array, await wholePass(model, ids.slice(0, to)));
      expect(difference, `after ${to} tokens`).toBeLessThan(1e-5);
    }
  });

  for (const [name, cfg] of [
    ["learned positions", tinyConfig],
    ["the options of current families", modernConfig],
    ["no causal mask", { ...tinyConfig, causal: false }],
  ] as const) {
    test(`a batch of prompts of unequal length, and the tokens generated after each: ${name}`, async () => {
      const model = await tinyModel(cfg);
      const rows = [someIds(9, V, 1), someIds(4, V, 2), someIds(1, V, 11), someIds(7, V, 5)];
      const decoding = new Decoding(cfg, model.weights, rows.length);
      let ids = columns(rows);
      let lengths: readonly number[] = rows.map((row) => row.length);
      for (let step = 0; step < 6; step++) {
        const { logits, best } = await decoding.append(ids, { logits: true, lengths });
        for (const [b, row] of rows.entries()) {
          const ours = (logits as Float32Array).subarray(b * V, (b + 1) * V);
          expect(largestDifference(ours, await wholePass(model, row)), `step ${step}, row ${b}`).toBeLessThan(1e-5);
          row.push(best[b] as number);
        }
        // Then one more token each, except once with unequal numbers of tokens.
        const pieces = rows.map((row, b) =>
          step === 2 ? [row.at(-1) as number, 3, 1, 4].slice(0, 1 + b) : row.slice(-1),
        );
        if (step === 2) for (const [b, piece] of pieces.entries()) rows[b]?.push(...piece.slice(1));
        ids = columns(pieces);
        lengths = pieces.map((piece) => piece.length);
      }
    });
  }

  test("when the cache grows beyond its first 256 positions, in pieces and token by token", async () => {
    const model = await tinyModel({ ...modernConfig, nCtx: 700, windows: [300, null] });
    const cache = cacheOf(model);
    const ids = someIds(600);
    for (const length of [250, 255, 256, 257, 258, 512, 513, 600]) {
      const { logits, reused } = await nextAfter(cache, ids.slice(0, length));
      expect(largestDifference(logits, await wholePass(model, ids.slice(0, length))), `${length}`).toBeLessThan(2e-5);
      if (length > 250) expect(reused).toBeGreaterThanOrEqual(250);
    }
    const whole = await nextAfter(cacheOf(model), ids);
    expect(largestDifference(whole.logits, (await nextAfter(cache, ids)).logits)).toBeLessThan(2e-5);
  });

  for (const [name, cfg] of [
    ["learned positions", tinyConfig],
    ["a window and rotary positions", modernConfig],
  ] as const) {
    test(`after rewinding and appending other tokens: ${name}`, async () => {
      const model = await tinyModel(cfg);
      const cache = cacheOf(model);
      await nextAfter(cache, someIds(30));
      for (const other of [[...someIds(20), 1, 2, 3, 4], someIds(30), [...someIds(3), 9]]) {
        const kept = other.length === 4 ? 3 : 20;
        const { logits, reused } = await nextAfter(cache, other);
        expect(reused).toBe(kept);
        expect(largestDifference(logits, await wholePass(model, other))).toBeLessThan(1e-5);
      }
    });
  }

  test("after rewinding to the start", async () => {
    const model = await tinyModel(modernConfig);
    const decoding = new Decoding(model.cfg, model.weights, 2);
    await decoding.append(columns([someIds(5), someIds(9)]), { lengths: [5, 9] });
    expect(() => decoding.rewind(3)).toThrow("rewind: sequences of unequal length can only restart at 0");
    decoding.rewind(0);
    const rows = [someIds(8, V, 4), someIds(2, V, 7)];
    const { logits } = await decoding.append(columns(rows), { logits: true, lengths: [8, 2] });
    for (const [b, row] of rows.entries()) {
      const ours = (logits as Float32Array).subarray(b * V, (b + 1) * V);
      expect(largestDifference(ours, await wholePass(model, row))).toBeLessThan(1e-5);
    }
  });
});

test("a prediction agrees with its logits", async () => {
  const model = await tinyModel();
  const decoding = new Decoding(model.cfg, model.weights, 2);
  const next = await decoding.append(columns([someIds(5), someIds(5, V, 8)]), { logits: true });
  for (const b of [0, 1]) {
    const logits = (next.logits as Float32Array).subarray(b * V, (b + 1) * V);
    const p = softmax(logits);
    const best = argMax(logits);
    expect(next.best[b]).toBe(best);
    expect(next.bestLogProbability[b]).toBeCloseTo(Math.log(p[best] as number), 5);
    expect(next.entropy[b]).toBeCloseTo(
      p.reduce((sum, x) => sum - x * Math.log(x), 0),
      5,
    );
  }
  expect((await decoding.append(columns([[1], [2]]))).logits).toBeNull();
});

test("a token copies no cache: a forward pass returns only its new keys and values", async () => {
  const model = await tinyModel({ ...modernConfig, nCtx: 700 });
  const cache = cacheOf(model);
  await nextAfter(cache, someIds(500));
  const runs = watchedRuns();
  await cache.after(someIds(501));
  const { nLayers, nKvHeads, dHead } = model.cfg;
  const caches = Array.from({ length: nLayers }, (_, l) => [`cache.${l}.k'`, `cache.${l}.v'`]).flat();
  const sizes = { best: 1, bestLogProbability: 1, entropy: 1 };
  expect(runs).toEqual([{ ...sizes, ...Object.fromEntries(caches.map((name) => [name, nKvHeads * dHead])) }]);
});

describe("weights that are not numbers are rejected in one sentence", () => {
  for (const [name, value] of [
    ["embed.tokens.weight", Number.NaN],
    ["blocks.1.o.weight", Number.NaN],
    ["lnFinal.weight", Number.POSITIVE_INFINITY],
  ] as const) {
    test(`${value} in ${name}`, async () => {
      const { cfg, params } = await tinyModel();
      params.set(name, new Float32Array(params.get(name) as Float32Array).fill(value));
      const decoding = new Decoding(cfg, await placeWeights(cfg, params, "cpu"));
      const appended = decoding.append(Int32Array.from(someIds(5)));
      await expect(appended).rejects.toThrow(EngineError);
      await expect(appended).rejects.toThrow(
        /^The model computes values that are not numbers, so its weights are damaged\. [^.]*\.$/,
      );
    });
  }
});

test("greedy generation picks the most likely token of every whole forward pass", async () => {
  const model = await tinyModel();
  const ids = someIds(6);
  for (const id of await written(cacheOf(model), [...ids], { maxNewTokens: 20 })) {
    expect(id).toBe(argMax(await wholePass(model, ids)));
    ids.push(id);
  }
  expect(ids).toHaveLength(26);
});

test("a token comes with its probability and the model's entropy", async () => {
  const model = await tinyModel();
  for (const temperature of [0, 2]) {
    const ids = someIds(6);
    const options = { temperature, topK: 5, topP: 0.9, seed: 1, maxNewTokens: 8, eosIds: [] };
    for await (const { id, probability, entropy } of generate(cacheOf(model), ids.slice(), options)) {
      const p = softmax(await wholePass(model, ids));
      expect(probability).toBeCloseTo(p[id] as number, 5);
      expect(entropy).toBeCloseTo(
        p.reduce((sum, x) => sum - x * Math.log(x), 0),
        4,
      );
      ids.push(id);
    }
    expect(ids).toHaveLength(14);
  }
});

test("greedy generation applies the repetition penalty", async () => {
  const model = await tinyModel();
  const plain = await written(cacheOf(model), [4], {});
  const penalized = await written(cacheOf(model), [4], { repetitionPenalty: 1e6 });
  expect(new Set(plain).size).toBeLessThan(20);
  // No token is picked twice before every token with a positive logit is picked once.
  expect(new Set(penalized.slice(0, 8)).size).toBe(8);
  expect(penalized).not.toContain(4);
});

test("generation after a text longer than the context reads a window at its end", async () => {
  const model = await tinyModel();
  const ids = someIds(200);
  const { logits, dropped } = await nextAfter(cacheOf(model), ids);
  expect(dropped).toBe(windowStart(ids.length, model.cfg.nCtx));
  const window = ids.slice(dropped);
  expect(window.length).toBeLessThanOrEqual(model.cfg.nCtx);
  expect(largestDifference(logits, await wholePass(model, window))).toBeLessThan(1e-5);
});

test("the window moves in steps and always covers at least three quarters of the context", () => {
  for (let length = 1; length < 400; length++) {
    const start = windowStart(length, 80);
    expect(start % 20).toBe(0);
    expect(length - start).toBeLessThanOrEqual(80);
    if (length > 80) expect(length - start).toBeGreaterThan(60);
  }
});

test("each move of the window is reported once, with the number of tokens left out", async () => {
  const model = await tinyModel();
  const moves: number[] = [];
  const prompts: number[] = [];
  const reports = { onWindow: (n: number) => moves.push(n), onPrompt: (n: number) => prompts.push(n) };
  await written(cacheOf(model), someIds(70), { maxNewTokens: 60, ...reports });
  expect(moves).toEqual([20, 40, 60]);
  moves.length = 0;
  await written(cacheOf(model), someIds(120), { maxNewTokens: 5, ...reports });
  expect(moves).toEqual([40, 60]);
  expect(prompts).toEqual([0, 0]);
});

test("each token between two moves of the window computes one position", async () => {
  const model = await tinyModel();
  const runs = watchedRuns();
  await written(cacheOf(model), someIds(78), { maxNewTokens: 20 });
  const positions = runs.map((run) => (run["cache.0.k'"] as number) / (model.cfg.nKvHeads * model.cfg.dHead));
  // The prompt, two tokens up to the end of the context, the moved window, and single tokens in it.
  expect(positions).toEqual([78, 1, 1, 61, ...Array(16).fill(1)]);
});

test("a seed determines the sampled tokens", async () => {
  const model = await tinyModel();
  const sample = (seed: number) => written(cacheOf(model), [1, 2], { temperature: 1, seed });
  expect(await sample(1)).toEqual(await sample(1));
  expect(await sample(2)).not.toEqual(await sample(1));
});

test("generation ends at any EOS token, which is not part of the result", async () => {
  const model = await tinyModel();
  const run = (eosIds: readonly number[]) => written(cacheOf(model), [4], { temperature: 2, seed: 3, eosIds });
  const all = await run([]);
  expect(all).toHaveLength(30);
  const [one, other] = [all[10] as number, all.find((id) => all.indexOf(id) === 6) as number];
  expect(await run([one])).toEqual(all.slice(0, all.indexOf(one)));
  expect(await run([one, other])).toEqual(all.slice(0, Math.min(all.indexOf(one), all.indexOf(other))));
});

describe("canceling", () => {
  test("aborting stops generation before its next token, and the cache stays usable", async () => {
    const model = await tinyModel();
    const cache = cacheOf(model);
    const abort = new AbortController();
    const runs = watchedRuns();
    const stopAtThree = { signal: abort.signal, onToken: () => runs.length === 3 && abort.abort() };
    expect(await written(cache, someIds(10), stopAtThree)).toHaveLength(3);
    expect(runs).toHaveLength(3);
    const { logits } = await nextAfter(cache, someIds(12));
    expect(largestDifference(logits, await wholePass(model, someIds(12)))).toBeLessThan(1e-5);
  });

  test("aborting a long prompt stops after the current piece, which stays in the cache", async () => {
    const model = await tinyModel({ ...tinyConfig, nCtx: 2000 });
    const cache = cacheOf(model);
    const ids = someIds(1900);
    const abort = new AbortController();
    const runs = watchedRuns(() => abort.abort());
    await expect(nextAfter(cache, ids, abort.signal)).rejects.toThrow("aborted");
    expect(runs).toHaveLength(1);
    const { logits, reused } = await nextAfter(cache, ids);
    expect(reused).toBe(512);
    expect(largestDifference(logits, await wholePass(model, ids))).toBeLessThan(5e-5);
  });
});

test("a cache computes its prompt again after its decoding was released", async () => {
  const model = await tinyModel();
  const cache = cacheOf(model);
  await nextAfter(cache, someIds(20));
  await cache.decoding.release();
  const { logits, reused } = await nextAfter(cache, someIds(22));
  expect(reused).toBe(0);
  expect(largestDifference(logits, await wholePass(model, someIds(22)))).toBeLessThan(1e-5);
});

describe("prompts of unequal length in a batch", () => {
  const prompts = [someIds(3), someIds(20, V, 9), someIds(11, V, 5)];
  const options = { temperature: 1, topK: 0, topP: 1, seed: 4, maxNewTokens: 12 };

  test("continue like each prompt alone with its own seed, up to its own EOS", async () => {
    const model = await tinyModel();
    const alone: number[][] = [];
    for (const [b, prompt] of prompts.entries()) {
      const ids: number[] = [];
      const steps = generate(cacheOf(model), prompt, { ...options, seed: 4 + b, eosIds: [] });
      for await (const { id } of steps) ids.push(id);
      alone.push(ids);
    }
    const eos = alone[1]?.[5] as number;
    const decoding = new Decoding(model.cfg, model.weights, prompts.length);
    const untilEos = alone.map((ids) => (ids.includes(eos) ? ids.slice(0, ids.indexOf(eos)) : ids));
    expect(await generateBatch(decoding, prompts, { ...options, eosIds: [eos] })).toEqual(untilEos);
    expect(await generateBatch(decoding, prompts, { ...options, eosIds: [] })).toEqual(alone);
  });

  /** Each prompt alone, up to its own EOS. */
  async function aloneUntil(model: TinyModel, given: typeof options, rows: readonly number[][], eosIds: number[]) {
    const alone: number[][] = [];
    for (const [b, prompt] of rows.entries()) {
      alone.push(await written(cacheOf(model), prompt, { ...given, seed: given.seed + b, eosIds }));
    }
    return alone;
  }

  // Windows move at different times; one prompt fills the context exactly, and one exceeds it by far.
  test.each([
    ["that reach the end of the context", [3, 20, 11]],
    ["of which one fills the context", [1, 24, 5]],
    ["of which one exceeds the context", [2, 25, 24]],
    ["that all exceed the context", [100, 61, 30]],
    ["of which the first is long", [600, 2]],
  ])("continue like each prompt alone beyond the context: rows %s", async (_, lengths) => {
    const model = await tinyModel({ ...tinyConfig, nCtx: 24 });
    const rows = lengths.map((length, b) => someIds(length, V, b));
    const beyond = { ...options, maxNewTokens: 50 };
    const alone = await aloneUntil(model, beyond, rows, []);
    const decoding = new Decoding(model.cfg, model.weights, rows.length);
    expect(await generateBatch(decoding, rows, { ...beyond, eosIds: [] })).toEqual(alone);
    for (const eos of new Set(alone.map((ids) => ids[3] as number))) {
      const expected = await aloneUntil(model, beyond, rows, [eos]);
      expect(await generateBatch(decoding, rows, { ...beyond, eosIds: [eos] })).toEqual(expected);
    }
  });

  test("continue beyond the context without a causal mask", async () => {
    const model = await tinyModel({ ...tinyConfig, nCtx: 8, causal: false });
    const rows = [someIds(2), someIds(11, V, 3)];
    const decoding = new Decoding(model.cfg, model.weights, rows.length);
    expect(await generateBatch(decoding, rows, { ...options, eosIds: [] })).toEqual(
      await aloneUntil(model, options, rows, []),
    );
  });

  test("end early where onToken says so, each on its own", async () => {
    const model = await tinyModel();
    const alone = await aloneUntil(model, options, prompts, []);
    const decoding = new Decoding(model.cfg, model.weights, prompts.length);
    const counts = [0, 0, 0];
    const onToken = (row: number) => ++(counts[row] as number) === 4 * row + 1;
    const rows = await generateBatch(decoding, prompts, { ...options, eosIds: [], onToken });
    expect(rows).toEqual(alone.map((ids, row) => ids.slice(0, 4 * row + 1)));
  });
});

describe("a cache rejects", () => {
  test("more tokens than fit the context", async () => {
    const model = await tinyModel();
    const decoding = new Decoding(model.cfg, model.weights);
    await decoding.append(Int32Array.from(someIds(79)));
    await expect(decoding.append(Int32Array.of(1, 2))).rejects.toThrow("2 tokens after 79 do not fit a context of 80");
  });
});

test("fused attention is used only for models that it supports", () => {
  const supported = { ...tinyConfig, dHead: 16 };
  expect(fusedProblem(supported)).toBeNull();
  expect(fusedProblem({ ...supported, windows: [5, null], nKvHeads: 1 })).toBeNull();
  expect(fusedProblem({ ...supported, dHead: 12 })).toBe("heads have 12 dimensions, which is not a multiple of 8");
  expect(fusedProblem({ ...supported, attentionSoftcap: 50 })).toBe("attention is soft-capped");
  expect(fusedProblem({ ...supported, causal: false })).toBe("positions attend to later ones");
});

test("a piece of a prompt on a GPU has at most 512 positions, and attention scores of at most 128 MiB", () => {
  expect(positionsPerRun({ nHeads: 12 }, 1, 0)).toBe(512);
  for (const nHeads of [1, 12, 64]) {
    for (const batch of [1, 7, 64]) {
      for (const past of [0, 1, 1000, 8191, 131_000]) {
        const T = positionsPerRun({ nHeads }, batch, past);
        const bytes = (length: number) => 4 * batch * nHeads * length * (past + length);
        expect(T).toBeGreaterThanOrEqual(1);
        expect(T).toBeLessThanOrEqual(512);
        if (T > 1) expect(bytes(T)).toBeLessThanOrEqual(2 ** 27);
        if (T < 512) expect(bytes(T + 1)).toBeGreaterThan(2 ** 27);
      }
    }
  }
});
