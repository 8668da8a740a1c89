/** The vocabulary of a GGUF file, with its special tokens as llama.cpp determines them. */

import type { Gguf } from "./gguf";
import { damaged, quoted, shown } from "./reading";

/** Values of `tokenizer.ggml.token_type`. */
export const NORMAL = 1;
export const UNKNOWN = 2;
export const CONTROL = 3;
export const USER_DEFINED = 4;

const SPECIAL = { bos: "bos_token_id", eos: "eos_token_id", unk: "unknown_token_id", pad: "padding_token_id" } as const;
type SpecialName = keyof typeof SPECIAL;

/** Special tokens that no model here needs; their notes matter all the same. cspell:ignore seperator reponame */
const UNUSED = ["seperator_token_id", "mask_token_id", "fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id"];

export interface Vocabulary {
  readonly path: string;
  readonly tokens: readonly string[];
  readonly types: readonly number[];
  /** By the name of the special token. */
  readonly ids: Readonly<Record<SpecialName, number | undefined>>;
  /** Tokens that end a generation, in ascending order. */
  readonly endIds: readonly number[];
  /** Entries of the file that are ignored: a sentence each. */
  readonly notes: readonly string[];
  readonly list: <T>(key: string, is: (value: unknown) => value is T) => readonly T[] | undefined;
  readonly flag: (key: string, fallback: boolean) => boolean;
  readonly text: (key: string) => string | undefined;
}

export const isText = (value: unknown): value is string => typeof value === "string";
export const isNumber = (value: unknown): value is number => typeof value === "number";

export function readVocabulary(path: string, { values }: Gguf): Vocabulary {
  const get = (key: string) => values.get(`tokenizer.ggml.${key}`);
  const list = <T>(key: string, is: (value: unknown) => value is T): readonly T[] | undefined => {
    const value: unknown = get(key);
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || !value.every(is))
      throw damaged(path, `tokenizer.ggml.${key} is not a list of the expected type`);
    return value;
  };
  // An empty token gets a name, as in llama.cpp.
  const tokens = (list("tokens", isText) ?? []).map((token, id) => token || `[EMPTY_${id}]`);
  if (tokens.length === 0) throw damaged(path, "it has no vocabulary");
  const idOf = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (idOf.has(token)) throw damaged(path, `its vocabulary contains the token ${quoted(token)} twice`);
    idOf.set(token, id);
  });
  const types = list("token_type", isNumber) ?? tokens.map(() => NORMAL);
  if (types.length !== tokens.length)
    throw damaged(path, `its vocabulary has ${tokens.length} tokens but ${types.length} token types`);

  const notes: string[] = [];
  const special = (key: string): number | undefined => {
    const id = get(key);
    if (id === undefined) return undefined;
    if (typeof id !== "number" && typeof id !== "bigint")
      throw damaged(path, `${key} is ${shown(id)}, which is not a token id`);
    if (typeof id === "number" && tokens[id] !== undefined) return id;
    notes.push(`${key} ${shown(id)} is ignored, because the vocabulary has ${tokens.length} tokens.`);
    return undefined;
  };
  // llama.cpp's defaults for SentencePiece.
  const isSentencePiece = get("model") === "llama";
  const byDefault = (id: number) => (isSentencePiece && id < tokens.length ? id : undefined);
  const ids = {
    bos: special(SPECIAL.bos) ?? byDefault(1),
    eos: special(SPECIAL.eos) ?? byDefault(2),
    unk: special(SPECIAL.unk) ?? byDefault(0),
    pad: special(SPECIAL.pad),
  };
  const endIds = endTokens(idOf, ids.eos, special);
  for (const key of UNUSED) special(key);
  return {
    path,
    tokens,
    // Such a token is special, whatever the file says.
    types: types.map((type, id) => (endIds.includes(id) && ENDS.has(tokens[id] as string) ? CONTROL : type)),
    ids,
    endIds,
    notes,
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

/** Tokens that llama.cpp takes for the end of a turn, a message or a text, whatever the metadata says. */
const ENDS: ReadonlySet<string> = new Set([
  "<|eot_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|return|>",
  "<|call|>",
  "<|flush|>",
  "<|calls|>",
  "<end_of_turn>",
  "<|endoftext|>",
  "</s>",
  "<|eom_id|>",
  "<EOT>",
  "_<EOT>",
  "▁<EOT>",
  "[EOT]",
  "[EOS]",
  "<|end_of_text|>",
  "<end_of_utterance>",
  "<eos>",
  "<turn|>",
  "<|tool_response>",
  "<｜end▁of▁sentence｜>",
  "[e~[",
]);

/** Tokens between files and for padding, which end code that is filled in: keys of the metadata, and texts. */
const FILL_IN_ENDS: Readonly<Record<string, readonly string[]>> = {
  fim_pad_token_id: ["<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"],
  fim_rep_token_id: ["<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"],
  fim_sep_token_id: ["<|file_sep|>"],
};

/** Families in which the first token does not end a generation, if all the others exist. */
const NOT_ENDS: readonly (readonly [text: string, ...others: string[]])[] = [
  // gpt-oss and Solar Open have several messages in a turn.
  ["<|end|>", "<|return|>", "<|call|>"],
  ["<|end|>", "<|return|>", "<|calls|>"],
  ["<|end|>", "<|call|>", "<|flush|>"],
  ["<|end|>", "<|calls|>", "<|flush|>"],
  // Gemma 4.
  ["</s>", "<|tool_response>"],
];

function endTokens(
  idOf: ReadonlyMap<string, number>,
  eos: number | undefined,
  special: (key: string) => number | undefined,
): readonly number[] {
  const found = (texts: Iterable<string>) => [...texts].flatMap((text) => idOf.get(text) ?? []);
  const named = Object.entries(FILL_IN_ENDS).map(([key, texts]) => special(key) ?? found(texts)[0]);
  const ends = new Set([...found(ENDS), ...named, eos, special("eot_token_id"), special("eom_token_id")]);
  for (const [text, ...others] of NOT_ENDS) {
    if (others.every((other) => idOf.has(other))) ends.delete(idOf.get(text));
  }
  return [...ends].filter(isNumber).sort((a, b) => a - b);
}
