/**
 * Tokenizers in Hugging Face's files: `tokenizer.json` (the vocabulary and how it is used) and `tokenizer_config.json`
 * (which tokens are special). What is trained here is written so that the tokenizers libraries of Python, Rust and
 * JavaScript read it to the same ids; what is read here is checked, and a kind that is not supported is named.
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "../errors";
import { readError, writeFileWhole } from "../weights/files";
import { bytePairModel } from "./bytePairs";
import { type AddedToken, createTokenizer, type Merge, type Tokenizer, type TokenModel } from "./tokenizer";
import { characterModel, WORD_PATTERN, wordModel } from "./vocabulary";

/** Writes `tokenizer.json` and `tokenizer_config.json` into a folder. */
export async function saveTokenizer(tokenizer: Tokenizer, dir: string): Promise<void> {
  const files = tokenizerFiles(tokenizer);
  for (const [name, text] of Object.entries(files)) await writeFileWhole(join(dir, name), text);
}

/** The two files' names and contents. */
export function tokenizerFiles(tokenizer: Tokenizer): Record<"tokenizer.json" | "tokenizer_config.json", string> {
  return {
    "tokenizer.json": `${JSON.stringify(tokenizerJson(tokenizer), null, 1)}\n`,
    "tokenizer_config.json": `${JSON.stringify(tokenizerConfig(tokenizer), null, 2)}\n`,
  };
}

/** Reads a folder's tokenizer: `tokenizer.json`, or `vocab.json` and `merges.txt` as GPT-2 and OPT have them. */
export async function loadTokenizer(dir: string): Promise<Tokenizer> {
  const config = ((await readJson(join(dir, "tokenizer_config.json"))) ?? {}) as ConfigFile;
  const json = await readJson(join(dir, "tokenizer.json"));
  if (json !== null) return parseTokenizer(json, config);

  const vocab = await readJson(join(dir, "vocab.json"));
  const merges = await readText(join(dir, "merges.txt"));
  if (vocab === null || merges === null) {
    throw new EngineError("tokenizer", `${dir} has no tokenizer.json; choose a model folder that has one.`);
  }
  return gpt2Tokenizer(vocab, merges, config);
}

// What is read of the files. Everything is checked where it is used.
interface TokenizerFile {
  readonly added_tokens?: readonly Partial<AddedToken>[];
  readonly normalizer?: { readonly type?: string } | null;
  readonly pre_tokenizer?: {
    readonly type?: string;
    readonly add_prefix_space?: boolean;
    readonly use_regex?: boolean;
    readonly pattern?: { readonly Regex?: string };
  } | null;
  readonly post_processor?: {
    readonly type?: string;
    readonly single?: readonly { readonly SpecialToken?: { readonly id?: string } }[];
  } | null;
  readonly model?: {
    readonly type?: string;
    readonly vocab?: Readonly<Record<string, number>>;
    readonly merges?: readonly (string | Merge)[];
    readonly unk_token?: string | null;
    readonly byte_fallback?: boolean;
    readonly ignore_merges?: boolean;
  };
}

type TokenSetting = string | { readonly content?: string } | null;

interface ConfigFile {
  readonly bos_token?: TokenSetting;
  readonly eos_token?: TokenSetting;
  readonly pad_token?: TokenSetting;
  readonly unk_token?: TokenSetting;
  readonly add_bos_token?: boolean;
}

/** Makes a tokenizer of the parsed files. */
export function parseTokenizer(json: unknown, config: unknown): Tokenizer {
  const file = json as TokenizerFile | null;
  const settings = (config ?? {}) as ConfigFile;
  const vocabulary = vocabularyById(file?.model?.vocab);
  const added = listOf(file?.added_tokens, "added_tokens").map(addedToken);
  const idOf = idLookup(vocabulary, added);

  const bosId = idOf(settings.bos_token);
  const [first] =
    file?.post_processor?.type === "TemplateProcessing" ? listOf(file.post_processor.single, "single") : [];
  const startsWithBos = first?.SpecialToken?.id !== undefined && idOf(first.SpecialToken.id) === bosId;
  return createTokenizer(parseModel(file ?? {}, vocabulary, added), {
    added,
    bosId,
    eosId: idOf(settings.eos_token),
    padId: idOf(settings.pad_token),
    unkId: idOf(settings.unk_token ?? file?.model?.unk_token),
    addBos: bosId !== null && (startsWithBos || settings.add_bos_token === true),
  });
}

function parseModel(file: TokenizerFile, vocabulary: readonly string[], added: readonly AddedToken[]): TokenModel {
  const { model, pre_tokenizer: split, normalizer } = file;
  const unkId = idLookup(vocabulary, added)(model?.unk_token);
  const unsupported = (what: string) =>
    new EngineError(
      "tokenizer",
      `tokenizer.json: ${what} is not supported yet. Supported: byte-level BPE as GPT-2's, and the tokenizers trained here.`,
    );

  if (normalizer) throw unsupported(`a normalizer (${normalizer.type})`);
  if (model?.type === "WordLevel" && split?.type === "Split" && split.pattern?.Regex === ONIGURUMA_WORD_PATTERN) {
    return wordModel(vocabulary, unkId);
  }
  if (model?.type !== "BPE") throw unsupported(`a model of type ${model?.type}`);
  if (model.byte_fallback) throw unsupported("BPE with byte fallback");

  const merges = listOf(model.merges, "merges").map(parseMerge);
  if (!split && merges.length === 0) return characterModel(added.length ? "fixed" : "characters", vocabulary, unkId);
  if (split?.type !== "ByteLevel" || split.use_regex === false)
    throw unsupported(`BPE with the pre-tokenizer ${split?.type ?? "none"}`);
  if (split.add_prefix_space) throw unsupported("a prefix space");
  if (model.ignore_merges) throw unsupported("ignore_merges");
  return bytePairModel(vocabulary, merges);
}

/** `vocab.json` and `merges.txt`, with the special tokens that `tokenizer_config.json` names or GPT-2 has. */
function gpt2Tokenizer(vocab: unknown, merges: string, config: ConfigFile): Tokenizer {
  const vocabulary = vocabularyById(vocab as Record<string, number>);
  const lines = merges.split("\n").filter((line) => line && !line.startsWith("#version"));
  const special = ["<|endoftext|>", "<s>", "</s>", "<pad>", "<unk>"];
  const added = special.flatMap((content) => {
    const id = vocabulary.indexOf(content);
    return id < 0 ? [] : [{ id, content, special: true }];
  });

  const idOf = idLookup(vocabulary, added);
  const endOfText = idOf("<|endoftext|>");
  const bosId = idOf(config.bos_token) ?? endOfText;
  return createTokenizer(bytePairModel(vocabulary, lines.map(parseMerge)), {
    added,
    bosId,
    eosId: idOf(config.eos_token) ?? endOfText,
    padId: idOf(config.pad_token),
    unkId: idOf(config.unk_token),
    addBos: bosId !== null && config.add_bos_token === true,
  });
}

/** Oniguruma, which Python's and Rust's runtimes use, writes the same properties the same way. */
const ONIGURUMA_WORD_PATTERN = WORD_PATTERN;

function tokenizerJson({ kind, model, added, bosId, unkId, addBos, token }: Tokenizer) {
  const vocab = Object.fromEntries(model.vocabulary.map((content, id) => [content, id]));
  const unknown = unkId === null ? null : token(unkId);
  const bytePairs = kind === "bytePairs";
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const words = { type: "Split", pattern: { Regex: ONIGURUMA_WORD_PATTERN }, behavior: "Isolated", invert: false };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added.map((t) => ({ ...t, single_word: false, lstrip: false, rstrip: false, normalized: false })),
    normalizer: null,
    pre_tokenizer: bytePairs ? byteLevel : kind === "words" ? words : null,
    post_processor: addBos && bosId !== null ? startWith(token(bosId), bosId) : null,
    decoder: bytePairs ? byteLevel : { type: "Fuse" },
    model:
      kind === "words"
        ? { type: "WordLevel", vocab, unk_token: unknown }
        : {
            type: "BPE",
            dropout: null,
            unk_token: unknown,
            continuing_subword_prefix: null,
            end_of_word_suffix: null,
            fuse_unk: false,
            byte_fallback: false,
            ignore_merges: false,
            vocab,
            merges: model.merges,
          },
  };
}

function tokenizerConfig({ bosId, eosId, padId, unkId, addBos, token }: Tokenizer) {
  const content = (id: number | null) => (id === null ? null : token(id));
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: content(bosId),
    eos_token: content(eosId),
    pad_token: content(padId),
    unk_token: content(unkId),
    add_bos_token: addBos,
    clean_up_tokenization_spaces: false,
  };
}

function startWith(token: string, id: number) {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const text = (id: "A" | "B") => ({ Sequence: { id, type_id: 0 } });
  return {
    type: "TemplateProcessing",
    single: [special, text("A")],
    pair: [special, text("A"), text("B")],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}

/** `{ "a": 0, "b": 1 }` -> `["a", "b"]`: every id from 0 on, once. */
function vocabularyById(vocab: Readonly<Record<string, number>> | undefined): string[] {
  if (typeof vocab !== "object" || vocab === null) throw damaged("it has no vocabulary");
  const entries = Object.entries(vocab);
  const byId = new Array<string | undefined>(entries.length).fill(undefined);
  for (const [token, id] of entries) {
    if (!Number.isInteger(id) || id < 0 || id >= entries.length || byId[id] !== undefined) {
      throw damaged(`the id ${id} of ${JSON.stringify(token)} is taken twice or out of range`);
    }
    byId[id] = token;
  }
  // Filled: as many different ids as places.
  return byId as string[];
}

/** Larger than any vocabulary. */
const LARGEST_ID = 1 << 24;

function addedToken(token: Partial<AddedToken> | null): AddedToken {
  const { id, content, special } = token ?? {};
  const isId = typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= LARGEST_ID;
  if (!isId || typeof content !== "string") throw damaged("an added token has no id or content");
  return { id, content, special: special === true };
}

function listOf<T>(value: readonly T[] | undefined, name: string): readonly T[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw damaged(`its ${name} are not a list`);
  return value;
}

function parseMerge(merge: string | Merge): Merge {
  const [left, right, more] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
  if (typeof left !== "string" || typeof right !== "string" || !left || !right || more !== undefined)
    throw damaged(`the merge ${JSON.stringify(merge)} is not a pair of tokens`);
  return [left, right];
}

function idLookup(vocabulary: readonly string[], added: readonly AddedToken[]) {
  const idOf = new Map(vocabulary.map((token, id) => [token, id]));
  for (const { id, content } of added) idOf.set(content, id);
  return (token: TokenSetting | undefined): number | null => {
    const content = typeof token === "string" ? token : token?.content;
    return content === undefined ? null : (idOf.get(content) ?? null);
  };
}

function damaged(problem: string): EngineError {
  return new EngineError("tokenizer", `tokenizer.json: ${problem}; take the file from its source again.`);
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw readError(error, path);
  }
}

async function readJson(path: string): Promise<unknown> {
  const text = await readText(path);
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new EngineError("tokenizer", `${path} is not JSON; take the file from its source again.`, { cause: error });
  }
}
