/** Prepares a corpus for training: its vocabulary, token ids and fingerprint. */

import { createHash } from "node:crypto";
import { type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { readRegular } from "../../files/regular";
import { EngineError } from "../errors";
import {
  loadTokenizer,
  saveTokenizer,
  type Tokenizer,
  tokenizerFiles,
  trainBytePairs,
  trainCharacters,
  trainWords,
} from "../tokenizers";
import { readJson, writeFileWhole } from "../weights";
import { DataCache, hashOf } from "./cache";
import type { Corpus, ReadProgress } from "./corpus";
import { bytesOf, type Documents, type Encoded, encodeCorpus, hashOfIds, readTokens } from "./encode";
import { FileTokens, type Ids, idArray, type Tokens } from "./tokens";

/** A vocabulary to learn from the text. */
export type Vocabulary = (
  | { readonly kind: "characters" }
  | { readonly kind: "words" | "bytePairs"; readonly vocabSize: number }
) & {
  /** Adds a token that ends a document. */
  readonly endOfText?: boolean;
};

export interface TokenizedText {
  readonly tokenizer: Tokenizer;
  readonly tokens: Tokens;
  /** End of each document as an index into `tokens`; joined documents count as one. */
  documentEnds(): Promise<Float64Array>;
  /** SHA-256 of the ids in memory layout. */
  readonly fingerprint: string;
  /** Closes open files. */
  release(): void;
}

export interface TokenizeOptions {
  readonly documents?: Documents;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: (stage: "reading" | "tokenizing", fraction: number) => void;
  /** Cache for texts larger than `held`. */
  readonly cache?: DataCache;
  /** Maximum size in bytes of a text whose ids stay in memory. */
  readonly held?: number;
}

/** Token ids of this many bytes need some dozens of megabytes, and tokenizing takes seconds. */
const HELD_BYTES = 32e6;
/** Words and byte pairs are learned from a sample of this many bytes, spread over the text. */
const SAMPLED_BYTES = 32e6;

/** Tokenizes a corpus: a short one in memory, a long one once into the cache. */
export async function tokenizeCorpus(
  corpus: Corpus,
  choice: Tokenizer | Vocabulary,
  options: TokenizeOptions = {},
): Promise<TokenizedText> {
  const { held = HELD_BYTES, documents = "joined", signal, onProgress } = options;
  const stamp = corpus.size > held ? await corpus.stamp() : null;
  if (stamp !== null) return tokenizeIntoCache(corpus, stamp, choice, options);

  const tokenizer = isTokenizer(choice) ? choice : await learn(corpus, choice, signal);
  const tokenizing = (fraction: number) => onProgress?.("tokenizing", fraction);
  const { tokens, documentEnds } = await readTokens(corpus, tokenizer, { documents, signal, onProgress: tokenizing });
  return {
    tokenizer,
    tokens,
    documentEnds: async () => documentEnds,
    fingerprint: hashOfIds(tokens),
    release: () => {},
  };
}

const isTokenizer = (choice: Tokenizer | Vocabulary): choice is Tokenizer => "encode" in choice;

function learn(corpus: Corpus, vocabulary: Vocabulary, signal: AbortSignal | undefined): Promise<Tokenizer> {
  const { endOfText = false } = vocabulary;
  const options = { endOfText, ...(signal && { signal }) };
  // Characters are learned from the whole text: one missing character would make part of it unreadable.
  if (vocabulary.kind === "characters") return trainCharacters(corpus.chunks(signal), options);
  const train = vocabulary.kind === "words" ? trainWords : trainBytePairs;
  return train(sampled(corpus, signal), { ...options, vocabSize: vocabulary.vocabSize });
}

/** Evenly spaced chunks of a long text. */
async function* sampled(corpus: Corpus, signal: AbortSignal | undefined): AsyncGenerator<string> {
  const every = Math.max(1, Math.ceil(corpus.size / SAMPLED_BYTES));
  let i = 0;
  for await (const chunk of corpus.chunks(signal)) if (i++ % every === 0) yield chunk;
}

const IDS = "ids.bin";
const ENDS = "documentEnds.bin";
const ENTRY = "entry.json";

/** Metadata of cached ids. */
interface Entry {
  readonly length: number;
  readonly fingerprint: string;
}

async function tokenizeIntoCache(
  corpus: Corpus,
  stamp: string,
  choice: Tokenizer | Vocabulary,
  { cache = new DataCache(), documents = "joined", signal, onProgress }: TokenizeOptions,
): Promise<TokenizedText> {
  const reading = (fraction: number) => onProgress?.("reading", fraction);
  const tokenizing = (fraction: number) => onProgress?.("tokenizing", fraction);
  const content = await cache.contentOf(corpus, stamp, { signal, onProgress: reading });
  const tokenizer = isTokenizer(choice) ? choice : await learnOnce(corpus, content, choice, cache, signal);
  const array = idArray(tokenizer.vocabSize);

  const name = `ids-${documents}-${hashOf(...Object.values(tokenizerFiles(tokenizer)))}`;
  const dir = await cache.entry(
    content,
    name,
    async (dir) => {
      const entry = await readEntry(dir);
      const ids = await stat(join(dir, IDS)).catch(() => null);
      return entry !== null && ids?.size === entry.length * array.BYTES_PER_ELEMENT;
    },
    async (dir) => {
      const writing = writeIds(dir, corpus, tokenizer, documents, { signal, onProgress: tokenizing });
      const entry = await requireUnchanged(corpus, stamp, writing);
      await writeFileWhole(join(dir, ENTRY), `${JSON.stringify(entry)}\n`);
    },
  );
  const { length, fingerprint } = (await readEntry(dir)) as Entry;
  const tokens = new FileTokens(join(dir, IDS), length, array);
  return {
    tokenizer,
    tokens,
    async documentEnds() {
      const bytes = await readRegular(join(dir, ENDS), 2 ** 31);
      return new Float64Array(bytes.buffer);
    },
    fingerprint,
    release: () => tokens.release(),
  };
}

/** Waits for `task`, and throws if the corpus changed meanwhile, which also explains errors of the task. */
async function requireUnchanged<T>(corpus: Corpus, stamp: string, task: Promise<T>): Promise<T> {
  const [result] = await Promise.allSettled([task]);
  const hasFailed = result.status === "rejected" && !(result.reason instanceof EngineError);
  if (!hasFailed && (await corpus.stamp()) !== stamp) {
    throw new EngineError("data", `${corpus.name} changed while it was being read. Train again when it is complete.`);
  }
  return task;
}

async function learnOnce(
  corpus: Corpus,
  content: string,
  vocabulary: Vocabulary,
  cache: DataCache,
  signal: AbortSignal | undefined,
): Promise<Tokenizer> {
  const size = vocabulary.kind === "characters" ? "" : `-${vocabulary.vocabSize}`;
  const end = vocabulary.endOfText ? "-ended" : "";
  const dir = await cache.entry(
    content,
    `vocabulary-${vocabulary.kind}${size}${end}`,
    async (dir) => (await stat(join(dir, "tokenizer_config.json")).catch(() => null)) !== null,
    async (dir) => saveTokenizer(await learn(corpus, vocabulary, signal), dir),
  );
  return loadTokenizer(dir);
}

async function readEntry(dir: string): Promise<Entry | null> {
  const entry = (await readJson(join(dir, ENTRY)).catch(() => null)) as Partial<Entry> | null;
  return typeof entry?.length === "number" && typeof entry.fingerprint === "string" ? (entry as Entry) : null;
}

async function writeIds(
  dir: string,
  corpus: Corpus,
  tokenizer: Tokenizer,
  documents: Documents,
  progress: ReadProgress,
): Promise<Entry> {
  const hash = createHash("sha256");
  const [idsFile, endsFile] = await Promise.all([open(join(dir, IDS), "w"), open(join(dir, ENDS), "w")]);
  try {
    const ids = new FileWriter(idsFile, new (idArray(tokenizer.vocabSize))(1 << 20), hash);
    const ends = new FileWriter(endsFile, new Float64Array(1 << 16));
    for await (const encoded of encodeCorpus(corpus, tokenizer, documents, progress)) {
      await ids.write(encoded.ids);
      if (encoded.endsDocument) await ends.write([ids.length]);
    }
    await ids.flush();
    await ends.flush();
    await idsFile.sync();
    return { length: ids.length, fingerprint: hash.digest("hex") };
  } finally {
    await idsFile.close();
    await endsFile.close();
  }
}

/** Buffered writer of numbers. */
class FileWriter {
  #filled = 0;
  #written = 0;

  constructor(
    private readonly file: FileHandle,
    private readonly buffer: Ids | Float64Array,
    private readonly hash?: ReturnType<typeof createHash>,
  ) {}

  get length(): number {
    return this.#written + this.#filled;
  }

  async write(numbers: Encoded["ids"]): Promise<void> {
    for (let at = 0; at < numbers.length; ) {
      if (this.#filled === this.buffer.length) await this.flush();
      const count = Math.min(numbers.length - at, this.buffer.length - this.#filled);
      this.buffer.set(count === numbers.length ? numbers : numbers.slice(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
    }
  }

  async flush(): Promise<void> {
    const bytes = bytesOf(this.buffer.subarray(0, this.#filled));
    this.hash?.update(bytes);
    for (let at = 0; at < bytes.length; ) at += (await this.file.write(bytes, at)).bytesWritten;
    this.#written += this.#filled;
    this.#filled = 0;
  }
}
