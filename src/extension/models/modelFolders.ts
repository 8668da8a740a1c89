import { basename, dirname, normalize } from "node:path";

/** Whether a folder is that of a model or of one of its checkpoints. A checkpoint is in its model's folder: `MODEL/checkpoints/step-…`. */
export function isKnown(dir: string, models: readonly string[]): boolean {
  if (models.includes(dir)) return true;
  const folder = dirname(dir);
  return dir === normalize(dir) && basename(folder) === "checkpoints" && models.includes(dirname(folder));
}
