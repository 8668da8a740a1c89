/**
 * Collects the sentences of the extension and its pages for translators in `l10n/bundle.l10n.json`.
 *
 *   node scripts/l10n.ts
 */

import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inRoot, runAsScript } from "./paths.ts";

export interface Calls {
  readonly file: string;
  /** Sentences passed as string literals, in the order of the file. */
  readonly sentences: readonly string[];
  /** Number of all calls. If it exceeds the number of sentences, a call does not pass a literal. */
  readonly count: number;
}

/** Calls of `l10n.t` in the extension and of `t` in the pages, by file. */
export async function translatedCalls(): Promise<readonly Calls[]> {
  return [...(await callsIn("src/extension", "l10n\\.t")), ...(await callsIn("webview", "\\bt"))];
}

async function callsIn(folder: string, name: string): Promise<Calls[]> {
  const files = (await readdir(inRoot(folder), { recursive: true })).filter((file) => file.endsWith(".ts"));
  return Promise.all(
    files.map(async (file) => {
      const source = await readFile(inRoot(folder, file), "utf8");
      const literals = source.matchAll(new RegExp(`${name}\\(\\s*("(?:[^"\\\\]|\\\\.)*")`, "g"));
      return {
        file: join(folder, file),
        sentences: [...literals].map(([, literal]) => JSON.parse(literal as string) as string),
        count: [...source.matchAll(new RegExp(`${name}\\(`, "g"))].length,
      };
    }),
  );
}

/** The bundle's text: each sentence is its own translation, in alphabetical order. */
export function bundleOf(calls: readonly Calls[]): string {
  const sentences = [...new Set(calls.flatMap((each) => each.sentences))].sort();
  return `${JSON.stringify(Object.fromEntries(sentences.map((each) => [each, each])), null, 2)}\n`;
}

runAsScript(import.meta.url, async () => {
  await writeFile(inRoot("l10n", "bundle.l10n.json"), bundleOf(await translatedCalls()));
});
