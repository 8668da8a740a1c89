import { describe, expect, test } from "vitest";
import { decodeGraph } from "../../../src/engine/generate/decodeGraph";
import { Decoding } from "../../../src/engine/generate/decoding";
import { TokenCache } from "../../../src/engine/generate/generate";
import { fusedProblem } from "../../../src/engine/generate/gpuCache";
import { Tracer, traceGraph } from "../../../src/engine/inspect/tracer";
import type { DecoderConfig } from "../../../src/engine/nn/config";
import { lower } from "../../../src/engine/runtime/lower";
import { Session } from "../../../src/engine/runtime/session";
import { paramInputs } from "../../helpers/graphs";
import { largestDifference, modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";
import { describeWebgpu } from "../../helpers/webgpu";

const configs = { "GPT-2's way": tinyConfig, "what today's families do": modernConfig };

const rotary: DecoderConfig["positions"] = {
  kind: "rotary",
  dims: 16,
  theta: 1000,
  scaling: null,
  unrotatedLayers: [],
};
const grouped: DecoderConfig = {
  ...modernConfig,
  ...{ nHeads: 4, nKvHeads: 2, dHead: 16, positions: rotary, norm: "pre", qkNorm: "none", normKind: "rms" },
  ...{ attentionScale: 0.25, attentionSoftcap: null, logitSoftcap: null, windows: [] },
};

const lengths = [1, 2, 23, 24, 25, 31, 32, 33, 64, 100, 257, 512, 700];

/** The ways in which families differ that attention on a GPU must get right. */
const families: Readonly<Record<string, { readonly cfg: DecoderConfig; readonly lengths: readonly number[] }>> = {
  "learned positions": { cfg: tinyConfig, lengths },
  "rotary positions and grouped heads": { cfg: grouped, lengths },
  "a sliding window": { cfg: { ...grouped, windows: [40, null] }, lengths },
  "sandwich norms, soft caps and a small window": { cfg: modernConfig, lengths },
  "no causal mask": { cfg: { ...tinyConfig, causal: false }, lengths: [1, 2, 33, 257] },
  "heads of five dimensions": {
    cfg: { ...tinyConfig, nHeads: 4, nKvHeads: 2, dHead: 5, attentionScale: 0.4 },
    lengths: [1, 2, 33, 600],
  },
};

describeWebgpu("on WebGPU", () => {
  describe.each(Object.entries(configs))("%s", (_name, cfg) => {
    test.each(fusedProblem(cfg) ? (["plain"] as const) : (["plain", "fused"] as const))(
      "%s attention has no CPU fallback",
      async (attention) => {
        const graph = decodeGraph(cfg, { param: paramInputs(cfg) }, 1, attention);
        await (await Session.create(lower(graph, "webgpu"), "webgpu", { forbidFallback: true })).release();
      },
    );

    test("traces have no CPU fallback", async () => {
      const graph = traceGraph(cfg, { param: paramInputs(cfg) }, 2);
      await (await Session.create(lower(graph, "webgpu"), "webgpu", { forbidFallback: true })).release();
    });

    test("a cache computes the CPU's values: for a prompt, single tokens, and other tokens after rewinding", async () => {
      const [cpu, gpu] = [await tinyModel(cfg), await tinyModel(cfg, "webgpu")];
      const prompts = [someIds(30), someIds(31), someIds(32), [...someIds(20), 1, 2]];
      const logits = async ({ weights }: typeof cpu) => {
        const cache = new TokenCache(new Decoding(cfg, weights));
        const all: number[] = [];
        for (const ids of prompts)
          all.push(...((await cache.after(ids, { logits: true })).next.logits as Float32Array));
        return all;
      };
      expect(largestDifference(await logits(gpu), await logits(cpu))).toBeLessThan(1e-4);
      await gpu.weights.release();
    }, 180_000); // Includes the check of the GPU.

    test("a trace has the CPU's values", async () => {
      const [cpu, gpu] = [await tinyModel(cfg), await tinyModel(cfg, "webgpu")];
      const trace = ({ weights }: typeof cpu) => new Tracer(cfg, weights).trace([someIds(13), someIds(8)]);
      const [a, b] = [await trace(gpu), await trace(cpu)];
      expect([...a.keys()]).toEqual([...b.keys()]);
      for (const [name, { data }] of b)
        expect(largestDifference(a.get(name)?.data ?? [], data), name).toBeLessThan(2e-4);
      await gpu.weights.release();
    });
  });

  test.each(Object.entries(families))(
    "prompts of 1 to 700 tokens, and the tokens after them, have the CPU's logits: %s",
    async (_name, { cfg: { ...cfg }, lengths }) => {
      cfg.nCtx = 720;
      const [cpu, gpu] = [await tinyModel(cfg), await tinyModel(cfg, "webgpu")];
      const [expected, actual] = [cpu, gpu].map(({ weights }) => new Decoding(cfg, weights)) as [Decoding, Decoding];
      for (const length of lengths) {
        for (const decoding of [expected, actual]) decoding.rewind(0);
        for (const ids of [someIds(length), [5], [11]]) {
          const [a, b] = [
            await actual.append(Int32Array.from(ids), { logits: true }),
            await expected.append(Int32Array.from(ids), { logits: true }),
          ];
          const difference = largestDifference(a.logits as Float32Array, b.logits as Float32Array);
          expect(difference, `${length} tokens, then ${ids}`).toBeLessThan(1e-4);
          expect(a.best).toEqual(b.best);
        }
      }
      await Promise.all([actual.release(), expected.release()]);
      await gpu.weights.release();
    },
    180_000,
  );

  test.each(["learned positions", "sandwich norms, soft caps and a small window"])(
    "a batch of unequal prompts in two pieces has the CPU's logits: %s",
    async (name) => {
      const cfg = { ...(families[name]?.cfg as DecoderConfig), nCtx: 620 };
      const [cpu, gpu] = [await tinyModel(cfg), await tinyModel(cfg, "webgpu")];
      // The second sequence ends in the first piece.
      const lengths = [600, 3, 520];
      const prompt = Int32Array.from({ length: 1800 }, (_, i) => (i * 5) % 23);
      const logits = async ({ weights }: typeof cpu) => {
        const decoding = new Decoding(cfg, weights, 3);
        const found = [
          await decoding.append(prompt, { logits: true, lengths }),
          await decoding.append(Int32Array.of(4, 9, 2), { logits: true }),
          await decoding.append(Int32Array.of(4, 9, 2, 7, 8, 1), { logits: true, lengths: [1, 2, 2] }),
          await decoding.append(Int32Array.of(3, 5, 8), { logits: true }),
        ];
        await decoding.release();
        return found.flatMap((next) => [...(next.logits as Float32Array), ...next.best, ...next.entropy]);
      };
      expect(largestDifference(await logits(gpu), await logits(cpu))).toBeLessThan(1e-4);
      await gpu.weights.release();
    },
    180_000,
  );
});
