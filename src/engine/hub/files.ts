/** Which of a model's files are needed: never code, and no weights twice. */

import { EngineError } from "../errors";
import { plainFileName } from "../weights";

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

/** In the order in which they are preferred: a single file, or an index of several. */
const WEIGHTS = [
  "model.safetensors",
  "model.safetensors.index.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
];

const OTHER_TOKENIZERS = ["tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt"];

const MOST_SHARDS = 1000;

export interface Needed {
  /** Configuration and tokenizer. */
  readonly beside: readonly string[];
  /** The weights, or the index that names their files. */
  readonly weights: string;
}

/** What to take from among `names`; `where` is how a refusal names them. */
export function neededFiles(names: ReadonlySet<string>, where: string): Needed {
  if (!names.has(CONFIG)) {
    const ggufs = [...names].filter((name) => name.endsWith(".gguf"));
    throw new EngineError(
      "config",
      ggufs.length > 0
        ? `${where} has no ${CONFIG}, only GGUF files; import one of them: ${ggufs.slice(0, 5).join(", ")}.`
        : `${where} has no ${CONFIG}; choose a model in the format of Hugging Face's transformers.`,
    );
  }
  const weights = WEIGHTS.find((name) => names.has(name));
  if (weights === undefined) {
    throw new EngineError("weights", `${where} has no weights; it needs ${WEIGHTS[0]} or ${WEIGHTS[2]}.`);
  }
  const other = OTHER_TOKENIZERS.find((name) => names.has(name));
  if (!hasTokenizer(names) && other !== undefined) {
    throw new EngineError(
      "tokenizer",
      `${where} has its tokenizer in ${other} only, which cannot be read; choose a model that has tokenizer.json.`,
    );
  }
  return { beside: BESIDE_WEIGHTS.filter((name) => names.has(name)), weights };
}

/** A model without one takes and gives ids. */
export const hasTokenizer = (names: ReadonlySet<string>): boolean =>
  names.has("tokenizer.json") || (names.has("vocab.json") && names.has("merges.txt"));

export const isWeights = (name: string): boolean => /\.(safetensors|bin)(\.index\.json)?$/.test(name);

export const isIndex = (name: string): boolean => name.endsWith(".index.json");

/** The files of the weights that an index names. */
export function shardsOf(index: unknown, names: ReadonlySet<string>, where: string): string[] {
  const map = typeof index === "object" && index !== null && "weight_map" in index ? index.weight_map : null;
  const damaged = (problem: string) =>
    new EngineError("weights", `${where} ${problem}; take the model from its source again.`);
  if (typeof map !== "object" || map === null) throw damaged("names no files of weights");
  const shards = [...new Set(Object.values(map))];
  if (shards.length === 0 || shards.length > MOST_SHARDS) throw damaged(`names ${shards.length} files of weights`);
  return shards.map((shard) => {
    if (typeof shard !== "string") throw damaged("names a file of weights by something other than text");
    const name = plainFileName(shard, where);
    if (!isWeights(name) || isIndex(name)) throw damaged(`names ${JSON.stringify(name)}, which is no file of weights`);
    if (!names.has(name)) throw damaged(`names ${JSON.stringify(name)}, which is not there`);
    return name;
  });
}
