import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makePairs } from "../../scripts/makePairs";
import { openTranslation, readParams } from "../../src/engine/models/folder";
import type { EngineApi, TraceInfo } from "../../src/protocol/engineApi";
import { type Client, connect, serve } from "../../src/protocol/rpc";
import { engineService } from "../../src/worker/service";
import { portPair } from "../helpers/portPair";

let dir: string;
let model: string;
let engine: Client<EngineApi, Record<never, never>>;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-inspect-"));
  model = join(dir, "model");
  const [ours, theirs] = portPair();
  serve<EngineApi>(theirs, engineService("cpu"));
  engine = connect<EngineApi>(ours);
  await engine.call("train", {
    preset: "translate",
    data: { kind: "text", name: "pairs.tsv", text: makePairs(200, 5).join("\n") },
    out: model,
    name: "tiny",
    device: "cpu",
    set: {
      "train.steps": 6,
      "train.evalEvery": 3,
      "train.blockSize": 16,
      "model.dModel": 16,
      "model.nHeads": 2,
      "model.nLayers": 2,
      "model.nEncoderLayers": 1,
    },
  });
}, 120_000);
afterAll(() => rm(dir, { recursive: true, force: true }));

const tensor = (trace: TraceInfo, name: string, head?: number) =>
  engine.call("traceTensor", { trace: trace.trace, name, ...(head !== undefined && { head }) });

describe("an inspected translator", () => {
  const text = "the cat  sleeps";
  let trace: TraceInfo;
  beforeAll(async () => {
    trace = await engine.call("inspect", { dir: model, text });
  });

  test("returns the source's tokens with their offsets in the given text", () => {
    const read = trace.source?.tokens.map(({ start, end, special, token }) =>
      special ? token : text.slice(start, end),
    );
    expect(read?.map((word) => word.trim())).toEqual(["<bos>", "the", "cat", "sleeps", "<eos>"]);
  });

  test("returns the tokens of its translation", async () => {
    const { source, tokens } = trace;
    const read = tokens.map(({ start, end }) => source?.translation.slice(start, end)).join("");
    expect(tokens[0]?.token).toBe("<bos>");
    expect(read).toBe(source?.translation);
    expect((await tensor(trace, "ids")).data).toEqual(Float32Array.from(tokens, ({ id }) => id));
  });

  test("returns a head's cross-attention with a row per target token and a column per source token", async () => {
    const [T, S] = [trace.tokens.length, trace.source?.tokens.length as number];
    expect(trace.values.find(({ name }) => name === "blocks.1.cross.pattern")?.shape).toEqual([1, 2, T, S]);
    const heads = await Promise.all([0, 1].map((head) => tensor(trace, "blocks.1.cross.pattern", head)));
    for (const { shape, data } of heads) {
      expect(shape).toEqual([1, T, S]);
      for (let t = 0; t < T; t++) {
        expect(data.subarray(t * S, (t + 1) * S).reduce((sum, p) => sum + p, 0)).toBeCloseTo(1, 5);
      }
    }
    expect(heads[0]?.data).not.toEqual(heads[1]?.data);
  });

  test("has a lens over its decoder that ends in the next token", async () => {
    const T = trace.tokens.length;
    const lens = await engine.call("lens", { trace: trace.trace, positions: [T - 1, T], count: 3 });
    expect(lens.depths.slice(0, 4)).toEqual(
      ["0.residPre", "0.residMid", "0.residCross", "0.residPost"].map((name) => `blocks.${name}`),
    );
    const { top } = trace.nextToken;
    expect([...lens.ids.slice(-3)]).toEqual(top.slice(0, 3).map(({ id }) => id));
    expect(lens.probabilities.at(-1)).toBeCloseTo(top[2]?.probability as number, 5);
  });

  test("has norms of both residual streams", async () => {
    const { data, shape } = await tensor(trace, "enc.blocks.0.residPost");
    const [S, D] = shape.slice(1) as [number, number];
    const last = Math.hypot(...data.subarray((S - 1) * D));
    expect(trace.source?.residualNorms.at(-1)).toBeCloseTo(last, 3);
    expect(trace.residualNorms).toHaveLength(3 * trace.tokens.length);
  });

  test("is compared with its trace with interventions, over the source too", async () => {
    const off = { kind: "scale", part: { kind: "mlp", stack: "encoder", layer: 0 }, factor: 0 } as const;
    const changed = await engine.call("intervene", { trace: trace.trace, interventions: [off] });
    expect(changed).toMatchObject({ interventions: [off], tokens: trace.tokens, values: trace.values });
    expect(changed.source).toMatchObject({ tokens: trace.source?.tokens, translation: trace.source?.translation });
    expect((await tensor(changed, "enc.blocks.0.mlpOut")).data.every((x) => x === 0)).toBe(true);
    const { divergence, values } = await engine.call("compareTraces", { a: trace.trace, b: changed.trace });
    expect(divergence).toHaveLength(trace.tokens.length);
    expect(Math.max(...divergence)).toBeGreaterThan(0);
    const relative = (name: string) => values.find((value) => value.name === name)?.relative;
    expect(relative("enc.blocks.0.attnOut")).toEqual(new Float32Array(5));
    expect(relative("enc.blocks.0.mlpOut")).toEqual(new Float32Array(5).fill(1));
    expect(relative("blocks.0.crossOut")).toHaveLength(trace.tokens.length);

    const path = join(dir, "changed.dltrace");
    await engine.call("saveTrace", { trace: changed.trace, path });
    expect(await engine.call("openTrace", { path })).toMatchObject({ interventions: [off], source: changed.source });

    const same = await engine.call("intervene", { trace: changed.trace, interventions: [] });
    expect(same.nextToken).toEqual(trace.nextToken);
    const asked = { trace: changed.trace, position: 0, token: 4 };
    const { parts, logit, remainder } = await engine.call("attribution", asked);
    expect(parts.reduce((sum, { value }) => sum + value, remainder)).toBeCloseTo(logit, 6);
    expect(Math.abs(remainder)).toBeLessThan(1e-4);
  });

  test("has neighbors in the vocabulary of a value's stack and in the decoder's head", async () => {
    const opened = await openTranslation(model);
    const { source, target, cfg } = opened;
    expect(cfg.encoder.vocabSize).not.toBe(cfg.decoder.vocabSize);
    const params = await readParams(opened);
    const matrix = (name: string) => params.get(name) as Float32Array;
    const D = cfg.decoder.dModel;
    const rows = (name: string) => (id: number) => matrix(name).subarray(id * D, (id + 1) * D);
    const head = (id: number) =>
      Float32Array.from({ length: D }, (_, d) => matrix("head.weight")[d * cfg.decoder.vocabSize + id] as number);
    const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
    const cosine = (a: Float32Array, b: Float32Array) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    const cases = [
      { name: "enc.blocks.0.residMid", among: "embeddings", of: rows("enc.embed.tokens.weight"), tokenizer: source },
      { name: "enc.embed", among: "embeddings", of: rows("enc.embed.tokens.weight"), tokenizer: source },
      { name: "blocks.1.residCross", among: "embeddings", of: rows("embed.tokens.weight"), tokenizer: target },
      { name: "embed", among: "embeddings", of: rows("embed.tokens.weight"), tokenizer: target },
      { name: "lnFinal", among: "head", of: head, tokenizer: target },
    ] as const;
    for (const { name, among, of, tokenizer } of cases) {
      const at = await tensor(trace, name);
      const vector = at.data.subarray(D, 2 * D);
      const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id);
      const best = ids.sort((a, b) => cosine(of(b), vector) - cosine(of(a), vector)).slice(0, 3);
      const asked = { of: { kind: "value", name, position: 1 }, among, count: 3 } as const;
      const { nearest } = await engine.call("neighbors", { trace: trace.trace, ...asked });
      expect(nearest, name).toEqual(
        best.map((id) => ({
          id,
          token: expect.stringMatching(tokenizer.token(id).replace(/^\W/, "").trim()),
          cosine: expect.closeTo(cosine(of(id), vector), 5),
        })),
      );
    }
    const asked = { trace: trace.trace, count: 1 };
    const { id } = trace.source?.tokens[1] ?? { id: -1 };
    const [best] = Array.from({ length: source.vocabSize }, (_, other) => other)
      .filter((other) => other !== id)
      .map((other) => cosine(rows("enc.embed.tokens.weight")(other), rows("enc.embed.tokens.weight")(id)))
      .sort((a, b) => b - a);
    const of = { kind: "token", id, stack: "encoder" } as const;
    const { nearest } = await engine.call("neighbors", { ...asked, of, among: "embeddings" });
    expect(nearest[0]?.cosine).toBeCloseTo(best as number, 5);
    await expect(engine.call("neighbors", { ...asked, of, among: "head" })).rejects.toThrow("An encoder has no head");
  });

  test("projects tokens of either vocabulary", async () => {
    for (const [name, tokens] of [
      ["enc.embed", trace.source?.tokens ?? []],
      ["embed", trace.tokens],
    ] as const) {
      const ids = tokens.map(({ id }) => id);
      const { coordinates } = await engine.call("projection", { trace: trace.trace, name, ids });
      const own = coordinates.subarray(0, 3 * ids.length);
      expect(Math.max(...own)).toBeGreaterThan(0.1);
      expect([...coordinates.subarray(3 * ids.length)]).toEqual(Array.from(own, (x) => expect.closeTo(x, 4)));
    }
  });

  test("finds tokens in either vocabulary, exact matches first", async () => {
    const find = (query: string, stack: "encoder" | "decoder") =>
      engine.call("vocabularyTokens", { trace: trace.trace, query, count: 2, stack });
    const { id } = trace.source?.tokens[2] ?? { id: -1 };
    const [cat] = await find(" cat", "encoder");
    expect(cat).toEqual({ id, token: " cat" });
    expect(await find(" cat", "decoder")).toEqual([]);
    expect(await find(`#${id}`, "encoder")).toEqual([cat]);
  });

  test("is rejected by requests for decoders with the reason", async () => {
    await expect(engine.call("generate", { dir: model, prompt: "the", maxNewTokens: 1 })).rejects.toThrow(
      /describes a translator, which cannot continue a text/,
    );
  });
});

test("inspecting a checkpoint uses the model of that step", async () => {
  const checkpoints = await engine.call("checkpoints", { dir: model });
  expect(checkpoints.map(({ step }) => step)).toEqual([0, 3, 6]);
  const [, early, late] = await Promise.all(
    checkpoints.map(({ dir: at }) => engine.call("inspect", { dir: at, text: "the dog" })),
  );
  const now = await engine.call("inspect", { dir: model, text: "the dog" });
  expect([early?.model.step, late?.model.step]).toEqual([3, 6]);
  expect(late?.nextToken).toEqual(now.nextToken);
  expect(early?.nextToken).not.toEqual(now.nextToken);
});
