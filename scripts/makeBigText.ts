/**
 * Writes a large text for benchmarks: sentences of invented words, a few of them frequent and most of them rare.
 *
 *   node scripts/makeBigText.ts FILE MEGABYTES
 */

import { open } from "node:fs/promises";
import { random } from "../src/engine/random.ts";
import { Failure, runAsScript } from "./paths.ts";

const WORDS = 50_000;
const BLOCK = 1_000_000;

/** Writes `megabytes` MB of ASCII text, the same for the same seed. */
export async function writeBigText(path: string, megabytes: number, seed = 1): Promise<void> {
  const { below, uniform } = random(seed, "big text");
  const syllables = [
    "ka",
    "lo",
    "min",
    "ter",
    "sa",
    "ve",
    "ron",
    "di",
    "el",
    "pha",
    "qui",
    "zor",
    "jun",
    "we",
    "bix",
    "og",
  ];
  const syllable = () => syllables[below(syllables.length)] as string;
  const words = Array.from({ length: WORDS }, () => Array.from({ length: 1 + below(4) }, syllable).join(""));

  const file = await open(path, "w");
  try {
    for (let block = 0; block < megabytes; block++) {
      const lines: string[] = [];
      for (let length = 0; length < BLOCK; ) {
        // Uniform in the logarithm of the rank, so that word frequencies follow Zipf's law, as in natural text.
        const sentence = Array.from({ length: 4 + below(12) }, () => words[Math.floor(WORDS ** uniform()) - 1]).join(
          " ",
        );
        lines.push(`${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`);
        length += sentence.length + 2;
      }
      await file.write(`${lines.join("\n").slice(0, BLOCK - 1)}\n`);
    }
  } finally {
    await file.close();
  }
}

runAsScript(import.meta.url, async () => {
  const [path, megabytes] = process.argv.slice(2);
  if (!path || !(Number(megabytes) >= 1)) throw new Failure("Usage: node scripts/makeBigText.ts FILE MEGABYTES");
  await writeBigText(path, Number(megabytes));
});
