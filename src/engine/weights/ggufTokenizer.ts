/** Converts the vocabulary of a GGUF file to tokenizer.json and tokenizer_config.json. */

import { EngineError } from "../errors";
import type { Gguf } from "./gguf";
import { GPT2_WORDS, preTokenizerOf } from "./ggufPreTokenizers";
import { CONTROL, isNumber, isText, NORMAL, UNKNOWN, USER_DEFINED, type Vocabulary } from "./ggufVocabulary";
import { damaged, quoted, shown } from "./reading";

export interface TokenizerFiles {
  readonly "tokenizer.json": object;
  readonly "tokenizer_config.json": object;
}

export function ggufTokenizer(path: string, gguf: Gguf, vocabulary: Vocabulary): TokenizerFiles {
  const kind = gguf.values.get("tokenizer.ggml.model");
  if (kind === "llama") return sentencePiece(vocabulary);
  if (kind === "gpt2") return bytePairs(vocabulary);
  throw new EngineError(
    "tokenizer",
    kind === undefined
      ? `${path} has no tokenizer. Import the original model instead.`
      : `${path}: the tokenizer type ${shown(kind)}${algorithmOf(kind)} is not supported (only "llama" and "gpt2"). Import the original model instead.`,
  );
}

/** Names of the algorithms that are not supported, by llama.cpp's names. */
const ALGORITHMS: Readonly<Record<string, string>> = { bert: "WordPiece", t5: "Unigram" };

const algorithmOf = (kind: unknown): string =>
  typeof kind === "string" && Object.hasOwn(ALGORITHMS, kind) ? ` (${ALGORITHMS[kind]})` : "";

/** A SentencePiece vocabulary. Every pair of tokens that form a third is a merge, best score first. */
function sentencePiece(vocabulary: Vocabulary): TokenizerFiles {
  const { path, tokens, types, ids } = vocabulary;
  const scores = vocabulary.list("scores", isNumber);
  if (scores?.length !== tokens.length)
    throw damaged(path, `its vocabulary has ${tokens.length} tokens but ${scores?.length ?? "no"} scores`);
  const hasPrefix = vocabulary.flag("add_space_prefix", true);
  const space = { String: " " };
  const model = {
    type: "BPE",
    dropout: null,
    unk_token: ids.unk === undefined ? null : tokens[ids.unk],
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
  return filesOf(vocabulary, "LlamaTokenizer", true, {
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

/** ByteLevel splits as GPT-2 does itself. */
function preTokenizer(patterns: readonly string[]): object {
  const isGpt2 = patterns.at(-1) === GPT2_WORDS;
  const steps = [...(isGpt2 ? patterns.slice(0, -1) : patterns).map(split), byteLevel(isGpt2)];
  return steps.length === 1 ? (steps[0] as object) : { type: "Sequence", pretokenizers: steps };
}

function bytePairs(vocabulary: Vocabulary): TokenizerFiles {
  const { path, tokens } = vocabulary;
  const pre = preTokenizerOf(path, vocabulary.text("pre") ?? "default");
  const merges = vocabulary.list("merges", isText);
  if (!merges) throw damaged(path, "its vocabulary has no merges");
  return filesOf(vocabulary, "PreTrainedTokenizerFast", pre.addBos ?? false, {
    normalizer: pre.nfc ? { type: "NFC" } : null,
    pre_tokenizer: preTokenizer(pre.patterns),
    decoder: byteLevel(true),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: pre.ignoreMerges ?? false,
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
