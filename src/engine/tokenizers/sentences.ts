/** Word tokenizers of sentences: translators have one per language, small language models have one. */

import { startWith } from "./files";
import type { Tokenizer } from "./tokenizer";
import { ONIGURUMA_WORD_PATTERN, parseTokenizer } from "./tokenizerJson";
import { WORD_PATTERN } from "./vocabulary";

const SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>"] as const;
/** Their ids in every such tokenizer. */
export const SENTENCE = { padId: 0, bosId: 1, eosId: 2, unkId: 3 } as const;

/** Ids of a sentence between BOS and EOS; runs of white space count as one space. */
export const sentenceIds = (tokenizer: Tokenizer, text: string): number[] => [
  SENTENCE.bosId,
  ...tokenizer.encode(text.trim().replace(/\s+/gu, " ")),
  SENTENCE.eosId,
];

/** Collapses white space to what separates the words of a sentence. */
const ONE_LINE = [
  ...["\n", "\r", "\t", "  "].map((space) => ({ type: "Replace", pattern: { String: space }, content: " " })),
  { type: "Strip", strip_left: true, strip_right: true },
];

export interface SentenceOptions {
  readonly lowercase: boolean;
  /** Adds `<unk>` for words outside the vocabulary; without it they are errors. */
  readonly unknown?: boolean;
  /** Texts are prompts that a model continues: they start with `<bos>` and are joined to one line. */
  readonly prompts?: boolean;
}

/**
 * Learns every word of the sentences: the special tokens, then words by descending frequency. A space is prepended to each
 * sentence, so that its first word is the same token as elsewhere.
 */
export function trainSentences(
  sentences: Iterable<string>,
  { lowercase, unknown = true, prompts = false }: SentenceOptions,
): Tokenizer {
  const counts = new Map<string, number>();
  for (const sentence of sentences) {
    const text = ` ${lowercase ? sentence.toLowerCase() : sentence}`;
    for (const [word] of text.matchAll(new RegExp(WORD_PATTERN, "gu"))) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([word]) => word);
  const special = unknown ? SPECIAL : SPECIAL.slice(0, SENTENCE.unkId);
  const vocab = Object.fromEntries([...special, ...words].map((word, id) => [word, id]));
  const normalizers = [
    ...(lowercase ? [{ type: "Lowercase" }] : []),
    ...(prompts ? ONE_LINE : []),
    { type: "Prepend", prepend: " " },
  ];
  return parseTokenizer(
    {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: special.map((content, id) => ({
        id,
        content,
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      })),
      normalizer: { type: "Sequence", normalizers },
      pre_tokenizer: {
        type: "Split",
        pattern: { Regex: ONIGURUMA_WORD_PATTERN },
        behavior: "Isolated",
        invert: false,
      },
      post_processor: prompts ? startWith("<bos>", SENTENCE.bosId) : null,
      decoder: {
        type: "Sequence",
        decoders: [{ type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 }],
      },
      model: { type: "WordLevel", vocab, ...(unknown && { unk_token: "<unk>" }) },
    },
    {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: "<bos>",
      eos_token: "<eos>",
      pad_token: "<pad>",
      ...(unknown && { unk_token: "<unk>" }),
      add_bos_token: prompts,
      clean_up_tokenization_spaces: false,
    },
  );
}
