/**
 * Tokenizers in `vocab.json` and `merges.txt`, which do not say how a text is split into words: that follows from the
 * tokenizer's class in tokenizer_config.json, or from the model's type in config.json.
 */

import { shown } from "../../text/untrusted";
import { EngineError } from "../errors";
import { GPT2_WORDS, PRE_TOKENIZERS } from "../weights/ggufPreTokenizers";
import { damaged } from "./refusals";
import type { Tokenizer } from "./tokenizer";
import { type ModelIds, parseTokenizer } from "./tokenizerJson";

type Json = Readonly<Record<string, unknown>>;

export interface SlowFiles {
  readonly vocab: unknown;
  /** The text of merges.txt. */
  readonly merges: string;
  readonly settings: Json;
  readonly modelType: unknown;
  readonly ids: ModelIds;
}

/** How tokenizers of a class split a text, by llama.cpp's name, and their special tokens. */
interface Kind {
  readonly words: string;
  readonly nfc?: true;
  readonly tokens: Json;
}

const END = "<|endoftext|>";
const GPT2: Kind = { words: "gpt-2", tokens: { bos_token: END, eos_token: END, unk_token: END } };
const OPT: Kind = {
  words: "gpt-2",
  tokens: { bos_token: "</s>", eos_token: "</s>", unk_token: "</s>", pad_token: "<pad>", add_bos_token: true },
};
const NEOX: Kind = { words: "gpt-2", nfc: true, tokens: { ...GPT2.tokens, pad_token: "<|padding|>" } };
const QWEN2: Kind = { words: "qwen2", nfc: true, tokens: { eos_token: END, pad_token: END, unk_token: END } };
const OLMO2: Kind = { words: "dbrx", tokens: GPT2.tokens };

/** By the class, as transformers chooses. */
const BY_CLASS: Readonly<Record<string, Kind | undefined>> = {
  __proto__: null as never,
  GPT2Tokenizer: GPT2,
  CodeGenTokenizer: GPT2,
  GPTNeoXTokenizer: NEOX,
  Qwen2Tokenizer: QWEN2,
  Qwen3Tokenizer: QWEN2,
};

/** By the model's type, if no class says more. */
const BY_TYPE: Readonly<Record<string, Kind | undefined>> = {
  __proto__: null as never,
  gpt2: GPT2,
  gpt_neo: GPT2,
  gptj: GPT2,
  codegen: GPT2,
  phi: GPT2,
  gpt_bigcode: GPT2,
  gpt_neox: NEOX,
  olmo: NEOX,
  qwen2: QWEN2,
  qwen2_moe: QWEN2,
  qwen3: QWEN2,
  qwen3_moe: QWEN2,
  opt: OPT,
  olmo2: OLMO2,
};

/** Names of no tokenizer in particular. */
const ANY_CLASS = /^(PreTrainedTokenizer(Fast)?|TokenizersBackend)$/;

/** Parses the files as the equivalent tokenizer.json. */
export function parseSlowFiles({ vocab, merges, settings, modelType, ids }: SlowFiles): Tokenizer {
  const { words, nfc, tokens } = kindOf(vocab, settings.tokenizer_class, modelType);
  const has = (token: unknown) => typeof token === "string" && idIn(vocab, token) !== undefined;
  const known = Object.entries(tokens).filter(([, token]) => typeof token === "boolean" || has(token));
  const byteLevel = { type: "ByteLevel", add_prefix_space: settings.add_prefix_space === true, trim_offsets: true };
  const patterns = PRE_TOKENIZERS.get(words)?.patterns ?? [];
  const isGpt2 = patterns.length === 1 && patterns[0] === GPT2_WORDS;
  const splits = patterns.map((Regex) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false }));
  const json = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: nfc ? { type: "NFC" } : null,
    pre_tokenizer: isGpt2
      ? { ...byteLevel, use_regex: true }
      : { type: "Sequence", pretokenizers: [...splits, { ...byteLevel, use_regex: false }] },
    post_processor: { ...byteLevel, use_regex: true },
    decoder: { ...byteLevel, use_regex: true },
    model: { type: "BPE", dropout: null, unk_token: null, fuse_unk: false, vocab, merges: linesOf(merges) },
  };
  return parseTokenizer(json, { ...Object.fromEntries(known), ...settings }, ids);
}

const idIn = (vocab: unknown, token: string): unknown =>
  typeof vocab === "object" && vocab !== null && Object.hasOwn(vocab, token) ? (vocab as Json)[token] : undefined;

function kindOf(vocab: unknown, className: unknown, modelType: unknown): Kind {
  // OPT shares its vocabulary with RoBERTa, which is not a decoder, so without a config.json this vocabulary means OPT.
  const isFairseq = ["<s>", "<pad>", "</s>", "<unk>"].every((token, id) => idIn(vocab, token) === id);
  const looksLikeOpt = modelType === undefined && isFairseq && idIn(vocab, "madeupword0000") !== undefined;
  if (modelType === "opt" || looksLikeOpt) return OPT;
  const name = typeof className === "string" ? className.replace(/Fast$/, "") : "";
  const byType = typeof modelType === "string" ? BY_TYPE[modelType] : undefined;
  // OLMo 2 has GPT-2's class, and a pattern of its own.
  if (modelType === "olmo2" && name === "GPT2Tokenizer") return OLMO2;
  const byClass = BY_CLASS[name];
  if (byClass) return byClass;
  if (name && !ANY_CLASS.test(name)) throw unknownWords("tokenizers of the class", className);
  if (byType) return byType;
  if (modelType !== undefined) throw unknownWords("models of the type", modelType);
  return GPT2;
}

const unknownWords = (what: string, name: unknown) =>
  new EngineError(
    "tokenizer",
    `vocab.json and merges.txt do not say how ${what} ${shown(name, 60)} split a text. Add the model's tokenizer.json to the folder.`,
  );

const MOST_LINES = 1 << 21;

/** The lines of merges.txt but its version. */
function linesOf(text: string): string[] {
  const lines: string[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf("\n", at);
    const line = text.slice(at, end < 0 ? text.length : end).replace(/\r$/, "");
    if (line && !line.startsWith("#version")) lines.push(line);
    if (lines.length > MOST_LINES) throw damaged(`it has more than ${MOST_LINES} merges`);
    if (end < 0) break;
    at = end + 1;
  }
  return lines;
}
