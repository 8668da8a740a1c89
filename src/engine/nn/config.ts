/** The configuration of decoders: sizes and variants. */

import type { DecoderConfig, EncoderDecoderConfig, ModelConfig, Positions } from "../api/config";
import { EngineError } from "../errors";

export type {
  Activation,
  DecoderConfig,
  EncoderDecoderConfig,
  ModelConfig,
  Rotary,
  RotaryScaling,
} from "../api/config";

/** The options of decoders trained in Decoder Lab, after the transformer of 2017 and GPT-2. */
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
  /** Learned by default. */
  readonly positions?: ClassicPositions;
  /** True by default. */
  readonly causal?: boolean;
};

type ClassicPositions = Exclude<Positions["kind"], "rotary">;

export function classicDecoder({ positions = "learned", causal = true, ...given }: ClassicConfig): DecoderConfig {
  requireWholeHeads(given);
  const kind = positions === "learned" ? { kind: positions, offset: 0 } : { kind: positions };
  return { ...given, ...variantOf(given), positions: kind, causal };
}

export const isEncoderDecoder = (cfg: ModelConfig): cfg is EncoderDecoderConfig => "encoder" in cfg;

/** The decoder of a model. */
export const decoderOf = (cfg: ModelConfig): DecoderConfig => (isEncoderDecoder(cfg) ? cfg.decoder : cfg);

/** The options of an encoder-decoder; sizes apply to both stacks unless they have their own name. */
export interface TranslatorConfig extends Omit<ClassicConfig, "positions" | "causal"> {
  readonly sourceVocabSize: number;
  readonly nEncoderLayers: number;
}

/** An encoder-decoder with sinusoidal positions and embeddings scaled by sqrt(dModel), as in the paper. */
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
    `dModel ${dModel} over ${nHeads} heads gives heads of ${(dModel / nHeads).toFixed(2)}. Choose a dModel that is a multiple of nHeads.`,
  );
}

/** Defaults for options that only some families use. */
export const PLAIN = {
  causal: true,
  embedScale: 1,
  residualScale: 1,
  fusedGate: false,
  logitScale: 1,
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
