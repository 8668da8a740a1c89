/** Tokenizers of sentences by words, as translators have them: one of the source's language, one of the target's. */

import type { Tokenizer } from "./tokenizer";
import { ONIGURUMA_WORD_PATTERN, parseTokenizer } from "./tokenizerJson";
import { WORD_PATTERN } from "./vocabulary";

const SPECIAL = ["<pad>", "<bos>", "<eos>", "<unk>"] as const;
/** Their ids, the same in every such tokenizer. */
export const SENTENCE = { padId: 0, bosId: 1, eosId: 2, unkId: 3 } as const;

/**
 * Every word of the sentences, the most frequent first, after the special tokens. The first word of a sentence is the same
 * token as it is in the middle of one: a space is put before it.
 */
export function trainSentences(sentences: Iterable<string>, { lowercase }: { readonly lowercase: boolean }): Tokenizer {
  const counts = new Map<string, number>();
  for (const sentence of sentences) {
    const text = ` ${lowercase ? sentence.toLowerCase() : sentence}`;
    for (const [word] of text.matchAll(new RegExp(WORD_PATTERN, "gu"))) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const words = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([word]) => word);
  const vocab = Object.fromEntries([...SPECIAL, ...words].map((word, id) => [word, id]));
  const prepend = { type: "Prepend", prepend: " " };
  return parseTokenizer(
    {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: SPECIAL.map((content, id) => ({
        id,
        content,
        special: true,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
      })),
      normalizer: { type: "Sequence", normalizers: lowercase ? [{ type: "Lowercase" }, prepend] : [prepend] },
      pre_tokenizer: {
        type: "Split",
        pattern: { Regex: ONIGURUMA_WORD_PATTERN },
        behavior: "Isolated",
        invert: false,
      },
      post_processor: null,
      decoder: {
        type: "Sequence",
        decoders: [{ type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 }],
      },
      model: { type: "WordLevel", vocab, unk_token: "<unk>" },
    },
    {
      tokenizer_class: "PreTrainedTokenizerFast",
      bos_token: "<bos>",
      eos_token: "<eos>",
      pad_token: "<pad>",
      unk_token: "<unk>",
      add_bos_token: false,
      clean_up_tokenization_spaces: false,
    },
  );
}
