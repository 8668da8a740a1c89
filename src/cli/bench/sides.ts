/** The sides of a benchmark: Decoder Lab, and other libraries with the same weights. */

import { join } from "node:path";
import { exportModel } from "../../engine";
import { openWeights } from "../../engine/models/folder";
import { writeGguf } from "./gguf";
import type { Decoded, DecodeJob, Job, Traced } from "./measure";
import type { Precision } from "./models";
import { findTorch, findTransformers, installLlama, runForJson, scriptAt } from "./programs";

/** A library that runs the model. */
export interface Side {
  readonly name: "ours" | "PyTorch" | "llama.cpp" | "transformers.js";
  readonly precisions: readonly Precision[];
  /** Converts the model to the side's format; returns the options for its process. */
  readonly prepare: (precision: Precision) => Promise<Pick<DecodeJob, "library" | "path" | "from" | "dtype">>;
  readonly measure: <T extends Decoded | Traced>(job: Job) => Promise<T>;
  readonly traces: boolean;
}

export const PRECISIONS: readonly Precision[] = ["f32", "8-bit", "4-bit"];

/** Measures in another process of this program. */
export const measureApart = <T>(job: object, onStart?: (pid: number) => void): Promise<T> =>
  runForJson<T>(process.execPath, [process.argv[1] as string, "bench", "--measure", JSON.stringify(job)], onStart);

export const oursIn = (folder: (precision: Precision) => string): Side => ({
  name: "ours",
  precisions: PRECISIONS,
  prepare: async (precision) => ({ library: "ours", path: folder(precision) }),
  measure: (job) => measureApart(job),
  traces: true,
});

/** Returns the other libraries that are or can be installed, and logs why the rest are missing. */
export async function others(
  dir: string,
  folder: (precision: Precision) => string,
  log: (line: string) => void,
): Promise<Side[]> {
  const sides: Side[] = [];
  const script = scriptAt("torch_decode.py");
  const python = await findTorch(script);
  if (!python) log("PyTorch is not installed (Debian: python3-torch), so it is skipped.");
  else
    sides.push({
      name: "PyTorch",
      precisions: ["f32"],
      prepare: async (precision) => ({ library: "ours", path: folder(precision) }),
      measure: (job) => runForJson(python, [script, JSON.stringify(job)]),
      traces: true,
    });
  try {
    const from = await installLlama(log);
    sides.push({
      name: "llama.cpp",
      precisions: PRECISIONS,
      async prepare(precision) {
        const path = join(dir, `${precision}.gguf`);
        await writeGguf(path, await openWeights(folder(precision)));
        return { library: "llama.cpp", path, from };
      },
      measure: (job) => measureApart(job),
      traces: false,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    log(`node-llama-cpp could not be installed, so it is skipped: ${reason}`);
  }
  const from = findTransformers();
  if (!from) log("@huggingface/transformers is not installed, so it is skipped.");
  else
    sides.push({
      name: "transformers.js",
      precisions: PRECISIONS,
      async prepare(precision) {
        const out = join(dir, `onnx-${precision}`);
        await exportModel(folder(precision), { format: "onnx", out });
        const dtype = { f32: "fp32", "8-bit": "q8", "4-bit": "q4" }[precision];
        return { library: "transformers.js", path: out, from, dtype };
      },
      measure: (job) => measureApart(job),
      traces: false,
    });
  return sides;
}
