/**
 * Pre-tokenizers by `tokenizer.ggml.pre`: the names that llama.cpp knows (src/llama-vocab.cpp), with the patterns of the
 * tokenizer.json files that they stand for. llama.cpp approximates some of these, because its regular expressions lack
 * Unicode categories; the originals are used here.
 */

import { EngineError } from "../errors";
import { quoted } from "./reading";

/** How text is split before byte pairs are merged. */
export interface PreTokenizer {
  /** Applied one after the other, each to the pieces of the previous ones; matches become pieces of their own. */
  readonly patterns: readonly string[];
  readonly nfc?: true;
  /** A word that is itself a token is used without merging. */
  readonly ignoreMerges?: true;
  readonly addBos?: true;
}

/** The pattern that ByteLevel applies itself. */
export const GPT2_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const SPACE = "\\s+(?!\\S)|\\s+";
const LINES = "\\s*[\\r\\n]+";
/** The pattern of Llama 3 and its kin, which differ in how digits form groups. */
const llama3Words = (digits: string) =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${LINES}|${SPACE}`;
/** The pattern of GPT-4o and its kin: words are also split where a capital follows a small letter. */
const casedWords = (contraction: string, digits: string) => {
  const [upper, lower] = ["[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"];
  const start = "[^\\r\\n\\p{L}\\p{N}]?";
  const words = `${start}${upper}*${lower}+${contraction}|${start}${upper}+${lower}*${contraction}`;
  return `${words}|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${LINES}|${SPACE}`;
};
const GPT4O = casedWords(`${CONTRACTIONS}?`, "\\p{N}{1,3}");

/** The pattern of DeepSeek 3, after numbers and Chinese or Japanese characters. */
const deepSeekWords = (symbols: string) =>
  `[!"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_\`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|${symbols}|${SPACE}`;
const DEEPSEEK3 = deepSeekWords(` ?[\\p{P}\\p{S}]+[\\r\\n]*|${LINES}`);
const CHINESE_JAPANESE = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+";
const CHINESE_KOREAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";

/** Letters with a capital and a small form, as DeepSeek's files list them. */
const CASED = [
  "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af",
  "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5",
  "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba",
  "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45",
  "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe",
  "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102",
  "\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139",
  "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3",
  "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06",
  "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\u{10400}-\u{1044f}\u{104b0}-\u{104d3}\u{104d8}-\u{104fb}",
  "\u{10c80}-\u{10cb2}\u{10cc0}-\u{10cf2}\u{118a0}-\u{118df}\u{1e900}-\u{1e943}",
].join("");

/** BLOOM's, with the punctuation of several languages. */
const BLOOM = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+";
/** Groups of three digits, counted from the end of a number. */
const groupsFromEnd = (digit: string) => `${digit}{1,3}(?=(?:${digit}{3})*(?!${digit}))`;
const HAN_BUT = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]";
const HAN_BUT_LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]";
const SMALL_GAPS = [512, 256, 128, 64, 32, 16, 8, 4].map((n) => `\\s{${n}}(?!\\S)`).join("|");

const GPT2: PreTokenizer = { patterns: [GPT2_WORDS] };
const DIGITS: PreTokenizer = { patterns: ["\\p{N}", GPT2_WORDS] };
const LLAMA3 = llama3Words("\\p{N}{1,3}");
const QWEN2 = llama3Words("\\p{N}");

// cspell:disable
/** Pre-tokenizers with the names that share them, separated by spaces. */
const TABLE: readonly (readonly [names: string, PreTokenizer])[] = [
  // "default" is written by old converters, for GPT-2 too.
  ["default gpt-2 phi-2 mpt olmo jais trillion granite-docling gigachat exaone4 a.x-4.0 mellum modern-bert", GPT2],
  ["jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe", GPT2],
  ["starcoder refact command-r smollm codeshell exaone minerva-7b mellum2", DIGITS],
  [
    "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
    { patterns: [LLAMA3], ignoreMerges: true, addBos: true },
  ],
  ["dbrx smaug-bpe chatglm-bpe glm4", { patterns: [LLAMA3] }],
  ["jais-2", { patterns: [LLAMA3.replace(SPACE, `${SMALL_GAPS}|\\s{1,2}(?!\\S)|\\s{1}`)] }],
  ["qwen2", { patterns: [QWEN2], nfc: true }],
  ["stablelm2 hunyuan solar-open grok-2 megrez deepseek-r1-qwen kormo f2llmv2", { patterns: [QWEN2] }],
  ["ufakzeka", { patterns: [QWEN2.slice(CONTRACTIONS.length + 1)] }],
  ["laguna", { patterns: ["[^\\n]+|[\\n]+", QWEN2] }],
  ["minicpm5", { patterns: ["\\p{N}{1,3}", llama3Words("\\p{N}+")], ignoreMerges: true }],
  [
    "qwen35",
    {
      patterns: [
        QWEN2.replace("?\\p{L}+", "?[\\p{L}\\p{M}]+").replace(" ?[^\\s\\p{L}\\p{N}]+", " ?[^\\s\\p{L}\\p{M}\\p{N}]+"),
      ],
      nfc: true,
    },
  ],
  ["seed-coder", { patterns: [QWEN2.replace("[^\\s\\p{L}\\p{N}]+[\\r\\n]*", "[^\\s\\p{L}\\p{N}\\r\\n]+")] }],
  [
    "bailingmoe bailingmoe2 llada-moe",
    {
      patterns: [
        `'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|${SPACE}`,
      ],
    },
  ],
  [
    "exaone-moe",
    {
      patterns: [
        `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|${SPACE}`,
      ],
    },
  ],
  ["gpt-4o llama4 kanana2 talkie minimax-m2", { patterns: [GPT4O] }],
  ["granite-embed-multi-97m", { patterns: [GPT4O], ignoreMerges: true }],
  ["tekken", { patterns: [casedWords("", "\\p{N}")], ignoreMerges: true, addBos: true }],
  ["tiny_aya cohere2moe", { patterns: ["\\d{1,3}(?=(?:\\d{3})*\\b)", GPT4O] }],
  [
    "youtu",
    {
      patterns: [
        `[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+|${CHINESE_JAPANESE}`,
        casedWords(`${CONTRACTIONS}?`, "\\p{N}"),
      ],
      ignoreMerges: true,
    },
  ],
  [
    "kimi-k2",
    {
      patterns: [
        `[\\p{Han}]+|${GPT4O.replaceAll("[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", HAN_BUT)
          .replaceAll("[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]", HAN_BUT_LOWER)
          .replace("[\\r\\n/]*", "[\\r\\n]*")}`,
      ],
    },
  ],
  ["deepseek-v3 hunyuan-dense joyai-llm hy_v4", { patterns: ["\\p{N}{1,3}", CHINESE_JAPANESE, DEEPSEEK3] }],
  [
    "spark2_5",
    {
      patterns: ["\\p{N}{1,3}", CHINESE_JAPANESE, deepSeekWords(" ?[\\p{P}\\p{S}]+|[\\r\\n]"), "\\p{N}"],
    },
  ],
  [
    "deepseek-llm",
    {
      patterns: [
        "[\\r\\n]",
        `\\s?[${CASED}]+`,
        "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
        "\\s+$",
        CHINESE_KOREAN,
        "\\p{N}+",
      ],
    },
  ],
  ["deepseek-coder", { patterns: ["[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CHINESE_KOREAN, "\\p{N}"] }],
  [
    "afmoe",
    {
      patterns: [
        groupsFromEnd("\\p{N}"),
        "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+",
        DEEPSEEK3,
      ],
    },
  ],
  ["falcon", { patterns: ["[\\p{P}$+<=>^~|`]+", GPT2_WORDS, "[0-9][0-9][0-9]"] }],
  ["bloom poro-chat gpt3-finnish", { patterns: [BLOOM] }],
  ["viking", { patterns: [BLOOM, "\\p{N}"] }],
  // Its second pattern matches nothing before every group of three digits.
  ["superbpe", { patterns: ["\\p{N}+", "(?=(\\d{3})+(?!\\d))"] }],
  [
    "chameleon",
    {
      patterns: [
        "<sentinel:[0-9]+>",
        "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
        "([\\t\\n]|    |  )",
        "\\p{N}",
        "[\\p{P}!-/:-@\\[-`{-~]",
        GPT2_WORDS,
      ],
      addBos: true,
    },
  ],
];
// cspell:enable

/** All pre-tokenizers by name. */
export const PRE_TOKENIZERS: ReadonlyMap<string, PreTokenizer> = new Map(
  TABLE.flatMap(([names, preTokenizer]) => names.split(" ").map((name) => [name, preTokenizer] as const)),
);

export function preTokenizerOf(path: string, name: string): PreTokenizer {
  const known = PRE_TOKENIZERS.get(name);
  if (known) return known;
  throw new EngineError(
    "tokenizer",
    `${path}: the pre-tokenizer ${quoted(name)} is not supported. Import the original model instead.`,
  );
}
