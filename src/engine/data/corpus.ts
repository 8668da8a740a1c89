/** The source of training text: a given text, or files and folders, which are read in chunks and never held in full. */

import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { chunksOf } from "../../files/regular";
import type { TextSource } from "../api/run";
import { EngineError } from "../errors";
import { findFiles, nameOf, readError } from "./findFiles";
import { jsonLines, type Piece } from "./jsonLines";

/** Options for reading files. */
export interface ReadingOptions {
  /** The field of a JSONL line that holds its text; empty to read JSONL files as plain text. */
  readonly field: string;
  /** Skips files in folders and patterns that git ignores. */
  readonly gitignore: boolean;
}

const READING: ReadingOptions = { field: "text", gitignore: true };

/** Text that can be read any number of times. */
export interface Corpus {
  /** Name for messages. */
  readonly name: string;
  /** Size in bytes, or in UTF-16 units for a text in memory; for buffer sizes and progress. */
  readonly size: number;
  /** Files in reading order. */
  readonly files: readonly string[];
  /** Number of files in folders and patterns that were skipped because they are not text. */
  readonly skipped: number;
  /** The whole text, each document on its own line. */
  chunks(signal?: AbortSignal): AsyncGenerator<string>;
  /** The text by document: a file, or a line of a JSONL file. */
  documents(signal?: AbortSignal): AsyncGenerator<readonly Piece[]>;
  /** Changes when a file changes, and is computed without reading the files; null for a text in memory. */
  stamp(): Promise<string | null>;
  /** Hash of the whole content. */
  contentHash(options?: ReadProgress): Promise<string>;
}

export interface ReadProgress {
  readonly signal?: AbortSignal | undefined;
  /** Receives the share of the text that was read, 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** A corpus with its original line breaks. */
type Raw = Omit<Corpus, "chunks">;

const CHUNK = 64 * 1024;
/** Hashing needs no decoding, so larger chunks are faster. */
const HASH_CHUNK = 1 << 20;

/** Opens the text of a source and checks that it is not empty, without reading more than that needs. */
export async function openCorpus(source: TextSource, options: ReadingOptions = READING): Promise<Corpus> {
  const raw = source.kind === "text" ? textCorpus(source.name, source.text) : await fileCorpus(source.paths, options);
  const corpus: Corpus = {
    ...raw,
    chunks: (signal) => withLineFeeds(joined(raw.documents(signal))),
    documents: (signal) => eachWithLineFeeds(raw.documents(signal)),
  };
  await requireText(corpus);
  return corpus;
}

/** Documents joined, each on its own line. */
async function* joined(documents: AsyncIterable<readonly Piece[]>): AsyncGenerator<string> {
  let last = "\n";
  let isStart = true;
  for await (const pieces of documents) {
    const texts: string[] = [];
    for (const { text, ends } of pieces) {
      if (text !== "") {
        if (isStart && last !== "\n") texts.push("\n");
        texts.push(text);
        last = text.at(-1) as string;
        isStart = false;
      }
      isStart ||= ends;
    }
    if (texts.length > 0) yield texts.length === 1 ? (texts[0] as string) : texts.join("");
  }
}

/** Turns "\r\n" into "\n": prompts have no other line breaks, and a model should not have to learn two. */
function lineFeeds(): { push(text: string): string; end(): string } {
  let held = "";
  return {
    push(chunk) {
      const text = held + chunk;
      // The "\n" may follow in the next chunk.
      held = text.endsWith("\r") ? "\r" : "";
      return text.slice(0, text.length - held.length).replaceAll("\r\n", "\n");
    },
    end() {
      const rest = held;
      held = "";
      return rest;
    },
  };
}

async function* withLineFeeds(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  const { push, end } = lineFeeds();
  for await (const chunk of chunks) yield push(chunk);
  yield end();
}

async function* eachWithLineFeeds(documents: AsyncIterable<readonly Piece[]>): AsyncGenerator<readonly Piece[]> {
  const { push, end } = lineFeeds();
  for await (const pieces of documents) {
    yield pieces.map(({ text, ends }) => ({ text: ends ? push(text) + end() : push(text), ends }));
  }
}

function textCorpus(name: string, text: string): Raw {
  return {
    name,
    size: text.length,
    files: [],
    skipped: 0,
    async *documents(signal) {
      for (let start = 0; start < text.length; ) {
        signal?.throwIfAborted();
        const end = characterEnd(text, start + CHUNK);
        yield [{ text: text.slice(start, end), ends: end >= text.length }];
        start = end;
      }
    },
    stamp: async () => null,
    contentHash: async () => createHash("sha256").update(text).digest("hex"),
  };
}

async function fileCorpus(paths: readonly string[], options: ReadingOptions): Promise<Raw> {
  if (paths.length === 0) throw new EngineError("data", "No training text was chosen. Choose a file or a folder.");
  const { paths: files, skipped } = await findFiles(paths, options);
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const size = sizes.reduce((a, b) => a + b, 0);
  const isJsonLines = (file: string) => options.field !== "" && /\.(jsonl|ndjson)$/i.test(file);
  /** Reading options that change what a file means. */
  const readingOf = (file: string) => (isJsonLines(file) ? `JSONL ${options.field}` : "text");
  return {
    name: nameOf(paths),
    size,
    files,
    skipped,
    async *documents(signal) {
      for (const file of files) {
        if (isJsonLines(file)) yield* jsonLines(file, readChunks(file, signal), options.field);
        else {
          for await (const text of readChunks(file, signal)) yield [{ text, ends: false }];
          yield [{ text: "", ends: true }];
        }
      }
    },
    async stamp() {
      const hash = createHash("sha256");
      for (const file of files) {
        const { size, mtimeNs, ctimeNs } = await stat(file, { bigint: true }).catch((error) => {
          throw readError(error, file);
        });
        hash.update(JSON.stringify([file, readingOf(file), `${size}`, `${mtimeNs}`, `${ctimeNs}`]));
      }
      return hash.digest("hex");
    },
    async contentHash({ signal, onProgress } = {}) {
      const hash = createHash("sha256");
      let read = 0;
      for (const [i, file] of files.entries()) {
        hash.update(JSON.stringify([readingOf(file), sizes[i]]));
        for await (const bytes of readBytes(file, HASH_CHUNK, signal)) {
          hash.update(bytes);
          read += bytes.length;
          onProgress?.(Math.min(read / size, 1));
        }
      }
      return hash.digest("hex");
    },
  };
}

async function* readBytes(path: string, chunk: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* chunksOf(path, chunk, signal);
  } catch (error) {
    throw readError(error, path);
  }
}

/** Text of a file without its byte order mark. */
async function* readChunks(path: string, signal?: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (error) {
      throw new EngineError("data", `${path} contains bytes that are not UTF-8. Save it as UTF-8 or leave it out.`, {
        cause: error,
      });
    }
  };
  for await (const bytes of readBytes(path, CHUNK, signal)) yield decode(bytes);
  yield decode();
}

/** Requires at least two characters that are not all white space. */
async function requireText(corpus: Corpus): Promise<void> {
  let characters = 0;
  let hasText = false;
  for await (const chunk of corpus.chunks()) {
    characters += chunk.length;
    hasText ||= /\S/u.test(chunk);
    if (hasText && characters > 1) return;
  }
  if (characters === 0) throw new EngineError("data", `${corpus.name} is empty. Choose a text to train on.`);
  if (!hasText) throw new EngineError("data", `${corpus.name} contains only white space. Choose a text to train on.`);
  if (characters === 1)
    throw new EngineError(
      "data",
      `${corpus.name} has only one character, so there is nothing to predict. Choose a longer text.`,
    );
}

/** An index at or after `at` that is not between two surrogates. */
function characterEnd(text: string, at: number): number {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 ? at + 1 : at;
}
