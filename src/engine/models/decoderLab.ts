/** Models that are trained here: their checkpoints have our own names. */

import { type ClassicConfig, classicDecoder, type DecoderConfig } from "../nn/config";
import type { Fields } from "./config";
import { defineFamily } from "./family";

const MODEL_TYPE = "decoder_lab";

type Reading<T> = (hf: Fields, name: string) => T;
const count: Reading<number> = (hf, name) => hf.count(name, required(hf, name));
const layerCount: Reading<number> = (hf, name) => hf.layerCount(name, required(hf, name));
const flag: Reading<boolean> = (hf, name) => hf.flag(name, required(hf, name));
const fraction: Reading<number> = (hf, name) => hf.number(name, required(hf, name), [0, 1]);
const word =
  <T extends string>(...words: readonly T[]): Reading<T> =>
  (hf, name) =>
    hf.choice(name, Object.fromEntries(words.map((w) => [w, w])) as Record<string, T>, required(hf, name));

/** Nothing stands for a field that is missing: its own type of value is asked for, and refused as it is. */
const required = (hf: Fields, name: string) => hf.raw(name) as never;

const FIELDS: { readonly [K in keyof ClassicConfig]: Reading<ClassicConfig[K]> } = {
  vocabSize: count,
  nCtx: count,
  nLayers: layerCount,
  nHeads: count,
  dModel: count,
  dMlp: count,
  norm: word("pre", "post"),
  finalNorm: flag,
  normEps: fraction,
  normBias: flag,
  activation: word("relu", "gelu", "geluTanh"),
  attentionBias: flag,
  mlpBias: flag,
  tiedHead: flag,
  headBias: flag,
};

export const decoderLab = defineFamily({
  modelType: MODEL_TYPE,
  className: "DecoderLab",

  config: (hf) =>
    // A value for each key of ClassicConfig, read as the table over its keys says.
    classicDecoder(
      Object.fromEntries(
        Object.entries(FIELDS).map(([name, read]) => [name, read(hf, name)]),
      ) as unknown as ClassicConfig,
    ),

  prefix: "",
  names: {
    "embed.tokens": "embed.tokens",
    "embed.positions": "embed.positions",
    "blocks.{l}.ln1": "blocks.{l}.ln1",
    "blocks.{l}.q": "blocks.{l}.q",
    "blocks.{l}.k": "blocks.{l}.k",
    "blocks.{l}.v": "blocks.{l}.v",
    "blocks.{l}.o": "blocks.{l}.o",
    "blocks.{l}.ln2": "blocks.{l}.ln2",
    "blocks.{l}.fc": "blocks.{l}.fc",
    "blocks.{l}.activation": "blocks.{l}.activation",
    "blocks.{l}.proj": "blocks.{l}.proj",
    lnFinal: "lnFinal",
    head: "head",
  },
  classes: { embed: "Embeddings", blocks: "ModuleList", "{l}": "Block" },
});

/** config.json of a model that was trained here. */
export const toConfigJson = (cfg: DecoderConfig): object => ({
  model_type: MODEL_TYPE,
  architectures: [decoderLab.architecture],
  torch_dtype: "float32",
  ...Object.fromEntries(Object.keys(FIELDS).map((name) => [name, cfg[name as keyof ClassicConfig]])),
});
