/** Sentence pairs: tab-separated lines of one file, or the lines of two files. */

import type { TextSource } from "../api/run";
import { EngineError } from "../errors";
import { random } from "../random";
import { openCorpus } from "./corpus";

export interface SentencePair {
  readonly source: string;
  readonly target: string;
}

/** The pairs of a parallel text in order. A repeated source sentence keeps its first translation. */
export async function readPairs(
  source: TextSource,
  signal: AbortSignal = new AbortController().signal,
): Promise<readonly SentencePair[]> {
  const bySource = new Map<string, SentencePair>();
  for (const pair of await allPairs(source, signal)) if (!bySource.has(pair.source)) bySource.set(pair.source, pair);
  return [...bySource.values()];
}

async function allPairs(source: TextSource, signal: AbortSignal): Promise<SentencePair[]> {
  if (source.kind === "paths" && source.paths.length === 2) {
    const [sources, targets] = await Promise.all(source.paths.map((path) => linesOf(pathOf(path), signal)));
    return alignedPairs(sources as Lines, targets as Lines);
  }
  if (source.kind === "paths" && source.paths.length > 2) {
    throw new EngineError(
      "data",
      `${source.paths.length} files were chosen. Choose one with tab-separated sentence pairs, or two with one sentence per line.`,
    );
  }
  return tabbedPairs(await linesOf(source, signal));
}

const pathOf = (path: string): TextSource => ({ kind: "paths", paths: [path] });

interface Lines {
  readonly name: string;
  /** Trimmed; empty lines are kept. */
  readonly lines: readonly string[];
}

async function linesOf(source: TextSource, signal: AbortSignal): Promise<Lines> {
  // JSONL is read as plain text: its lines have no tab, so the error names the first one.
  const corpus = await openCorpus(source, { field: "", gitignore: false });
  const chunks: string[] = [];
  for await (const chunk of corpus.chunks(signal)) chunks.push(chunk);
  const lines = chunks.join("").split("\n");
  return { name: corpus.name, lines: lines.map((line) => line.trim()) };
}

/** Ignores columns after the second, such as a license or a source. */
function tabbedPairs({ name, lines }: Lines): SentencePair[] {
  return lines.flatMap((line, i) => {
    if (line === "") return [];
    const [source = "", target = ""] = line.split("\t").map((part) => part.trim());
    if (source !== "" && target !== "") return [{ source, target }];
    throw new EngineError(
      "data",
      `${name}, line ${i + 1}: expected a sentence, a tab and its translation. Correct the line, or choose two files with one sentence per line.`,
    );
  });
}

function alignedPairs(sources: Lines, targets: Lines): SentencePair[] {
  const lengths = [sources, targets].map(({ lines }) => lines.findLastIndex((line) => line !== "") + 1);
  const [n, m] = lengths as [number, number];
  if (n !== m) {
    throw new EngineError(
      "data",
      `${sources.name} has ${n} lines and ${targets.name} ${m}. Choose two files whose lines correspond.`,
    );
  }
  return Array.from({ length: n }, (_, i) => {
    const [source, target] = [sources.lines[i] as string, targets.lines[i] as string];
    if ((source === "") === (target === "")) return { source, target };
    throw new EngineError(
      "data",
      `Line ${i + 1} is empty in one of ${sources.name} and ${targets.name}. Choose two files whose lines correspond.`,
    );
  }).filter(({ source }) => source !== "");
}

export interface PairSplits<P = SentencePair> {
  readonly train: readonly P[];
  readonly validation: readonly P[];
  readonly test: readonly P[];
}

/** Splits pairs at random by the seed: `share` of them for validation, and as many for testing. */
export function splitPairs<P>(pairs: readonly P[], share: number, seed: number): PairSplits<P> {
  const heldOut = Math.max(1, Math.round(pairs.length * share));
  if (pairs.length < 2 * heldOut + 1) {
    throw new EngineError(
      "data",
      `${pairs.length} sentence pairs are too few to train on with ${2 * heldOut} held out. Choose a longer parallel text.`,
    );
  }
  const all = shuffled(pairs, seed, "held out");
  return {
    validation: all.slice(0, heldOut),
    test: all.slice(heldOut, 2 * heldOut),
    train: all.slice(2 * heldOut),
  };
}

/** Fisher-Yates shuffle, determined by seed and label. */
export function shuffled<T>(values: readonly T[], seed: number, ...label: readonly (string | number)[]): T[] {
  const { below } = random(seed, ...label);
  const all = [...values];
  for (let i = all.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [all[i], all[j]] = [all[j] as T, all[i] as T];
  }
  return all;
}
