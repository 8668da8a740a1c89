/** Models that are trained here: their checkpoints have our own names. */

import {
  type ClassicConfig,
  classicDecoder,
  type DecoderConfig,
  type EncoderDecoderConfig,
  encoderDecoder,
  isEncoderDecoder,
  type ModelConfig,
  type TranslatorConfig,
} from "../nn/config";
import { Fields, requireSizes } from "./config";
import { defineFamily, type FamilyNames } from "./family";
import { gpt2, gpt2Config } from "./gpt2";

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

/** What decoders and translators have. */
type SharedConfig = Omit<ClassicConfig, "positions" | "causal">;

const FIELDS: { readonly [K in keyof SharedConfig]: Reading<SharedConfig[K]> } = {
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

const readFields = <C>(fields: { readonly [K in keyof C]: Reading<C[K]> }, hf: Fields): C =>
  // A value for each key, read as the table over the keys says.
  Object.fromEntries(
    Object.entries<Reading<unknown>>(fields).map(([name, read]) => [name, read(hf, name)]),
  ) as unknown as C;

export const decoderLab = defineFamily({
  modelType: MODEL_TYPE,
  className: "DecoderLab",
  config: (hf) =>
    classicDecoder({
      ...readFields(FIELDS, hf),
      // Models from before these could be chosen do not say them.
      positions: hf.choice("positions", { learned: "learned", none: "none", sinusoidal: "sinusoidal" }, "learned"),
      causal: hf.flag("causal", true),
    }),

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

/** Translators that are trained here. They are no decoders alone, so what is not written for them refuses them. */
export const decoderLabTranslate: FamilyNames = {
  modelType: "decoder_lab_translate",
  className: "DecoderLab",
  architecture: "DecoderLabForTranslation",
  prefix: "",
  names: {
    "embed.tokens": "embed.tokens",
    "blocks.{l}.ln1": "blocks.{l}.ln1",
    "blocks.{l}.q": "blocks.{l}.q",
    "blocks.{l}.k": "blocks.{l}.k",
    "blocks.{l}.v": "blocks.{l}.v",
    "blocks.{l}.o": "blocks.{l}.o",
    "blocks.{l}.lnCross": "blocks.{l}.lnCross",
    "blocks.{l}.cross.q": "blocks.{l}.cross.q",
    "blocks.{l}.cross.k": "blocks.{l}.cross.k",
    "blocks.{l}.cross.v": "blocks.{l}.cross.v",
    "blocks.{l}.cross.o": "blocks.{l}.cross.o",
    "blocks.{l}.ln2": "blocks.{l}.ln2",
    "blocks.{l}.fc": "blocks.{l}.fc",
    "blocks.{l}.activation": "blocks.{l}.activation",
    "blocks.{l}.proj": "blocks.{l}.proj",
    lnFinal: "lnFinal",
    head: "head",
  },
  classes: { enc: "Encoder", embed: "Embeddings", blocks: "ModuleList", "{l}": "Block", cross: "CrossAttention" },
};

const TRANSLATOR_FIELDS: { readonly [K in keyof TranslatorConfig]: Reading<TranslatorConfig[K]> } = {
  sourceVocabSize: count,
  ...FIELDS,
  nEncoderLayers: layerCount,
};

export function translatorConfig(json: unknown, file: string): EncoderDecoderConfig {
  const cfg = encoderDecoder(readFields(TRANSLATOR_FIELDS, new Fields(json, file)));
  requireSizes(cfg.encoder, file);
  requireSizes(cfg.decoder, file);
  return cfg;
}

/** The family of a model that is trained here: ours, but for those that have GPT-2's layout. */
export function trainedFamily(cfg: ModelConfig): FamilyNames {
  if (isEncoderDecoder(cfg)) return decoderLabTranslate;
  return cfg.qkv === "fused" ? gpt2 : decoderLab;
}

/** config.json of a model that was trained here. */
export function toConfigJson(cfg: ModelConfig): object {
  const family = trainedFamily(cfg);
  if (!isEncoderDecoder(cfg) && family === gpt2) {
    // The vocabulary's last token ends a document, and starts one.
    const end = cfg.vocabSize - 1;
    return { ...gpt2Config(cfg), torch_dtype: "float32", bos_token_id: end, eos_token_id: end };
  }
  const written = (decoder: DecoderConfig) =>
    Object.fromEntries(Object.keys(FIELDS).map((name) => [name, decoder[name as keyof SharedConfig]]));
  return {
    model_type: family.modelType,
    architectures: [family.architecture],
    torch_dtype: "float32",
    ...(isEncoderDecoder(cfg)
      ? { sourceVocabSize: cfg.encoder.vocabSize, nEncoderLayers: cfg.encoder.nLayers, ...written(cfg.decoder) }
      : { ...written(cfg), positions: cfg.positions.kind, causal: cfg.causal }),
  };
}
