/** What a decoder is: its sizes and the choices between its variants. Weights live elsewhere. */

import type { DecoderConfig, EncoderDecoderConfig, ModelConfig, Positions } from "../api/config";
import { EngineError } from "../errors";

export type {
  Activation,
  DecoderConfig,
  EncoderDecoderConfig,
  ModelConfig,
  NormPlacement,
  Positions,
  Rotary,
  RotaryScaling,
} from "../api/config";

/** What the decoders that are trained here differ in: those of 2017 and of GPT-2. */
export type ClassicConfig = Pick<
  DecoderConfig,
  | "vocabSize"
  | "nCtx"
  | "nLayers"
  | "nHeads"
  | "dModel"
  | "dMlp"
  | "finalNorm"
  | "normEps"
  | "normBias"
  | "attentionBias"
  | "mlpBias"
  | "tiedHead"
  | "headBias"
> & {
  readonly norm: "pre" | "post";
  readonly activation: "relu" | "gelu" | "geluTanh";
  /** Learned where nothing is said. */
  readonly positions?: ClassicPositions;
  /** True where nothing is said. */
  readonly causal?: boolean;
};

export type ClassicPositions = Exclude<Positions["kind"], "rotary">;

export function classicDecoder({ positions = "learned", causal = true, ...given }: ClassicConfig): DecoderConfig {
  requireWholeHeads(given);
  const kind = positions === "learned" ? { kind: positions, offset: 0 } : { kind: positions };
  return { ...given, ...variantOf(given), positions: kind, causal };
}

export const isEncoderDecoder = (cfg: ModelConfig): cfg is EncoderDecoderConfig => "encoder" in cfg;

/** The part of a model that writes. */
export const decoderOf = (cfg: ModelConfig): DecoderConfig => (isEncoderDecoder(cfg) ? cfg.decoder : cfg);

/** What is said of an encoder-decoder; sizes without a name of their own are those of both stacks. */
export interface TranslatorConfig extends Omit<ClassicConfig, "positions" | "causal"> {
  readonly sourceVocabSize: number;
  readonly nEncoderLayers: number;
}

/** Positions are sinusoidal and embeddings scaled by sqrt(dModel), as in the paper. */
export function encoderDecoder({ sourceVocabSize, nEncoderLayers, ...given }: TranslatorConfig): EncoderDecoderConfig {
  const decoder: DecoderConfig = {
    ...classicDecoder({ ...given, positions: "sinusoidal" }),
    embedScale: Math.sqrt(given.dModel),
  };
  const encoder = { ...decoder, vocabSize: sourceVocabSize, nLayers: nEncoderLayers, ...NO_HEAD };
  return { encoder, decoder };
}

/** A tied head has no weights of its own. */
const NO_HEAD = { tiedHead: true, headBias: false } as const;

export function requireWholeHeads({ dModel, nHeads }: Pick<ClassicConfig, "dModel" | "nHeads">): void {
  if (dModel % nHeads === 0) return;
  throw new EngineError(
    "config",
    `dModel ${dModel} over ${nHeads} heads gives heads of ${(dModel / nHeads).toFixed(2)}; choose a dModel that is a multiple of nHeads.`,
  );
}

/** What only some families have, left out. */
export const PLAIN = {
  causal: true,
  embedScale: 1,
  qkNorm: "none",
  scaleByLayer: false,
  attentionSoftcap: null,
  logitSoftcap: null,
  windows: [],
} as const satisfies Partial<DecoderConfig>;

const variantOf = (given: ClassicConfig): Omit<DecoderConfig, keyof ClassicConfig> => ({
  ...PLAIN,
  nKvHeads: given.nHeads,
  dHead: given.dModel / given.nHeads,
  dEmbed: given.dModel,
  weightLayout: "inOut",
  qkv: "separate",
  normKind: "layer",
  normScale: true,
  gatedMlp: false,
  outBias: given.attentionBias,
  attentionScale: 1 / Math.sqrt(given.dModel / given.nHeads),
});
