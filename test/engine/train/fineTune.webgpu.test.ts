import { expect, test } from "vitest";
import { train } from "../../../src/engine/train/run";
import { baseFolder, fineTuning, LORA, watched } from "../../helpers/fineTuning";
import { describeWebgpu } from "../../helpers/webgpu";

describeWebgpu("on WebGPU a run from a model goes as on the CPU", () => {
  // The gradients of adapters pass every kind of node in a layer; those of whole matrices are tested in
  // step.webgpu.test.ts. The driver takes half a minute to compile each graph.
  test("adapters", async () => {
    const base = await baseFolder("llama");
    const [cpu, gpu] = [watched(), watched()];
    await train(fineTuning(base, { ...LORA, "train.steps": 4 }), cpu);
    const { dir } = await train(fineTuning(base, { ...LORA, "train.steps": 4 }, "webgpu"), gpu);
    expect(gpu.losses).toHaveLength(4);
    gpu.losses.forEach((loss, i) => {
      expect(loss).toBeCloseTo(cpu.losses[i] as number, 2);
    });
    expect(dir).not.toBe(base);
  }, 240_000);
});
