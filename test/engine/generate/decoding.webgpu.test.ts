import { describe, expect, test } from "vitest";
import { Decoding, decodeGraph } from "../../../src/engine/generate/decoding";
import { TokenCache } from "../../../src/engine/generate/generate";
import { Tracer, traceGraph } from "../../../src/engine/inspect/tracer";
import { lower } from "../../../src/engine/runtime/lower";
import { Session } from "../../../src/engine/runtime/session";
import { paramInputs } from "../../helpers/graphs";
import { largestDifference, modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";
import { describeWebgpu } from "../../helpers/webgpu";

const configs = {
  "GPT-2's way": tinyConfig,
  // The GPU's attention operator has no soft-caps, so such models generate on the CPU.
  "what today's families do": { ...modernConfig, attentionSoftcap: null },
};

describeWebgpu("on WebGPU", () => {
  describe.each(Object.entries(configs))("%s", (_name, cfg) => {
    test("generation has no CPU fallback", async () => {
      const graph = decodeGraph(cfg, { param: paramInputs(cfg), device: "webgpu" }, 1);
      await (await Session.create(lower(graph, "webgpu"), "webgpu", { forbidFallback: true })).release();
    }, 120_000);

    test("traces have no CPU fallback", async () => {
      const graph = traceGraph(cfg, { param: paramInputs(cfg) }, 2);
      await (await Session.create(lower(graph, "webgpu"), "webgpu", { forbidFallback: true })).release();
    }, 120_000);

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
    }, 120_000);

    test("a batch of unequal prompts computes the CPU's values", async () => {
      const [cpu, gpu] = [await tinyModel(cfg), await tinyModel(cfg, "webgpu")];
      const lengths = [7, 3];
      const prompt = Int32Array.from({ length: 14 }, (_, i) => (i % 2 === 1 && i > 6 ? 0 : (i * 5) % 23));
      const logits = async ({ weights }: typeof cpu) => {
        const decoding = new Decoding(cfg, weights, 2);
        const first = await decoding.append(prompt, { logits: true, lengths });
        const second = await decoding.append(Int32Array.of(4, 9), { logits: true });
        return [...(first.logits as Float32Array), ...(second.logits as Float32Array)];
      };
      expect(largestDifference(await logits(gpu), await logits(cpu))).toBeLessThan(1e-4);
      await gpu.weights.release();
    }, 120_000);

    test("a trace has the CPU's values", async () => {
      const [cpu, gpu] = [await tinyModel(cfg), await tinyModel(cfg, "webgpu")];
      const trace = ({ weights }: typeof cpu) => new Tracer(cfg, weights).trace([someIds(13), someIds(8)]);
      const [a, b] = [await trace(gpu), await trace(cpu)];
      expect([...a.keys()]).toEqual([...b.keys()]);
      for (const [name, { data }] of b)
        expect(largestDifference(a.get(name)?.data ?? [], data), name).toBeLessThan(2e-4);
      await gpu.weights.release();
    }, 120_000);
  });
});
