/** Deletes what processes that were killed have left, when the engine starts. */

import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { DataCache, removeStale } from "../engine";

/** Cleans a folder of model folders, and the cache of tokenized texts. */
export async function removeLeftovers(models: string | undefined): Promise<void> {
  await new DataCache().removeStale().catch(() => {});
  if (!models) return;
  const names: readonly string[] = await readdir(models).catch(() => []);
  const folders = names.map((name) => join(models, name));
  await removeStale(models, ...folders, ...folders.map((folder) => join(folder, "checkpoints")));
  for (const folder of folders) for (const name of RENAMED) await removeOld(join(folder, name));
}

/** Records that the extension was changing. */
const RENAMED = ["training.json.new", "source.json.new"];
const OLD_MS = 60_000;

async function removeOld(path: string): Promise<void> {
  const changed = (await stat(path).catch(() => null))?.mtimeMs ?? Date.now();
  if (Date.now() - changed > OLD_MS) await rm(path, { force: true }).catch(() => {});
}
