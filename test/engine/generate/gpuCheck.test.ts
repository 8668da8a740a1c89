import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { checkPaths } from "../../../src/engine/generate/gpuCheck";
import type { GpuJob, GpuResult, GpuStep } from "../../../src/engine/runtime/gpuProcess";
import { encodeModel } from "../../../src/engine/runtime/onnx";

type Runs = (job: GpuJob) => Promise<readonly GpuResult[]>;
type Change = (result: GpuResult, step: GpuStep) => GpuResult;

/** A GPU whose ways of attention are both right: the CPU, with plain products. */
async function rightGpu({ graphs, shared, steps }: GpuJob): Promise<GpuResult[]> {
  const session = async (name: "plain" | "cache" | "product") =>
    graphs[name] && InferenceSession.create(encodeModel(graphs[name]), { logSeverityLevel: 3 });
  const sessions: Record<string, InferenceSession | undefined> = {
    ...{ cache: await session("cache"), plain: await session("plain"), product: await session("product") },
  };
  sessions.fused = sessions.plain;
  const kept: Record<string, Tensor> = {};
  const results: GpuResult[] = [];
  for (const { graph, feeds, keeps } of steps) {
    const runner = sessions[graph] as InferenceSession;
    const given = { ...shared, ...feeds };
    const fed = runner.inputNames.map((name) => {
      const { type, data, dims } = given[name] ?? (kept[name] as Tensor);
      return [name, new Tensor(type as "float32", data as Float32Array, dims)] as const;
    });
    const found = (await runner.run(Object.fromEntries(fed))) as Record<string, Tensor>;
    for (const [name, tensor] of Object.entries(found))
      if (keeps || name.endsWith("'")) kept[name.replace("'", "")] = tensor;
    // Fused attention is faster than plain, and the GPU wins every benchmark.
    const milliseconds = graph === "product" ? 0 : graph === "fused" ? 1 : 2;
    results.push({ outputs: { logits: found.logits?.data as Float32Array }, milliseconds });
  }
  return results;
}

const changed =
  (change: Change): Runs =>
  async (job) =>
    (await rightGpu(job)).map((result, i) => change(result, job.steps[i] as GpuStep));

const tokensOf = ({ feeds }: GpuStep) => feeds.ids?.data.length ?? 0;

/** Adds to one logit of the steps that `matches` selects. */
const wrongBy = (error: number, matches: (step: GpuStep) => boolean): Runs =>
  changed((result, step) => {
    if (result.error !== undefined || !matches(step)) return result;
    const logits = Float32Array.from(result.outputs.logits ?? [], (x, i) => (i === 3 ? x + error : x));
    return { ...result, outputs: { logits } };
  });

describe("the check of a GPU", () => {
  test("uses fused attention where it is right", async () =>
    expect(await checkPaths(rightGpu)).toEqual({ prompts: "fused", tokens: "fused" }));

  test("accepts rounding", async () =>
    expect(await checkPaths(wrongBy(1e-4, () => true))).toEqual({ prompts: "fused", tokens: "fused" }));

  test("reads prompts with plain attention where that is faster", async () => {
    const slow = changed((result, { graph }) => ({ ...result, milliseconds: graph === "fused" ? 3 : 2 }) as GpuResult);
    expect(await checkPaths(slow)).toEqual({ prompts: "plain", tokens: "fused" });
  });

  for (const error of [0.01, 0.19, Number.NaN, Number.POSITIVE_INFINITY]) {
    test(`avoids fused attention for prompts if one length is off by ${error}`, async () => {
      const run = wrongBy(error, (step) => step.graph === "fused" && tokensOf(step) === 33);
      expect(await checkPaths(run)).toEqual({ prompts: "plain", tokens: "fused" });
    });

    test(`avoids fused attention for tokens that are off by ${error}`, async () => {
      const run = wrongBy(error, (step) => step.graph === "fused" && tokensOf(step) === 1);
      expect(await checkPaths(run)).toEqual({ prompts: "plain", tokens: "plain" });
    });

    test(`refuses a GPU whose plain attention is off by ${error}`, async () => {
      const run = wrongBy(error, (step) => step.graph === "plain" && tokensOf(step) === 100);
      const problem = Number.isFinite(error)
        ? /its results differ by 0\.\d+ from the CPU's in a test/
        : /it could not run a test model/;
      await expect(checkPaths(run)).rejects.toThrow(problem);
      await expect(checkPaths(run)).rejects.toThrow(/^WebGPU is not used on this GPU: [^.]+(\.\d+)?[^.]*\. Choose the/);
    });
  }

  test("avoids a fused kernel that fails or ends the process", async () => {
    const run = changed((result, { graph }) => (graph === "fused" ? { error: "ended" } : result));
    expect(await checkPaths(run)).toEqual({ prompts: "plain", tokens: "plain" });
  });

  test("reports a missing GPU in plain words", async () => {
    const run = changed(() => ({ error: "Failed to get a WebGPU adapter: No supported adapters\n at x" }));
    await expect(checkPaths(run)).rejects.toThrow("WebGPU found no GPU. Choose the device cpu.");
  });
});

describe("the device", () => {
  let run: Runs = rightGpu;
  let runs = 0;
  beforeEach(async () => {
    runs = 0;
    vi.resetModules();
    vi.stubEnv("DECODER_LAB_CACHE", await mkdtemp(join(tmpdir(), "decoder-lab-")));
    vi.doMock("../../../src/engine/runtime/gpuProcess", async (original) => ({
      ...(await original<object>()),
      runOnGpu: (job: GpuJob) => {
        runs++;
        return run(job);
      },
    }));
  });
  afterEach(() => {
    vi.doUnmock("../../../src/engine/runtime/gpuProcess");
    vi.unstubAllEnvs();
  });
  const devices = () => import("../../../src/engine/runtime/devices");

  test("webgpu is chosen, with the result of the check, which runs once", async () => {
    run = wrongBy(0.1, (step) => step.graph === "fused" && tokensOf(step) === 33);
    const { chooseDevice, listDevices } = await devices();
    const checked = "checked: plain attention for prompts, fused for single tokens";
    const reason = `chosen in the settings; ${checked}`;
    expect(await chooseDevice("webgpu")).toEqual({ device: "webgpu", reason });
    expect(await chooseDevice("webgpu")).toEqual({ device: "webgpu", reason });
    expect(runs).toBe(1);
    const [, gpu] = await listDevices();
    expect(gpu).toEqual({ device: "webgpu", available: true, detail: expect.stringContaining(checked) });
    expect(await chooseDevice("auto")).toEqual({ device: "webgpu", reason: expect.stringContaining(checked) });
  });

  test("webgpu is refused, and auto is the CPU, where the GPU computes wrong values", async () => {
    run = wrongBy(0.1, (step) => step.graph === "plain");
    const { chooseDevice, listDevices } = await devices();
    const sentence = /^WebGPU is not used on this GPU: its results differ by 0\.10 from the CPU's in a test\. Choose/;
    await expect(chooseDevice("webgpu")).rejects.toThrow(sentence);
    expect(await chooseDevice("auto")).toEqual({ device: "cpu", reason: expect.stringMatching(sentence) });
    expect((await listDevices())[1]).toEqual({
      ...{ device: "webgpu", available: false },
      detail: expect.stringMatching(sentence),
    });
  });

  test("a slow check is remembered for a day by another process", async () => {
    run = async (job) => {
      await new Promise((resolve) => setTimeout(resolve, 600));
      return wrongBy(0.1, (step) => step.graph === "fused" && tokensOf(step) === 1)(job);
    };
    const first = await (await devices()).chooseDevice("webgpu");
    vi.resetModules();
    expect(await (await devices()).chooseDevice("webgpu")).toEqual(first);
    expect(runs).toBe(1);
    vi.resetModules();
    vi.useFakeTimers({ now: Date.now() + 25 * 3600 * 1000, toFake: ["Date"] });
    try {
      await (await devices()).chooseDevice("webgpu");
    } finally {
      vi.useRealTimers();
    }
    expect(runs).toBe(2);
  });
});
