/** Models trained by Decoder Lab. Their checkpoints use our parameter names. */

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

type Reader<T> = (hf: Fields, name: string) => T;
const count: Reader<number> = (hf, name) => hf.count(name, required(hf, name));
const layerCount: Reader<number> = (hf, name) => hf.layerCount(name, required(hf, name));
const flag: Reader<boolean> = (hf, name) => hf.flag(name, required(hf, name));
const fraction: Reader<number> = (hf, name) => hf.number(name, required(hf, name), [0, 1]);
const word =
  <T extends string>(...words: readonly T[]): Reader<T> =>
  (hf, name) =>
    hf.choice(name, Object.fromEntries(words.map((w) => [w, w])) as Record<string, T>, required(hf, name));

/** As a default, makes a missing field fail the type check. */
const required = (hf: Fields, name: string) => hf.raw(name) as never;

/** The fields that decoders and translators share. */
type SharedConfig = Omit<ClassicConfig, "positions" | "causal">;

const FIELDS: { readonly [K in keyof SharedConfig]: Reader<SharedConfig[K]> } = {
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

const readFields = <C>(fields: { readonly [K in keyof C]: Reader<C[K]> }, hf: Fields): C =>
  // The result has a value of the right type for each key of the table.
  Object.fromEntries(
    Object.entries<Reader<unknown>>(fields).map(([name, read]) => [name, read(hf, name)]),
  ) as unknown as C;

export const decoderLab = defineFamily({
  modelType: MODEL_TYPE,
  className: "DecoderLab",
  config: (hf) =>
    classicDecoder({
      ...readFields(FIELDS, hf),
      // Older models do not have these fields.
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

/** Translators trained by Decoder Lab. They are not decoder-only, so code that does not support them rejects them. */
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

const TRANSLATOR_FIELDS: { readonly [K in keyof TranslatorConfig]: Reader<TranslatorConfig[K]> } = {
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

/** The family that a trained model is saved as: GPT-2 if it has that layout, else ours. */
export function trainedFamily(cfg: ModelConfig): FamilyNames {
  if (isEncoderDecoder(cfg)) return decoderLabTranslate;
  return cfg.qkv === "fused" ? gpt2 : decoderLab;
}

/** config.json of a model trained by Decoder Lab. */
export function toConfigJson(cfg: ModelConfig): object {
  const family = trainedFamily(cfg);
  if (!isEncoderDecoder(cfg) && family === gpt2) {
    // The last token of the vocabulary separates documents.
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
