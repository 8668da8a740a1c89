/** Architecture of a model: its sizes and the variant of each part. */

export type Activation = "relu" | "gelu" | "geluTanh" | "silu";

/**
 * How a block's sublayers f (attention, then MLP) join the residual stream x.
 *
 * pre         x + f(norm(x))                        GPT-2
 * post        norm(x + f(x))                        the transformer of 2017
 * output      x + norm(f(x))                        OLMo 2
 * sandwich    x + norm(f(norm(x)))                  Gemma 2
 * parallel    x + attention(norm(x)) + mlp(norm'(x))  GPT-NeoX
 * shared      the same with one norm for both       Phi
 */
export type NormPlacement = "pre" | "post" | "output" | "sandwich" | "parallel" | "shared";

export interface DecoderConfig {
  readonly vocabSize: number;
  /** The longest sequence the model was built for, in tokens. */
  readonly nCtx: number;
  readonly nLayers: number;
  readonly nHeads: number;
  /** Heads of keys and values, each shared by nHeads / nKvHeads heads of queries (Ainslie et al., 2023). */
  readonly nKvHeads: number;
  /** Width of the residual stream. */
  readonly dModel: number;
  readonly dHead: number;
  readonly dMlp: number;
  /** Width of the token embedding; where it is not dModel, a matrix leads into the residual stream and one back. */
  readonly dEmbed: number;

  /** How matrices are stored: [in, out], or as torch.nn.Linear has them, [out, in]. */
  readonly weightLayout: "inOut" | "outIn";
  /** One matrix each, one for all (q|k|v), or one for all with q|k|v of each head together. */
  readonly qkv: "separate" | "fused" | "fusedByHead";

  readonly positions: Positions;
  /** Whether a position sees no later one. Where it does, training shows it the tokens that it is to predict. */
  readonly causal: boolean;
  /** The token embedding is multiplied by it. */
  readonly embedScale: number;

  readonly norm: NormPlacement;
  /** LayerNorm; RMSNorm; RMSNorm that multiplies by 1 + weight. */
  readonly normKind: "layer" | "rms" | "rmsPlusOne";
  readonly normEps: number;
  readonly normScale: boolean;
  readonly normBias: boolean;
  /** A norm after the last block. */
  readonly finalNorm: boolean;
  /** Queries and keys are normalized, over each head's width or over all heads'. */
  readonly qkNorm: "none" | "head" | "all";

  readonly activation: Activation;
  /** proj(activation(gate(x)) * fc(x)) instead of proj(activation(fc(x))). */
  readonly gatedMlp: boolean;

  /** Biases of q, k and v. */
  readonly attentionBias: boolean;
  /** Bias of o. */
  readonly outBias: boolean;
  readonly mlpBias: boolean;

  /** Products of queries and keys are multiplied by it; usually 1 / sqrt(dHead). */
  readonly attentionScale: number;
  /** Layer l divides its scores by l + 1 as well. */
  readonly scaleByLayer: boolean;
  /** Scores pass c * tanh(x / c); null where they do not. */
  readonly attentionSoftcap: number | null;
  readonly logitSoftcap: number | null;
  /** By layer: how many of the last positions, its own included, a position sees; null sees all. Empty: all see all. */
  readonly windows: readonly (number | null)[];

  /** The head uses the token embedding's weights. */
  readonly tiedHead: boolean;
  readonly headBias: boolean;
}

export type Positions =
  | { readonly kind: "none" }
  /** A table of vectors; position t reads row t + offset. */
  | { readonly kind: "learned"; readonly offset: number }
  /** Sines and cosines of 10,000 to geometric powers of the position (Vaswani et al., 2017, section 3.5). */
  | { readonly kind: "sinusoidal" }
  | Rotary;

/** Rotary position embedding (Su et al., 2021) of the first `dims` of each head, its two halves paired. */
export interface Rotary {
  readonly kind: "rotary";
  readonly dims: number;
  readonly theta: number;
  readonly scaling: RotaryScaling | null;
  /** Layers whose queries and keys are not rotated. */
  readonly unrotatedLayers: readonly number[];
}

/** How frequencies are stretched for longer contexts; `nn/rotary.ts` has the formulas. */
export type RotaryScaling =
  | { readonly kind: "linear"; readonly factor: number }
  | { readonly kind: "dynamic"; readonly factor: number; readonly originalCtx: number }
  | {
      readonly kind: "yarn";
      readonly factor: number;
      readonly originalCtx: number;
      readonly betaFast: number;
      readonly betaSlow: number;
      readonly attentionFactor: number;
      /** Whether the ramp's ends are rounded to whole dimensions. */
      readonly truncate: boolean;
    }
  | {
      readonly kind: "longrope";
      readonly originalCtx: number;
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      readonly attentionFactor: number;
    }
  | {
      readonly kind: "llama3";
      readonly factor: number;
      readonly originalCtx: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
    };

/**
 * An encoder-decoder (Vaswani et al., 2017): a stack that reads a source, and a decoder whose blocks also attend to what
 * came of it. Each is described as a decoder; an encoder is one without a head, whose positions see later ones too.
 */
export interface EncoderDecoderConfig {
  readonly encoder: DecoderConfig;
  readonly decoder: DecoderConfig;
}

export type ModelConfig = DecoderConfig | EncoderDecoderConfig;
