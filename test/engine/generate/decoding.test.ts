import { describe, expect, test } from "vitest";
import { Decoding } from "../../../src/engine/generate/decoding";
import { generate, TokenCache, windowStart } from "../../../src/engine/generate/generate";
import { argMax, GREEDY } from "../../../src/engine/generate/sampling";
import { Tracer } from "../../../src/engine/inspect/trace";
import { largestDifference, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const V = tinyConfig.vocabSize;

/** Logits after the last of some tokens, from a forward pass without a cache. */
async function wholePass(model: Awaited<ReturnType<typeof tinyModel>>, ids: readonly number[]): Promise<Float32Array> {
  const trace = await new Tracer(model.cfg, model.weights).trace([ids], { light: true });
  return trace.get("logits")?.data.subarray(-V) as Float32Array;
}

describe("a cache gives what a whole forward pass gives", () => {
  for (const norm of ["pre", "post"] as const) {
    // 1, a padded piece, a whole piece, several pieces, and the last place of the context, where no padding fits.
    for (const length of [1, 5, 8, 64, 75, 80]) {
      test(`${norm}-norm, a prompt of ${length}`, async () => {
        const model = await tinyModel({ ...tinyConfig, norm });
        const ids = someIds(length);
        const { logits } = await new TokenCache(new Decoding(model.cfg, model.weights)).logitsAfter(ids);
        expect(largestDifference(logits, await wholePass(model, ids))).toBeLessThan(1e-5);
      });
    }
  }

  test("a batch of prompts, one position at a time after the first", async () => {
    const model = await tinyModel();
    const rows = [someIds(9, V, 1), someIds(9, V, 2), someIds(9, V, 11)];
    const decoding = new Decoding(model.cfg, model.weights, rows.length);
    const column = (from: number, to: number) =>
      Int32Array.from(Array.from({ length: to - from }, (_, t) => rows.map((row) => row[from + t] as number)).flat());
    await decoding.append(column(0, 7));
    await decoding.append(column(7, 8));
    const logits = await decoding.append(column(8, 9));
    for (const [b, row] of rows.entries()) {
      expect(largestDifference(logits.subarray(b * V, (b + 1) * V), await wholePass(model, row))).toBeLessThan(1e-5);
    }
  });

  test("after going back and on another way", async () => {
    const model = await tinyModel();
    const cache = new TokenCache(new Decoding(model.cfg, model.weights));
    await cache.logitsAfter(someIds(30));
    const other = [...someIds(20), 1, 2, 3, 4];
    const { logits, reused } = await cache.logitsAfter(other);
    expect(reused).toBe(20);
    expect(largestDifference(logits, await wholePass(model, other))).toBeLessThan(1e-5);
  });
});

test("greedy generation takes the most likely token of every whole pass", async () => {
  const model = await tinyModel();
  const cache = new TokenCache(new Decoding(model.cfg, model.weights));
  const ids = someIds(6);
  for await (const { id } of generate(cache, [...ids], { ...GREEDY, seed: 0, maxNewTokens: 20, eosId: null })) {
    expect(id).toBe(argMax(await wholePass(model, ids)));
    ids.push(id);
  }
  expect(ids).toHaveLength(26);
});

test("a text longer than the context is read through a window over its end", async () => {
  const model = await tinyModel();
  const ids = someIds(200);
  const cache = new TokenCache(new Decoding(model.cfg, model.weights));
  const { logits } = await cache.logitsAfter(ids);
  const window = ids.slice(windowStart(ids.length, model.cfg.nCtx));
  expect(window.length).toBeLessThanOrEqual(model.cfg.nCtx);
  expect(largestDifference(logits, await wholePass(model, window))).toBeLessThan(1e-5);
});

test("the window moves in steps, and never leaves less than three quarters of the context", () => {
  for (let length = 1; length < 400; length++) {
    const start = windowStart(length, 80);
    expect(start % 20).toBe(0);
    expect(length - start).toBeLessThanOrEqual(80);
    if (length > 80) expect(length - start).toBeGreaterThan(60);
  }
});

test("the same seed samples the same tokens, another seed others", async () => {
  const model = await tinyModel();
  const sample = async (seed: number) => {
    const cache = new TokenCache(new Decoding(model.cfg, model.weights));
    const ids: number[] = [];
    const options = { temperature: 1, topK: 0, topP: 1, seed, maxNewTokens: 30, eosId: null };
    for await (const { id } of generate(cache, [1, 2], options)) ids.push(id);
    return ids;
  };
  expect(await sample(1)).toEqual(await sample(1));
  expect(await sample(2)).not.toEqual(await sample(1));
});

test("generation ends at EOS, which is not part of the result", async () => {
  const model = await tinyModel();
  const all: number[] = [];
  const run = async (eosId: number | null) => {
    const ids: number[] = [];
    const cache = new TokenCache(new Decoding(model.cfg, model.weights));
    for await (const { id } of generate(cache, [4], {
      temperature: 2,
      topK: 0,
      topP: 1,
      seed: 3,
      maxNewTokens: 30,
      eosId,
    }))
      ids.push(id);
    return ids;
  };
  all.push(...(await run(null)));
  const eos = all[10] as number;
  expect(await run(eos)).toEqual(all.slice(0, all.indexOf(eos)));
});

test("an aborted generation stops before its next token, and the cache stays usable", async () => {
  const model = await tinyModel();
  const cache = new TokenCache(new Decoding(model.cfg, model.weights));
  const abort = new AbortController();
  const ids: number[] = [];
  for await (const { id } of generate(cache, someIds(10), {
    ...GREEDY,
    seed: 0,
    maxNewTokens: 30,
    eosId: null,
    signal: abort.signal,
  })) {
    ids.push(id);
    if (ids.length === 3) abort.abort();
  }
  expect(ids).toHaveLength(3);
  const { logits } = await cache.logitsAfter(someIds(12));
  expect(largestDifference(logits, await wholePass(model, someIds(12)))).toBeLessThan(1e-5);
});

test("heads that the cache's attention cannot handle are refused with what to change", () => {
  expect(() => new Decoding({ ...tinyConfig, dModel: 36, nHeads: 3 }, {} as never)).toThrow(
    "dModel 36 over 3 heads gives heads of 12; choose dModel and nHeads so that a head is a multiple of 8 wide.",
  );
});
