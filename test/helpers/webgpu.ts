import { describe } from "vitest";
import { EngineError } from "../../src/engine/errors";
import { input } from "../../src/engine/graph/node";
import { lower } from "../../src/engine/runtime/lower";
import { Session } from "../../src/engine/runtime/session";

/** Tests that need a GPU or a software GPU. On a machine with neither, they are skipped with a message. */
export const describeWebgpu = describe.skipIf(!(await hasWebgpu()));

async function hasWebgpu(): Promise<boolean> {
  try {
    // Never released, because releasing the last session drops compiled shaders, and a software GPU needs 0.1 s for each.
    await Session.create(lower({ y: input("x", [1]).exp() }, "webgpu"), "webgpu");
    return true;
  } catch (error) {
    if (!(error instanceof EngineError && error.code === "device")) throw error;
    console.warn(`Tests on WebGPU are skipped: ${error.message} (Debian's package chromium has a software one.)`);
    return false;
  }
}
