import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { Decoding, decodeGraph } from "../../../src/engine/generate/decoding";
import { TokenCache } from "../../../src/engine/generate/generate";
import { Tracer } from "../../../src/engine/inspect/trace";
import { lower } from "../../../src/engine/runtime/lower";
import { Session } from "../../../src/engine/runtime/session";
import { largestDifference, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

const icd = process.env.VK_ICD_FILENAMES ?? "";

test.skipIf(!existsSync(icd))(
  "generation and traces on WebGPU give the CPU's numbers, with nothing left to the CPU",
  async () => {
    for (const size of [1, 8]) {
      const session = await Session.create(lower(decodeGraph(tinyConfig, 1, size), "webgpu"), "webgpu", {
        forbidFallback: true,
      });
      await session.release();
    }
    const [cpu, gpu] = [await tinyModel(), await tinyModel(tinyConfig, "webgpu")];
    const ids = someIds(13);
    const logits = async ({ cfg, weights }: typeof cpu) => {
      const cache = new TokenCache(new Decoding(cfg, weights));
      await cache.logitsAfter(ids.slice(0, 11));
      return (await cache.logitsAfter(ids)).logits;
    };
    expect(largestDifference(await logits(gpu), await logits(cpu))).toBeLessThan(1e-4);

    const trace = ({ cfg, weights }: typeof cpu) => new Tracer(cfg, weights).trace([ids]);
    const [a, b] = [await trace(gpu), await trace(cpu)];
    expect([...a.keys()]).toEqual([...b.keys()]);
    for (const [name, { data }] of b) expect(largestDifference(a.get(name)?.data ?? [], data), name).toBeLessThan(2e-4);
  },
  120_000,
);
