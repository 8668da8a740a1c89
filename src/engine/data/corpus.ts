/** Where training text comes from: a text that somebody has, or files and folders, read in chunks and never held whole. */

import { createReadStream } from "node:fs";
import { open, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { EngineError } from "../errors";
import { codeOf } from "../weights/files";

/** The same as the protocol's. */
export type TextSource =
  | { readonly kind: "text"; readonly name: string; readonly text: string }
  | { readonly kind: "paths"; readonly paths: readonly string[] };

/** Text that can be read as often as it is needed. */
export interface Corpus {
  /** What to call it in a message. */
  readonly name: string;
  /** Size in bytes, or in UTF-16 units where the text is held; to size and report progress with. */
  readonly size: number;
  /** The files it is read from, in order. */
  readonly files: readonly string[];
  chunks(signal?: AbortSignal): AsyncGenerator<string>;
}

const CHUNK = 64 * 1024;
/** How much of a file decides whether it is text. */
const HEAD = 64 * 1024;
/** Folders that hold what others made. */
const LEFT_OUT = new Set(["node_modules", "__pycache__"]);

/** Finds the text of a source and checks that there is some; reads no more of it than that needs. */
export async function openCorpus(source: TextSource): Promise<Corpus> {
  const corpus = source.kind === "text" ? textCorpus(source.name, source.text) : await fileCorpus(source.paths);
  await requireText(corpus);
  return { ...corpus, chunks: (signal) => withLineFeeds(corpus.chunks(signal)) };
}

/** Line breaks as "\n" alone: prompts have no other, and a model should not have to learn two. */
async function* withLineFeeds(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let held = "";
  for await (const chunk of chunks) {
    const text = held + chunk;
    // Its "\n" may be the first of the next chunk.
    held = text.endsWith("\r") ? "\r" : "";
    yield text.slice(0, text.length - held.length).replaceAll("\r\n", "\n");
  }
  yield held;
}

function textCorpus(name: string, text: string): Corpus {
  return {
    name,
    size: text.length,
    files: [],
    async *chunks(signal) {
      for (let start = 0; start < text.length; ) {
        signal?.throwIfAborted();
        const end = characterEnd(text, start + CHUNK);
        yield text.slice(start, end);
        start = end;
      }
    },
  };
}

async function fileCorpus(paths: readonly string[]): Promise<Corpus> {
  if (paths.length === 0) throw new EngineError("data", "Nothing was chosen to train on; choose a file or a folder.");
  const files = (await Promise.all(paths.map(textFiles))).flat();
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  const [first] = paths;
  return {
    name: paths.length === 1 ? basename(first as string) : `${paths.length} files and folders`,
    size: sizes.reduce((a, b) => a + b, 0),
    files,
    async *chunks(signal) {
      let last = "\n";
      for (const file of files) {
        let isStart = true;
        for await (const chunk of readChunks(file, signal)) {
          if (chunk === "") continue;
          // A file starts on a line of its own.
          yield isStart && last !== "\n" ? `\n${chunk}` : chunk;
          isStart = false;
          last = chunk.at(-1) as string;
        }
      }
    },
  };
}

/** The text files of a path: itself, or those in a folder and its folders, by name. */
async function textFiles(path: string): Promise<string[]> {
  const entry = await entryOf(path);
  if (!entry.isDirectory()) {
    // A pipe may never answer, and a device never end.
    if (!entry.isFile()) throw new EngineError("data", `${path} is neither a file nor a folder; choose a text file.`);
    const problem = await notText(path);
    if (problem) throw new EngineError("data", `${path} ${problem}; choose a text file.`);
    return [path];
  }
  const files: string[] = [];
  for await (const file of filesBelow(path)) if (!(await notText(file))) files.push(file);
  if (files.length === 0) throw new EngineError("data", `The folder ${path} has no text files; choose one that has.`);
  return files;
}

async function* filesBelow(dir: string): AsyncGenerator<string> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((error) => {
    throw readError(error, dir);
  });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith(".") || LEFT_OUT.has(entry.name)) continue;
    const path = join(dir, entry.name);
    // Links are not followed: they may lead in circles.
    if (entry.isDirectory()) yield* filesBelow(path);
    else if (entry.isFile()) yield path;
  }
}

/** Why a file is not UTF-8 text, by its beginning; null where it is. An empty file is text. */
async function notText(path: string): Promise<string | null> {
  const file = await open(path, "r").catch((error) => {
    throw readError(error, path);
  });
  try {
    const { buffer, bytesRead } = await file.read(new Uint8Array(HEAD), 0, HEAD, 0);
    const head = buffer.subarray(0, bytesRead);
    const isUtf16 = (head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff);
    if (isUtf16) return "is UTF-16; save it as UTF-8 first";
    if (head.includes(0)) return "is a binary file";
    // As a stream: the last character may go on after the head.
    new TextDecoder("utf-8", { fatal: true }).decode(head, { stream: true });
    return null;
  } catch (error) {
    if (error instanceof TypeError) return "is not UTF-8 text";
    throw readError(error, path);
  } finally {
    await file.close();
  }
}

/** A file's text without its byte order mark. */
async function* readChunks(path: string, signal?: AbortSignal): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const bytes of createReadStream(path, { highWaterMark: CHUNK })) {
      signal?.throwIfAborted();
      yield decoder.decode(bytes as Uint8Array, { stream: true });
    }
    yield decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) {
      throw new EngineError(
        "data",
        `${path} is not UTF-8 text all the way through; save it as UTF-8 or leave it out.`,
        { cause: error },
      );
    }
    throw readError(error, path);
  }
}

const entryOf = (path: string) =>
  stat(path).catch((error) => {
    throw readError(error, path);
  });

function readError(error: unknown, path: string): unknown {
  const code = codeOf(error);
  if (code === "ENOENT") return new EngineError("data", `${path} does not exist; choose a file or a folder that does.`);
  if (code === "EACCES" || code === "EPERM")
    return new EngineError("data", `${path} may not be read; change its permissions or leave it out.`);
  if (code === "ENOTDIR") return new EngineError("data", `${path} lies below a file, not a folder; choose another.`);
  return error;
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
