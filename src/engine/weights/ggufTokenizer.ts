/** Converts the vocabulary of a GGUF file to tokenizer.json and tokenizer_config.json. */

import { EngineError } from "../errors";
import type { Gguf } from "./gguf";
import { damaged, quoted } from "./reading";

export interface TokenizerFiles {
  readonly "tokenizer.json": object;
  readonly "tokenizer_config.json": object;
}

/** Values of `tokenizer.ggml.token_type`. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const NORMAL = 1;

export function ggufTokenizer(path: string, gguf: Gguf): TokenizerFiles {
  const vocabulary = readVocabulary(path, gguf);
  const kind = gguf.values.get("tokenizer.ggml.model");
  if (kind === "llama") return sentencePiece(vocabulary);
  if (kind === "gpt2") return bytePairs(vocabulary);
  throw new EngineError(
    "tokenizer",
    `${path}: the tokenizer type ${quoted(String(kind))} is not supported (only "llama" and "gpt2"). Import the original model instead.`,
  );
}

interface Vocabulary {
  readonly path: string;
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  /** By the name of the special token. */
  readonly ids: Readonly<Record<SpecialName, number | undefined>>;
  readonly list: <T>(key: string, is: (value: unknown) => value is T) => readonly T[] | undefined;
  readonly flag: (key: string, fallback: boolean) => boolean;
  readonly text: (key: string) => string | undefined;
}

const SPECIAL = { bos: "bos_token_id", eos: "eos_token_id", unk: "unknown_token_id", pad: "padding_token_id" } as const;
type SpecialName = keyof typeof SPECIAL;

const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number";

function readVocabulary(path: string, { values }: Gguf): Vocabulary {
  const get = (key: string) => values.get(`tokenizer.ggml.${key}`);
  const list = <T>(key: string, is: (value: unknown) => value is T): readonly T[] | undefined => {
    const value: unknown = get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every(is))
      throw damaged(path, `tokenizer.ggml.${key} is not a list of the expected type`);
    return value;
  };
  const tokens = list("tokens", isText) ?? [];
  if (tokens.length === 0) throw damaged(path, "it has no vocabulary");
  const seen = new Set<string>();
  for (const token of tokens) {
    if (seen.has(token)) throw damaged(path, `its vocabulary contains the token ${quoted(token)} twice`);
    seen.add(token);
  }
  const types = list("token_type", isNumber) ?? tokens.map(() => NORMAL);
  if (types.length !== tokens.length)
    throw damaged(path, `its vocabulary has ${tokens.length} tokens but ${types.length} token types`);
  const idOf = (name: SpecialName): number | undefined => {
    const id = get(SPECIAL[name]);
    if (id === undefined) return undefined;
    if (!isNumber(id) || tokens[id] === undefined)
      throw damaged(path, `${SPECIAL[name]} is ${quoted(String(id))}, which is not a token id`);
    return id;
  };
  return {
    path,
    tokens,
    types,
    ids: { bos: idOf("bos"), eos: idOf("eos"), unk: idOf("unk"), pad: idOf("pad") },
    list,
    flag: (key, fallback) => {
      const value = get(key);
      return typeof value === "boolean" ? value : fallback;
    },
    text: (key) => {
      const value = get(key);
      return isText(value) ? value : undefined;
    },
  };
}

/** A SentencePiece vocabulary. Every pair of tokens that form a third is a merge, best score first. */
function sentencePiece(vocabulary: Vocabulary): TokenizerFiles {
  const { path, tokens, types } = vocabulary;
  const scores = vocabulary.list("scores", isNumber);
  if (scores?.length !== tokens.length)
    throw damaged(path, `its vocabulary has ${tokens.length} tokens but ${scores?.length ?? "no"} scores`);
  // llama.cpp's defaults.
  const ids = {
    ...vocabulary.ids,
    bos: vocabulary.ids.bos ?? 1,
    eos: vocabulary.ids.eos ?? 2,
    unk: vocabulary.ids.unk ?? 0,
  };
  const hasPrefix = vocabulary.flag("add_space_prefix", true);
  const space = { String: " " };
  const model = {
    type: "BPE",
    dropout: null,
    unk_token: tokens[ids.unk] ?? null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: true,
    ignore_merges: false,
    vocab: vocabOf(tokens),
    merges: mergesOf(path, tokens, types, scores),
  };
  const prepend = { type: "Prepend", prepend: "▁" };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  const normalizers = [...(hasPrefix ? [prepend] : []), { type: "Replace", pattern: space, content: "▁" }];
  const decoders = [
    { type: "Replace", pattern: { String: "▁" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    ...(hasPrefix ? [strip] : []),
  ];
  return filesOf({ ...vocabulary, ids }, "LlamaTokenizer", true, {
    normalizer: { type: "Sequence", normalizers },
    pre_tokenizer: null,
    decoder: { type: "Sequence", decoders },
    model,
  });
}

const vocabOf = (tokens: readonly string[]) => Object.fromEntries(tokens.map((token, id) => [token, id]));

/** 100 times that of real vocabularies. The work for a token grows with the square of its length. */
const MAX_MERGE_WORK = 100_000_000;

function mergesOf(
  path: string,
  tokens: readonly string[],
  types: readonly number[],
  scores: readonly number[],
): [string, string][] {
  const isPiece = (id: number) => types[id] === NORMAL || types[id] === USER_DEFINED;
  const work = tokens.reduce((sum, token, id) => sum + (isPiece(id) ? token.length ** 2 : 0), 0);
  if (work > MAX_MERGE_WORK) throw damaged(path, "the tokens of its vocabulary are too long");

  const idOf = new Map(tokens.map((token, id) => [token, id]));
  const merges: { readonly pair: [string, string]; readonly score: number; readonly id: number }[] = [];
  tokens.forEach((token, id) => {
    // Within a token, the longest left part comes first.
    for (let cut = token.length - 1; isPiece(id) && cut > 0; cut--) {
      const pair: [string, string] = [token.slice(0, cut), token.slice(cut)];
      const [left, right] = pair.map((part) => idOf.get(part));
      if (left === undefined || right === undefined || !isPiece(left) || !isPiece(right)) continue;
      merges.push({ pair, score: scores[id] as number, id });
    }
  });
  // Ties are in the order of the vocabulary, as in SentencePiece.
  merges.sort((a, b) => b.score - a.score || a.id - b.id);
  return merges.map(({ pair }) => pair);
}

/** How text is split before byte pairs are merged. */
interface PreTokenizer {
  readonly pre_tokenizer: object;
  readonly normalizer: object | null;
  /** A word that is itself a token is used without merging. */
  readonly ignoreMerges: boolean;
  readonly addBos: boolean;
}

const byteLevel = (useRegex: boolean) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});
const split = (pattern: string) => ({
  type: "Split",
  pattern: { Regex: pattern },
  behavior: "Isolated",
  invert: false,
});
const sequence = (...pretokenizers: object[]) => ({ type: "Sequence", pretokenizers });

const GPT2: PreTokenizer = {
  pre_tokenizer: byteLevel(true),
  normalizer: null,
  ignoreMerges: false,
  addBos: false,
};

/** The pattern of Llama 3 and Qwen 2, which differ only in how many digits form a group. */
const words = (digits: string) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

/** By `tokenizer.ggml.pre`. */
const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  // Written by old converters, for GPT-2 too.
  default: GPT2,
  "gpt-2": GPT2,
  "llama-bpe": {
    pre_tokenizer: sequence(split(words("\\p{N}{1,3}")), byteLevel(false)),
    normalizer: null,
    ignoreMerges: true,
    addBos: true,
  },
  qwen2: {
    pre_tokenizer: sequence(split(words("\\p{N}")), byteLevel(false)),
    normalizer: { type: "NFC" },
    ignoreMerges: false,
    addBos: false,
  },
  smollm: {
    pre_tokenizer: sequence({ type: "Digits", individual_digits: true }, byteLevel(true)),
    normalizer: null,
    ignoreMerges: false,
    addBos: false,
  },
};

function bytePairs(vocabulary: Vocabulary): TokenizerFiles {
  const { path, tokens } = vocabulary;
  const name = vocabulary.text("pre") ?? "default";
  const pre = Object.hasOwn(PRE_TOKENIZERS, name) ? PRE_TOKENIZERS[name] : undefined;
  if (!pre) {
    throw new EngineError(
      "tokenizer",
      `${path}: the pre-tokenizer ${quoted(name)} is not supported (only ${Object.keys(PRE_TOKENIZERS).join(", ")}). Import the original model instead.`,
    );
  }
  const merges = vocabulary.list("merges", isText);
  if (!merges) throw damaged(path, "its vocabulary has no merges");
  return filesOf(vocabulary, "PreTrainedTokenizerFast", pre.addBos, {
    normalizer: pre.normalizer,
    pre_tokenizer: pre.pre_tokenizer,
    decoder: byteLevel(true),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges,
      vocab: vocabOf(tokens),
      merges: merges.map((merge) => splitMerge(path, merge)),
    },
  });
}

/** Splits a merge at its space. Byte-level tokens contain no spaces. */
function splitMerge(path: string, merge: string): [string, string] {
  const [left, right, ...rest] = merge.split(" ");
  if (!left || !right || rest.length > 0) throw damaged(path, `the merge ${quoted(merge)} is not two tokens`);
  return [left, right];
}

/** The parts that both kinds of tokenizer share: special tokens, and BOS at the start of a text. */
function filesOf(
  { tokens, types, ids, flag, text }: Vocabulary,
  tokenizerClass: string,
  addBosByDefault: boolean,
  parts: Readonly<Record<"normalizer" | "pre_tokenizer" | "decoder" | "model", object | null>>,
): TokenizerFiles {
  const token = (id: number | undefined) => (id === undefined ? undefined : tokens[id]);
  const bos = token(ids.bos);
  const addBos = flag("add_bos_token", addBosByDefault) && bos !== undefined;
  const added = tokens.flatMap((content, id) => {
    const isSpecial = types[id] === CONTROL || types[id] === UNKNOWN;
    if (!isSpecial && types[id] !== USER_DEFINED) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: isSpecial }];
  });
  return {
    "tokenizer.json": {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: parts.normalizer,
      pre_tokenizer: parts.pre_tokenizer,
      post_processor: addBos ? startWith(bos, ids.bos as number) : null,
      decoder: parts.decoder,
      model: parts.model,
    },
    "tokenizer_config.json": {
      tokenizer_class: tokenizerClass,
      bos_token: bos,
      eos_token: token(ids.eos),
      unk_token: token(ids.unk),
      pad_token: token(ids.pad),
      add_bos_token: addBos,
      add_eos_token: false,
      clean_up_tokenization_spaces: false,
      chat_template: text("chat_template"),
    },
  };
}

function startWith(token: string, id: number): object {
  const special = { SpecialToken: { id: token, type_id: 0 } };
  const text = (name: string) => ({ Sequence: { id: name, type_id: 0 } });
  return {
    type: "TemplateProcessing",
    single: [special, text("A")],
    pair: [special, text("A"), text("B")],
    special_tokens: { [token]: { id: token, ids: [id], tokens: [token] } },
  };
}
