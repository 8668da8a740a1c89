/** Commands that read a model also read a GGUF file: it is converted into a temporary folder while they run. */

import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { EngineError } from "../engine";
import { cacheFolder } from "../engine/data";
import { SOURCE_FILE } from "../engine/hub/import";
import { isGguf } from "../engine/hub/source";
import { convertGguf, writeFileWhole } from "../engine/weights";
import { excerpt } from "../text/untrusted";
import type { Options } from "./options";
import { withTemporaryFolder } from "./temporaryFolder";

/** Runs a command whose `--model` may be a GGUF file. */
export async function withGgufModel(options: Options, run: (options: Options) => Promise<void>): Promise<void> {
  const given = options.text("model") ?? "";
  const path = resolve(given);
  const isFile = given !== "" && (await stat(path).catch(() => null))?.isFile();
  if (!isFile || !(await isGguf(path))) return run(options);
  const name = basename(path, ".gguf");
  await withTemporaryFolder(join(cacheFolder(), "gguf"), name, async (dir) => {
    const { notes } = await convertGguf(path, dir, { onProgress: showProgress(name) });
    await writeFileWhole(join(dir, SOURCE_FILE), JSON.stringify({ name, notes }));
    for (const note of notes) console.error(note);
    await run(options.with("model", dir)).catch((error: unknown) => {
      if (!(error instanceof EngineError)) throw error;
      throw new EngineError(error.code, error.message.replaceAll(dir, path), { cause: error });
    });
  });
}

/** Updates one line of the terminal, which disappears at the end. */
function showProgress(name: string): (fraction: number) => void {
  const { stderr } = process;
  return (fraction) => {
    if (!stderr.isTTY) return;
    const line = fraction < 1 ? `Converting ${excerpt(name)} … ${Math.floor(100 * fraction)} %` : "";
    stderr.write(`\r${line.slice(0, stderr.columns - 1)}\x1b[K`);
  };
}
