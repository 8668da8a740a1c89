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
type NormPlacement = "pre" | "post" | "output" | "sandwich" | "parallel" | "shared";

export interface DecoderConfig {
  readonly vocabSize: number;
  /** Context length in tokens. */
  readonly nCtx: number;
  readonly nLayers: number;
  readonly nHeads: number;
  /** Key-value heads, each shared by nHeads / nKvHeads query heads (Ainslie et al., 2023). */
  readonly nKvHeads: number;
  /** Width of the residual stream. */
  readonly dModel: number;
  readonly dHead: number;
  readonly dMlp: number;
  /** Width of the token embedding; if it is not dModel, one matrix projects into the residual stream and one back. */
  readonly dEmbed: number;

  /** Storage order of matrices: [in, out], or [out, in] as in torch.nn.Linear. */
  readonly weightLayout: "inOut" | "outIn";
  /** Three matrices, one matrix q|k|v, or one matrix with q|k|v of each head together. */
  readonly qkv: "separate" | "fused" | "fusedByHead";

  readonly positions: Positions;
  /** A position attends to no later one. Without this, training shows a position the tokens that it should predict. */
  readonly causal: boolean;
  /** Factor of the token embedding. */
  readonly embedScale: number;

  readonly norm: NormPlacement;
  /** Factor of each sublayer's output before it joins the residual stream. */
  readonly residualScale: number;
  /** LayerNorm, RMSNorm, or RMSNorm that multiplies by 1 + weight. */
  readonly normKind: "layer" | "rms" | "rmsPlusOne";
  readonly normEps: number;
  readonly normScale: boolean;
  readonly normBias: boolean;
  /** A norm after the last block. */
  readonly finalNorm: boolean;
  /** Normalization of queries and keys: none, over each head, or over all heads together. */
  readonly qkNorm: "none" | "head" | "all";

  readonly activation: Activation;
  /** proj(activation(gate(x)) * fc(x)) instead of proj(activation(fc(x))). */
  readonly gatedMlp: boolean;
  /** gate and fc are one matrix, gate|fc. */
  readonly fusedGate: boolean;

  /** Biases of q, k and v. */
  readonly attentionBias: boolean;
  /** Bias of o. */
  readonly outBias: boolean;
  readonly mlpBias: boolean;

  /** Factor of the attention scores; usually 1 / sqrt(dHead). */
  readonly attentionScale: number;
  /** Layer l also divides its scores by l + 1. */
  readonly scaleByLayer: boolean;
  /** Scores become c * tanh(x / c); null for none. */
  readonly attentionSoftcap: number | null;
  /** Factor of the logits, before their soft cap. */
  readonly logitScale: number;
  readonly logitSoftcap: number | null;
  /** Attention window of each layer in positions, including the query's own; null for no window, empty for none at all. */
  readonly windows: readonly (number | null)[];

  /** The head shares the token embedding's weights. */
  readonly tiedHead: boolean;
  /** Storage order of an untied head if it is not `weightLayout`: GPT-2's is a torch.nn.Linear. */
  readonly headLayout?: "outIn" | undefined;
  readonly headBias: boolean;
}

export type Positions =
  | { readonly kind: "none" }
  /** A table of vectors; position t uses row t + offset. */
  | { readonly kind: "learned"; readonly offset: number }
  /** Sines and cosines of 10,000 to geometric powers of the position (Vaswani et al., 2017, section 3.5). */
  | { readonly kind: "sinusoidal" }
  | Rotary;

/** Rotary position embedding (Su et al., 2021) of the first `dims` of each head, pairing its two halves. */
export interface Rotary {
  readonly kind: "rotary";
  readonly dims: number;
  readonly theta: number;
  readonly scaling: RotaryScaling | null;
  /** The angles of some layers, if they differ: Gemma 3's layers with a window. */
  readonly local?: {
    readonly layers: readonly number[];
    readonly theta: number;
    readonly scaling: RotaryScaling | null;
  };
  /** Layers without rotation. */
  readonly unrotatedLayers: readonly number[];
}

/** Scaling of the frequencies for longer contexts; the formulas are in `nn/rotary.ts`. */
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
      /** Rounds the ramp's ends to whole dimensions. */
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
 * An encoder-decoder (Vaswani et al., 2017): an encoder of the source, and a decoder whose blocks also attend to its output.
 * Both are described by a decoder's config; the encoder has no head, and its positions also attend to later ones.
 */
export interface EncoderDecoderConfig {
  readonly encoder: DecoderConfig;
  readonly decoder: DecoderConfig;
}

export type ModelConfig = DecoderConfig | EncoderDecoderConfig;
