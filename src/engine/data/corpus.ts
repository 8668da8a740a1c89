/** Where training text comes from: a text that somebody has, or files and folders, read in chunks and never held whole. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { TextSource } from "../api/run";
import { EngineError } from "../errors";
import { findFiles, nameOf, readError } from "./findFiles";
import { jsonLines, type Piece } from "./jsonLines";

/** How files are read. */
export interface ReadingOptions {
  /** Where the text of a line of a JSONL file is; an empty name: such files are text like any other. */
  readonly field: string;
  /** Whether folders and patterns leave out what git is told to ignore. */
  readonly gitignore: boolean;
}

export const READING: ReadingOptions = { field: "text", gitignore: true };

/** Text that can be read as often as it is needed. */
export interface Corpus {
  /** What to call it in a message. */
  readonly name: string;
  /** Size in bytes, or in UTF-16 units where the text is held; to size and report progress with. */
  readonly size: number;
  /** The files it is read from, in order. */
  readonly files: readonly string[];
  /** How many files of folders and patterns were left out because they are not text. */
  readonly skipped: number;
  /** All of it, each document on a line of its own. */
  chunks(signal?: AbortSignal): AsyncGenerator<string>;
  /** The same document by document: a file, or a line of a JSONL file. */
  documents(signal?: AbortSignal): AsyncGenerator<readonly Piece[]>;
  /** Changes when a file does, and is found without reading them; null where the text is held. */
  stamp(): Promise<string | null>;
  /** A hash of everything that is read. */
  contentHash(options?: ReadProgress): Promise<string>;
}

export interface ReadProgress {
  readonly signal?: AbortSignal | undefined;
  /** Told the share of the text that is read, 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** As it is written, with the line breaks that it has. */
type Raw = Omit<Corpus, "chunks">;

const CHUNK = 64 * 1024;
/** What is hashed is not decoded: larger pieces go faster. */
const HASHED = 1 << 20;

/** Finds the text of a source and checks that there is some; reads no more of it than that needs. */
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

/** Documents one after the other, each on a line of its own. */
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

/** Line breaks as "\n" alone: prompts have no other, and a model should not have to learn two. */
function lineFeeds(): { push(text: string): string; end(): string } {
  let held = "";
  return {
    push(chunk) {
      const text = held + chunk;
      // Its "\n" may be the first of the next chunk.
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
  if (paths.length === 0) throw new EngineError("data", "Nothing was chosen to train on; choose a file or a folder.");
  const { paths: files, skipped } = await findFiles(paths, options);
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const size = sizes.reduce((a, b) => a + b, 0);
  const isJsonLines = (file: string) => options.field !== "" && /\.(jsonl|ndjson)$/i.test(file);
  /** How a file is read, as far as its bytes do not say. */
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
        for await (const bytes of readBytes(file, HASHED, signal)) {
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
    for await (const bytes of createReadStream(path, { highWaterMark: chunk })) {
      signal?.throwIfAborted();
      yield bytes as Uint8Array;
    }
  } catch (error) {
    throw readError(error, path);
  }
}

/** A file's text without its byte order mark. */
async function* readChunks(path: string, signal?: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decode = (bytes?: Uint8Array): string => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch (error) {
      throw new EngineError(
        "data",
        `${path} is not UTF-8 text all the way through; save it as UTF-8 or leave it out.`,
        {
          cause: error,
        },
      );
    }
  };
  for await (const bytes of readBytes(path, CHUNK, signal)) yield decode(bytes);
  yield decode();
}

/** Two characters at least, and not all of them white space. */
async function requireText(corpus: Corpus): Promise<void> {
  let characters = 0;
  let hasText = false;
  for await (const chunk of corpus.chunks()) {
    characters += chunk.length;
    hasText ||= /\S/u.test(chunk);
    if (hasText && characters > 1) return;
  }
  if (characters === 0) throw new EngineError("data", `${corpus.name} is empty; choose a text to train on.`);
  if (!hasText) throw new EngineError("data", `${corpus.name} has only white space; choose a text to train on.`);
  if (characters === 1)
    throw new EngineError(
      "data",
      `${corpus.name} has only one character, so there is nothing to predict; choose a longer text.`,
    );
}

/** Not between the two halves of a character. */
function characterEnd(text: string, at: number): number {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00 ? at + 1 : at;
}
