/** Selects the files of a model to import: no code, and weights in only one format. */

import { quoted } from "../../text/untrusted";
import { EngineError } from "../errors";
import { plainFileName } from "../weights";
import { isObject } from "../weights/reading";

export const CONFIG = "config.json";

const BESIDE_WEIGHTS = [
  CONFIG,
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "vocab.json",
  "merges.txt",
] as const;

/** In order of preference: a single file, or an index of several. */
const WEIGHTS = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
];

const OTHER_TOKENIZERS = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt"];

const MAX_SHARDS = 1000;

export interface Needed {
  /** Configuration and tokenizer. */
  readonly beside: readonly string[];
  /** The weights, or the index that lists their files. */
  readonly weights: string;
}

/** Selects the files to import from `names`. `label` names the model in messages. */
export function neededFiles(names: ReadonlySet<string>, label: string): Needed {
  if (!names.has(CONFIG)) {
    const ggufs = [...names].filter((name) => name.endsWith(".gguf"));
    throw new EngineError(
      "config",
      ggufs.length > 0
        ? `${label} has only GGUF files and no ${CONFIG}. Import one of them: ${ggufs
            .slice(0, 3)
            .map((name) => quoted(name, 40))
            .join(", ")}.`
        : `${label} has no ${CONFIG}. Choose a model in the format of Hugging Face transformers.`,
    );
  }
  const weights = WEIGHTS.find((name) => names.has(name));
  if (weights === undefined) {
    throw new EngineError("weights", `${label} has no weights. Choose a model with ${WEIGHTS[0]} or ${WEIGHTS[2]}.`);
  }
  const other = OTHER_TOKENIZERS.find((name) => names.has(name));
  if (!hasTokenizer(names) && other !== undefined) {
    throw new EngineError(
      "tokenizer",
      `${label} has its tokenizer only in ${other}, which is not supported. Choose a model with tokenizer.json.`,
    );
  }
  return { beside: BESIDE_WEIGHTS.filter((name) => names.has(name)), weights };
}

/** A model without a tokenizer reads and writes token ids. */
export const hasTokenizer = (names: ReadonlySet<string>): boolean =>
  names.has("tokenizer.json") || (names.has("vocab.json") && names.has("merges.txt"));

export const isWeights = (name: string): boolean => /\.(safetensors|bin)(\.index\.json)?$/.test(name);

export const isIndex = (name: string): boolean => name.endsWith(".index.json");

/** Returns the weight files that an index lists. */
export function shardsOf(index: unknown, names: ReadonlySet<string>, label: string): string[] {
  const map = isObject(index) ? index.weight_map : null;
  const damaged = (problem: string) =>
    new EngineError("weights", `${label} is damaged: ${problem}. Download the model again.`);
  if (!isObject(map)) throw damaged("it lists no weight files");
  const shards = [...new Set(Object.values(map))];
  if (shards.length === 0 || shards.length > MAX_SHARDS) throw damaged(`it lists ${shards.length} weight files`);
  return shards.map((shard) => {
    if (typeof shard !== "string") throw damaged("a file name is not a string");
    const name = plainFileName(shard, label);
    if (!isWeights(name) || isIndex(name)) throw damaged(`${quoted(name)} is not a weight file`);
    if (!names.has(name)) throw damaged(`the file ${quoted(name)} does not exist`);
    return name;
  });
}
