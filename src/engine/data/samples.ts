/** The texts in `samples/`, which ship with the programs. */

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Reads a sample. Returns its text instead of its path, so that a run can be resumed after an update moved the file. */
export async function readSample(name: string): Promise<{ kind: "text"; name: string; text: string }> {
  // A bundle is in `dist/` next to `samples/`, and this file in `src/engine/data/`.
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    try {
      return { kind: "text", name, text: await readFile(join(folder, "samples", name), "utf8") };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT" || dirname(folder) === folder) throw error;
    }
  }
}
