/** M1: the memory of a model with 1.3 billion parameters, imported to 8 bits. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import { bytesOf, openWeights } from "../../engine/models/folder";
import { withTemporaryFolder } from "../temporaryFolder";
import { type Decoded, memoryOf } from "./measure";
import { importQuantized, type ShapeName, writeRandomModel } from "./models";
import { CACHE } from "./programs";
import { measureApart } from "./sides";
import { printFigure, row, shown } from "./table";

export async function benchLarge({
  shape,
  json,
}: {
  readonly shape: ShapeName;
  readonly json: boolean;
}): Promise<void> {
  await withTemporaryFolder(CACHE, "bench", async (dir) => {
    const [original, path] = [join(dir, "float16"), join(dir, "8-bit")];
    console.error("Creating a model in float16 with random weights …");
    await writeRandomModel(original, shape, "F16");
    console.error("Importing it to 8 bits …");
    await importQuantized(original, path, "8-bit");
    await rm(original, { recursive: true });
    const { cfg, weights } = await openWeights(path);
    const weightBytes = [...weights.values()].reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    const prompt = Array.from({ length: 16 }, (_, i) => (i * 977) % cfg.vocabSize);
    const job = { kind: "decode", library: "ours", path, prompt, newTokens: 16, repeats: 3 } as const;
    const own = new OwnMemory();
    const { loadSeconds, tokensPerSecond, memory } = await measureApart<Decoded>(job, (pid) => own.watch(pid));
    own.end();
    const figures = [
      { metric: "weights MB", samples: [weightBytes / 1e6] },
      { metric: "load s", samples: [loadSeconds] },
      { metric: "decode tok/s", samples: tokensPerSecond },
      { metric: "peak RSS MB", samples: [memory.peak] },
      { metric: "RSS of mapped files MB", samples: memory.mapped === null ? [] : [memory.mapped] },
      { metric: "peak RSS of its own MB", samples: own.peak === 0 ? [] : [own.peak] },
      { metric: "peak RSS of its own / weights", samples: own.peak === 0 ? [] : [(own.peak * 1e6) / weightBytes] },
    ].filter(({ samples }) => samples.length > 0);
    for (const { metric, samples } of figures) {
      const value = Math.max(...samples);
      if (json) printFigure({ work: "M1", variant: "8-bit", metric, value, samples });
      else console.log(row([`M1 OPT-1.3b's shape, 8-bit: ${metric}`, shown(value)]));
    }
  });
}

/** Peak private memory of another process, polled from here because a model is opened in one long call. */
class OwnMemory {
  peak = 0;
  #timer: NodeJS.Timeout | undefined;

  watch(pid: number): void {
    this.#timer = setInterval(async () => {
      this.peak = Math.max(this.peak, (await memoryOf(pid)).own ?? 0);
    }, 10);
  }

  end(): void {
    clearInterval(this.#timer);
  }
}
