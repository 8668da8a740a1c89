import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { argMax, softmax } from "../../../src/engine/generate/sampling";
import { Attributor } from "../../../src/engine/inspect/attribution";
import type { TraceIntervention } from "../../../src/engine/inspect/interventions";
import { LogitLens } from "../../../src/engine/inspect/lens";
import type { Trace, TraceValue } from "../../../src/engine/inspect/trace";
import { Tracer } from "../../../src/engine/inspect/tracer";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { ARCHITECTURES, type Opened, openVariant, readReference } from "../../helpers/architectures";
import { largestDifference, modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const data = (trace: Trace, name: string) => (trace.get(name) as TraceValue).data;
const intervened = (tracer: Tracer, ids: readonly number[], interventions: readonly TraceIntervention[]) =>
  tracer.trace([ids], "whole", undefined, interventions);

const VARIANTS = ["gpt2", "opt", "opt-post-norm", "llama", "gemma2", "olmo2", "phi", "gpt_neox-sequential"];

describe.each(VARIANTS)("%s, as PyTorch computes it by make_interventions.py", (variant) => {
  let opened: Opened;
  let tracer: Tracer;
  let [prompt, other] = [[0], [0]];
  let reference: ReadonlyMap<string, TraceValue>;
  const expected = (name: string) => (reference.get(`${variant}.${name}`) as TraceValue).data;
  beforeAll(async () => {
    opened = await openVariant(variant, "cpu");
    tracer = new Tracer(opened.cfg, opened.weights);
    reference = await readReference(join(ARCHITECTURES, "interventions.safetensors"));
    [prompt, other] = JSON.parse(readFileSync(join(opened.dir, "greedy.json"), "utf8")).prompts;
  });

  test("ablates, scales and patches parts", async () => {
    const from = (position: number) => ({ trace, position });
    const trace = await tracer.trace([other]);
    const changes: Record<string, TraceIntervention> = {
      head: { kind: "scale", part: { kind: "head", layer: 1, head: 2 }, factor: 0 },
      attention: { kind: "scale", part: { kind: "attention", layer: 0 }, factor: 0.5 },
      mlp: { kind: "scale", part: { kind: "mlp", layer: 0 }, factor: 0 },
      layer: { kind: "scale", part: { kind: "layer", layer: 1 }, factor: 0 },
      patchedHead: { kind: "patch", value: { kind: "head", layer: 0, head: 1 }, position: 5, from: from(3) },
      patchedStream: { kind: "patch", value: { kind: "residPre", layer: 1 }, position: 9, from: from(6) },
    };
    const plain = data(await tracer.trace([prompt]), "logits");
    for (const [name, change] of Object.entries(changes)) {
      const logits = data(await intervened(tracer, prompt, [change]), "logits");
      const last = logits.subarray(-expected(name).length);
      expect(largestDifference(last, expected(name)), name).toBeLessThan(1e-4);
      expect(largestDifference(logits, plain), `${name} changes something`).toBeGreaterThan(1e-3);
    }
  });

  test("reads every layer with the lens, which ends in the model's own distribution", async () => {
    const { cfg, weights } = opened;
    const [T, V] = [prompt.length, cfg.vocabSize];
    const trace = await tracer.trace([prompt], "light");
    const lens = new LogitLens(cfg, weights);
    const { depths, ids, probabilities, tracked } = await lens.look(trace, {
      positions: [T - 1, T],
      count: V,
      token: 7,
    });
    const rows = expected("lens");
    expect(depths.length * V).toBe(rows.length);
    depths.forEach((depth, p) => {
      const distribution = softmax(rows.slice(p * V, (p + 1) * V));
      const read = new Float32Array(V);
      for (let i = p * V; i < (p + 1) * V; i++) read[ids[i] as number] = probabilities[i] as number;
      expect(largestDifference(read, distribution), depth).toBeLessThan(1e-5);
      expect(tracked?.probabilities[p], depth).toBeCloseTo(distribution[7] as number, 5);
      expect(tracked?.ranks[p]).toBe(1 + distribution.filter((x) => x > (distribution[7] as number)).length);
    });
    const own = softmax(data(trace, "logits"));
    const last = Array.from({ length: V }, (_, i) => own[ids[(depths.length - 1) * V + i] as number] as number);
    expect(largestDifference(last, probabilities.subarray(-V))).toBeLessThan(1e-5);
    await lens.release();
  });

  test("attributes the most likely token's logit to heads, MLPs and embeddings", async () => {
    const { cfg, weights } = opened;
    const trace = await tracer.trace([prompt], "light");
    const attributor = new Attributor(cfg, weights);
    const token = argMax(data(trace, "logits"));
    const { parts, logit, remainder } = await attributor.attribute(trace, { position: prompt.length - 1, token });
    const of = (...kinds: string[]) => parts.filter(({ kind }) => kinds.includes(kind)).map(({ value }) => value);
    expect(logit).toBe(data(trace, "logits")[token]);
    expect(largestDifference(of("head"), expected("heads"))).toBeLessThan(1e-4);
    expect(largestDifference(of("mlp"), expected("mlps"))).toBeLessThan(1e-4);
    expect(largestDifference(of("embed", "posEmbed"), expected("embeddings"))).toBeLessThan(1e-4);
    // The parts sum to the logit, except with a soft cap.
    if (cfg.logitSoftcap === null) expect(Math.abs(remainder)).toBeLessThan(1e-4);
    await attributor.release();
  });
});

const configs: Record<string, DecoderConfig> = {
  "as in GPT-2": tinyConfig,
  modern: { ...modernConfig, logitSoftcap: null },
  "post-norm": { ...tinyConfig, norm: "post", finalNorm: false },
};

describe.each(Object.entries(configs))("%s", (_name, cfg) => {
  const ids = someIds(9);

  test("a part scaled by 1 changes no bit", async () => {
    const tracer = new Tracer(cfg, (await tinyModel(cfg)).weights);
    const plain = await tracer.trace([ids]);
    const parts = (["head", "attention", "mlp", "layer"] as const).map((kind) => ({ kind, layer: 1, head: 1 }));
    const same = await intervened(
      tracer,
      ids,
      parts.map((part) => ({ kind: "scale", part, factor: 1 })),
    );
    for (const [name, value] of plain) expect(same.get(name), name).toEqual(value);
  });

  test("the parts of a difference of two logits sum to it at any position, with interventions too", async () => {
    const { weights } = await tinyModel(cfg);
    const tracer = new Tracer(cfg, weights);
    const from = { trace: await tracer.trace([someIds(9, 23, 8)]), position: 2 };
    const interventions: readonly TraceIntervention[] = [
      { kind: "scale", part: { kind: "attention", layer: 1 }, factor: 0.3 },
      { kind: "scale", part: { kind: "head", layer: 1, head: 0 }, factor: 2 },
      { kind: "patch", value: { kind: "attnOut", layer: 0 }, position: 5, from },
      { kind: "patch", value: { kind: "residPre", layer: 0 }, position: 4, from },
    ];
    const trace = await intervened(tracer, ids, interventions);
    const attributor = new Attributor(cfg, weights);
    const logits = data(trace, "logits");
    for (const position of [3, 4, 5, 8]) {
      const found = await attributor.attribute(trace, { position, token: 6, against: 11 }, interventions);
      const [a, b] = [6, 11].map((id) => logits[position * cfg.vocabSize + id] as number) as [number, number];
      expect(found.logit).toBeCloseTo(a - b, 5);
      expect(Math.abs(found.remainder)).toBeLessThan(1e-5);
      const kinds = found.parts.map(({ kind }) => kind);
      expect(kinds.includes("attention")).toBe(position === 5);
      expect(kinds.includes("stream")).toBe(position === 4);
    }
  });

  test("a part that the model lacks is rejected with the reason", async () => {
    const tracer = new Tracer(cfg, (await tinyModel(cfg)).weights);
    const head = { kind: "scale", part: { kind: "head", layer: 1, head: 4 }, factor: 0 } as const;
    await expect(intervened(tracer, ids, [head])).rejects.toThrow("There is no head 4. This model has heads 0 to");
    const mlp = { kind: "scale", part: { kind: "mlp", layer: 2 }, factor: 0 } as const;
    await expect(intervened(tracer, ids, [mlp])).rejects.toThrow("There is no layer 2. This model has layers 0 to 1.");
  });
});
