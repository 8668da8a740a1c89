/** Sentences of a text, one per line. */

import type { TextSource } from "../api/run";
import { EngineError } from "../errors";
import { openCorpus } from "./corpus";

/** The sentences in order, with single spaces between words. Skips empty lines. */
export async function readSentences(
  source: TextSource,
  signal: AbortSignal = new AbortController().signal,
): Promise<readonly string[]> {
  const corpus = await openCorpus(source);
  const chunks: string[] = [];
  for await (const chunk of corpus.chunks(signal)) chunks.push(chunk);
  const sentences = chunks
    .join("")
    .split("\n")
    .map((line) => line.trim().replace(/\s+/gu, " "))
    .filter((line) => line !== "");
  if (sentences.length > 0) return sentences;
  throw new EngineError("data", `${corpus.name} is empty. Choose a text with one sentence per line.`);
}
