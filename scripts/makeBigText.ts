/**
 * Writes a large text to measure with: words of made-up spellings, some frequent and most rare, in sentences and lines.
 *
 *   node scripts/makeBigText.ts FILE MEGABYTES
 */

import { open } from "node:fs/promises";
import { random } from "../src/engine/random.ts";
import { Failure, runAsScript } from "./paths.ts";

const WORDS = 50_000;
const BLOCK = 1_000_000;

/** `megabytes` of text, the same for the same seed, in ASCII. */
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
        // The rank's logarithm is uniform, so that a word's frequency falls with its rank as in natural text.
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
  if (!path || !(Number(megabytes) >= 1))
    throw new Failure("Say which file to write and how many megabytes; both are needed.");
  await writeBigText(path, Number(megabytes));
});
