import { describe } from "vitest";
import { EngineError } from "../../src/engine/errors";
import { input } from "../../src/engine/graph/node";
import { runGraph } from "./run";

/** Tests that need a GPU, or the software one. Skipped, and said so, on a machine that has neither. */
export const describeWebgpu = describe.skipIf(!(await hasWebgpu()));

async function hasWebgpu(): Promise<boolean> {
  try {
    await runGraph({ y: input("x", [1]).exp() }, { x: Float32Array.of(0) }, "webgpu");
    return true;
  } catch (error) {
    if (!(error instanceof EngineError && error.code === "device")) throw error;
    console.warn(`Tests on WebGPU are skipped: ${error.message} (Debian's package chromium has a software one.)`);
    return false;
  }
}
