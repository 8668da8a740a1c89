import { describe, expect, test } from "vitest";
import { grad } from "../../../src/engine/autodiff/grad";
import { input, type Node } from "../../../src/engine/graph/node";
import { adapterSpecs, initAdapters, mergedMatrix, withAdapters } from "../../../src/engine/nn/adapters";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { countParameters, initParams, type ParamNodes, paramNodes } from "../../../src/engine/nn/params";
import { lossOf } from "../../../src/engine/train/step";
import { relativeError } from "../../helpers/allclose";
import { evaluate } from "../../helpers/evaluate";
import { normals } from "../../helpers/gradcheck";
import { paramInputs } from "../../helpers/graphs";
import { modernConfig, tinyConfig } from "../../helpers/tinyModel";

const lora = { rank: 3, alpha: 7 };
const [B, T] = [2, 4];

const configs: Readonly<Record<string, DecoderConfig>> = {
  "GPT-2's way": { ...tinyConfig, nLayers: 1 },
  "matrices [out, in], gated, with shared keys": { ...modernConfig, nLayers: 1 },
  "one matrix for q, k and v": { ...tinyConfig, nLayers: 1, qkv: "fused", activation: "geluTanh" },
};

const adapterInputs = (cfg: DecoderConfig): ParamNodes =>
  paramNodes(new Map(adapterSpecs(cfg, lora).map(({ name, shape }) => [name, input(name, shape)])));

/** A model, adapters that are not zero, and a batch. */
function feedsOf(cfg: DecoderConfig) {
  const adapters = initAdapters(cfg, lora, 1);
  for (const [name, values] of adapters)
    if (name.endsWith("loraB")) values.set(normals(values.length, name).map((x) => x / 10));
  return {
    ...Object.fromEntries(initParams(cfg, "xavier", 5)),
    ...Object.fromEntries(adapters),
    ids: Int32Array.from({ length: B * T }, (_, i) => (i * 7 + 2) % cfg.vocabSize),
    labels: Int32Array.from({ length: B * T }, (_, i) => (i * 5 + 1) % cfg.vocabSize),
    labelWeights: new Float32Array(B * T).fill(1 / (B * T)),
  };
}

/** The loss and its gradients with respect to the adapters, in float64. */
function lossAndGrads(cfg: DecoderConfig, model: (base: ParamNodes, adapters: ParamNodes) => ParamNodes) {
  const adapters = adapterInputs(cfg);
  const loss = lossOf(cfg, { batchSize: B, blockSize: T }, model(paramInputs(cfg), adapters));
  const names = adapterSpecs(cfg, lora).map(({ name }) => name);
  return { names, values: evaluate([loss, ...grad(loss, names.map(adapters))], feedsOf(cfg)) };
}

describe.each(Object.entries(configs))("adapters beside frozen weights, %s", (_name, cfg) => {
  test("have the same loss and gradients as the merged matrices", () => {
    const beside = lossAndGrads(cfg, (base, adapters) => withAdapters(base, adapters, lora));
    const added = lossAndGrads(cfg, (base, adapters) => {
      const both = withAdapters(base, adapters, lora);
      const get = (name: string): Node => mergedMatrix(name, both, cfg) ?? base(name);
      return Object.assign(get, { has: base.has });
    });
    expect(beside.values[0]?.[0]).toBeCloseTo(added.values[0]?.[0] as number, 6);
    beside.names.forEach((name, i) => {
      expect(relativeError(beside.values[i + 1] ?? [], added.values[i + 1] ?? []), name).toBeLessThan(1e-5);
      expect(
        (beside.values[i + 1] as Float64Array).some((x) => Math.abs(x) > 1e-6),
        name,
      ).toBe(true);
    });
  });

  test("have gradients equal to finite differences of the loss", () => {
    const { names, values } = lossAndGrads(cfg, (base, adapters) => withAdapters(base, adapters, lora));
    const loss = lossOf(cfg, { batchSize: B, blockSize: T }, withAdapters(paramInputs(cfg), adapterInputs(cfg), lora));
    const feeds: Record<string, ArrayLike<number>> = feedsOf(cfg);
    for (const name of names.filter((_, i) => i % 5 === 0)) {
      const at = feeds[name] as Float32Array;
      const direction = normals(at.length, "direction", name);
      const along = (distance: number) =>
        evaluate([loss], {
          ...feeds,
          [name]: Float64Array.from(at, (x, i) => x + distance * (direction[i] as number)),
        })[0]?.[0] as number;
      const slope = (along(1e-4) - along(-1e-4)) / 2e-4;
      const expected = (values[names.indexOf(name) + 1] as Float64Array).reduce(
        (sum, g, i) => sum + g * (direction[i] as number),
        0,
      );
      expect(Math.abs(slope - expected), name).toBeLessThan(1e-4 * (1 + Math.abs(expected)) * 0.1);
    }
  });

  test("exist for every matrix of attention and MLP only, and are small", () => {
    const specs = adapterSpecs(cfg, lora);
    const layers = new Set(specs.map(({ name }) => name.replace(/\.lora[AB]$/, "")));
    const expected = cfg.qkv === "separate" ? ["q", "k", "v", "o"] : ["qkv", "o"];
    const mlp = cfg.gatedMlp ? ["gate", "fc", "proj"] : ["fc", "proj"];
    expect([...layers]).toEqual([...expected, ...mlp].map((name) => `blocks.0.${name}`));
    expect(specs.reduce((n, { shape }) => n + shape.reduce((a, b) => a * b), 0)).toBeLessThan(countParameters(cfg) / 2);
  });

  test("change nothing before training", () => {
    const param = withAdapters(paramInputs(cfg), adapterInputs(cfg), lora);
    const losses = evaluate(
      [
        lossOf(cfg, { batchSize: B, blockSize: T }, param),
        lossOf(cfg, { batchSize: B, blockSize: T }, paramInputs(cfg)),
      ],
      { ...feedsOf(cfg), ...Object.fromEntries(initAdapters(cfg, lora, 1)) },
    );
    expect(losses[0]).toEqual(losses[1]);
  });
});
