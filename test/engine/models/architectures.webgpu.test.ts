import { existsSync } from "node:fs";
import { describe, test } from "vitest";
import { expectReferenceGreedy, expectReferenceTrace, openVariant } from "../../helpers/architectures";

const icd = process.env.VK_ICD_FILENAMES ?? "";

describe.skipIf(!existsSync(icd)).each(["gpt2", "opt", "llama", "qwen3"])("%s on WebGPU", (name) => {
  test("computes the values of PyTorch, and 64 greedy tokens with its KV cache", async () => {
    const opened = await openVariant(name, "webgpu");
    await expectReferenceTrace(opened, 2e-4);
    await expectReferenceGreedy(opened);
    await opened.weights.release();
  }, 240_000);
});
