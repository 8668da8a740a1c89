/** The jobs that are killed, which the test repeats afterwards. */

import { dirname, join } from "node:path";
import { DataCache, exportModel, importModel } from "../../../src/engine";
import { openCorpus, tokenizeCorpus } from "../../../src/engine/data";

export const exporting = (from: string, out: string) => exportModel(from, { format: "hf", out });

export const importing = (from: string, out: string, quantize?: "int8") => importModel(from, { out, quantize });

/** Imports from a hub; its cache is beside the new folder. */
export function downloading(endpoint: string, out: string) {
  process.env.HF_HOME = join(dirname(dirname(out)), "hf");
  return importModel("lab/real", { out, endpoint });
}

/** Tokenizes a text into a cache. */
export async function tokenizing(text: string, cache: string): Promise<void> {
  const corpus = await openCorpus({ kind: "paths", paths: [text] }, { field: "text", gitignore: false });
  const options = { cache: new DataCache(cache), held: 0 };
  (await tokenizeCorpus(corpus, { kind: "characters" }, options)).release();
}
