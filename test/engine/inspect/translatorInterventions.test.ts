import { beforeAll, describe, expect, test } from "vitest";
import { argMax } from "../../../src/engine/generate/sampling";
import { Attributor } from "../../../src/engine/inspect/attribution";
import type { TraceIntervention } from "../../../src/engine/inspect/interventions";
import type { Trace, TraceValue } from "../../../src/engine/inspect/trace";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { TranslationTracer } from "../../../src/engine/inspect/translation";
import { type DeviceWeights, placeWeights } from "../../../src/engine/runtime/weights";
import { type GoldenTranslator, goldenTranslators } from "../../helpers/goldenTranslators";
import { largestDifference, tinyModel } from "../../helpers/tinyModel";

const data = (trace: Trace, name: string) => (trace.get(name) as TraceValue).data;

describe.each(goldenTranslators)("a translator, as PyTorch computes it by make_translators.py: $name", (golden) => {
  const { config, pairs, found } = golden;
  let weights: DeviceWeights;
  let tracer: TranslationTracer;
  let plain: Trace;
  let other: Trace;
  beforeAll(async () => {
    weights = await placeWeights(config, golden.params, "cpu");
    tracer = new TranslationTracer(config, weights);
    [plain, other] = [await run(0, []), await run(1, [])];
  });
  const run = (pair: number, interventions: readonly TraceIntervention[]) => {
    const { source, target } = pairs[pair] as GoldenTranslator["pairs"][number];
    return tracer.trace([source], [target], interventions);
  };

  test("ablates, scales and patches parts of both stacks", async () => {
    const from = (position: number) => ({ trace: other, position });
    const encoder = { stack: "encoder", layer: 0 } as const;
    const changes: Record<string, TraceIntervention> = {
      crossHead: { kind: "scale", part: { kind: "crossHead", layer: 0, head: 1 }, factor: 0 },
      cross: { kind: "scale", part: { kind: "cross", stack: "decoder", layer: 0 }, factor: 0.5 },
      encoderHead: { kind: "scale", part: { kind: "head", ...encoder, head: 0 }, factor: 0 },
      encoderMlp: { kind: "scale", part: { kind: "mlp", ...encoder }, factor: 0 },
      layer: { kind: "scale", part: { kind: "layer", layer: 0 }, factor: 0 },
      patchedCrossHead: { kind: "patch", value: { kind: "crossHead", layer: 0, head: 0 }, position: 1, from: from(4) },
      patchedEncoder: { kind: "patch", value: { kind: "residPost", ...encoder }, position: 2, from: from(1) },
    };
    for (const [name, change] of Object.entries(changes)) {
      const logits = data(await run(0, [change]), "logits");
      expect(largestDifference(logits, found(name)), name).toBeLessThan(1e-4);
      expect(largestDifference(logits, data(plain, "logits")), `${name} changes something`).toBeGreaterThan(1e-3);
    }
  });

  test("attributes the most likely token's logit to heads of both attentions, MLPs and embeddings, with interventions too", async () => {
    const attributor = new Attributor(config, weights);
    const position = (pairs[0]?.target.length ?? 0) - 1;
    const last = data(plain, "logits").subarray(-config.decoder.vocabSize);
    const { parts, logit, remainder } = await attributor.attribute(plain, { position, token: argMax(last) });
    const of = (...kinds: string[]) => parts.filter(({ kind }) => kinds.includes(kind)).map(({ value }) => value);
    expect(logit).toBe(last[argMax(last)]);
    expect(Math.abs(remainder)).toBeLessThan(1e-4);
    expect(largestDifference(of("head"), found("heads"))).toBeLessThan(1e-4);
    expect(largestDifference(of("crossHead"), found("crossHeads"))).toBeLessThan(1e-4);
    expect(largestDifference(of("mlp"), found("mlps"))).toBeLessThan(1e-4);
    const embeddings = of("embed", "posEmbed").reduce((sum, x) => sum + x, 0);
    expect(embeddings).toBeCloseTo(found("embeddings")[0] as number, 4);

    const interventions: TraceIntervention[] = [
      { kind: "scale", part: { kind: "crossHead", layer: 0, head: 0 }, factor: 2 },
      { kind: "scale", part: { kind: "mlp", stack: "encoder", layer: 0 }, factor: 0.5 },
      { kind: "patch", value: { kind: "crossOut", layer: 0 }, position: 1, from: { trace: other, position: 3 } },
    ];
    const changed = await run(0, interventions);
    for (const position of [1, 2]) {
      const told = await attributor.attribute(changed, { position, token: 4, against: 6 }, interventions);
      expect(Math.abs(told.remainder)).toBeLessThan(1e-4);
      expect(told.parts.some(({ kind }) => kind === "cross")).toBe(position === 1);
    }
    await attributor.release();
  });

  test("rejects parts that it lacks with the reason", async () => {
    const scaled = (part: Extract<TraceIntervention, { kind: "scale" }>["part"]) =>
      run(0, [{ kind: "scale", part, factor: 0 }]);
    await expect(scaled({ kind: "crossHead", stack: "encoder", layer: 0, head: 0 })).rejects.toThrow(
      "Only a translator's decoder has it",
    );
    await expect(scaled({ kind: "mlp", stack: "encoder", layer: 5 })).rejects.toThrow("There is no layer 5");
    const far = { kind: "residPost", stack: "encoder", layer: 0 } as const;
    const patch = { kind: "patch", value: far, position: 6, from: { trace: other, position: 0 } } as const;
    await expect(run(0, [patch])).rejects.toThrow("There is no position 6. This trace has positions 0 to 5.");
  });
});

test("a decoder-only model has no encoder to change", async () => {
  const { cfg, weights } = await tinyModel();
  const part = { kind: "mlp", stack: "encoder", layer: 0 } as const;
  const run = new Tracer(cfg, weights).trace([[3, 4]], "whole", undefined, [{ kind: "scale", part, factor: 0 }]);
  await expect(run).rejects.toThrow("There is no encoder: this model is a decoder only.");
});
