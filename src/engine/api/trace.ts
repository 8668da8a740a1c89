/**
 * Traces and what is computed from them.
 *
 * A trace is one forward pass of one model over one text, kept by the engine under a number. Positions are tokens,
 * counted from 0 and including special tokens; layers and heads count from 0. Arrays are flat and row-major.
 */

import type { Sampling } from "./generation";
import type { Device, ModelInfo } from "./model";
import type { NextToken, TokenSpan, VocabularyToken } from "./tokens";

export interface TraceInfo {
  readonly trace: number;
  readonly model: ModelInfo;
  readonly tokens: readonly TokenSpan[];
  /**
   * Only in a translator's trace; `tokens` are then BOS and the translation. Values over the source are named `enc.…`,
   * those of the attention to it `blocks.{l}.cross.…`, with patterns [1, H, T, S].
   */
  readonly source?: TraceSource | undefined;
  /** Names and shapes of all recorded values, batch first. */
  readonly values: readonly ValueInfo[];
  /** L2 norm of the residual stream before the first block and after each, [nLayers + 1, T]. */
  readonly residualNorms: Float32Array;
  /** The distribution after the last token; at most 100 tokens of it. */
  readonly nextToken: NextToken;
  readonly interventions?: readonly Intervention[] | undefined;
  readonly device: Device;
  readonly milliseconds: number;
  /** The trace was read from a file: requests that need its model are rejected. */
  readonly opened?: boolean | undefined;
}

/** The encoder's side of a translator's trace. */
export interface TraceSource {
  /** Tokens of the sentence, between BOS and EOS; offsets are in the given text. */
  readonly tokens: readonly TokenSpan[];
  /** L2 norm of the encoder's residual stream, [encoder layers + 1, S]. */
  readonly residualNorms: Float32Array;
  /** The greedy translation; the offsets of the trace's tokens are in this text. */
  readonly translation: string;
}

export interface ValueInfo {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface TraceTensor extends ValueInfo {
  readonly data: Float32Array;
}

/** A change of a value before the rest of the forward pass reads it. Patches are applied after scales. */
export type Intervention<Source = number> =
  /** Multiplies what a part adds to the residual stream; 0 ablates it, 1 changes nothing. */
  | { readonly kind: "scale"; readonly part: Part; readonly factor: number }
  /** Replaces the value at a position with the same value of another trace of the model. */
  | {
      readonly kind: "patch";
      readonly value: PatchedValue;
      /** A target position; in an encoder, a source position. */
      readonly position: number;
      /** `trace` is the number of a kept trace; inside the engine, the trace itself. */
      readonly from: { readonly trace: Source; readonly position: number };
    };

export type StackName = "encoder" | "decoder";

interface InLayer {
  /** In a translator; the decoder by default. */
  readonly stack?: StackName | undefined;
  readonly layer: number;
}

/** A part of the model that adds to the residual stream; "crossHead" and "cross" attend to the source. */
export type Part =
  | (InLayer & { readonly kind: "head" | "crossHead"; readonly head: number })
  /** "layer" is everything that a layer adds: its attention (both, in a translator's decoder) and its MLP. */
  | (InLayer & { readonly kind: "attention" | "cross" | "mlp" | "layer" });

/** A value that can be patched; for a head it is `z`. */
export type PatchedValue =
  | (InLayer & { readonly kind: "head" | "crossHead"; readonly head: number })
  | (InLayer & { readonly kind: "attnOut" | "crossOut" | "mlpOut" | "residPre" | "residPost" });

export interface LensOptions {
  /** First position, and the one after the last. */
  readonly positions: readonly [number, number];
  /** Tokens per cell, at most 50. */
  readonly count: number;
  /** A token whose probability and rank are returned for every cell. */
  readonly token?: number | undefined;
}

export interface Lens {
  /**
   * Names of the values that are read, in model order: `blocks.0.residPre` (the embeddings), then for each layer
   * `blocks.{l}.residMid` if it exists, `.residCross` in translators, and `.residPost`.
   */
  readonly depths: readonly string[];
  readonly positions: readonly [number, number];
  /** The most likely tokens, [depths, positions, count]. */
  readonly ids: Uint32Array;
  readonly probabilities: Float32Array;
  /** In bits, [depths, positions]. */
  readonly entropies: Float32Array;
  /** For the requested `token`, [depths, positions]; null without one. Rank 1 is the most likely. */
  readonly tracked: { readonly probabilities: Float32Array; readonly ranks: Uint32Array } | null;
  /** The vocabulary's text of every id in `ids`. */
  readonly tokens: Readonly<Record<number, string>>;
  /** How the lens reads the stream, in one sentence for the user. */
  readonly convention: string;
}

/** The prediction after a prompt, and how well the model predicted the prompt itself. */
export interface PromptScore {
  /** Number of tokens that the model read. */
  readonly tokens: number;
  /** The prompt is longer than the context: only its end was read. */
  readonly isTruncated: boolean;
  /** The most likely next token. */
  readonly next: VocabularyToken & { readonly probability: number };
  /** Mean cross-entropy of the tokens after the first one, in nats; null if there is none. */
  readonly loss: number | null;
  /** Probabilities of the requested tokens after the prompt. */
  readonly probabilities: Float32Array;
}

/** How likely each token was, given those before it. The first token has NaN and rank 0. */
export interface Expectations {
  /** -log2 p, in bits, [T]. */
  readonly surprisal: Float32Array;
  /** Entropy of the distribution that predicted the token, in bits, [T]. */
  readonly entropy: Float32Array;
  /** 1 was the most likely, [T]. */
  readonly rank: Uint32Array;
}

/** Filters apply in the order temperature, top-k, top-p, min-p, as in ghost text. */
export type SamplerSettings = Pick<Sampling, "temperature" | "topK" | "topP" | "minP">;

export interface SamplerView {
  /** The model's own distribution. */
  readonly model: NextToken;
  /** Sampling probabilities of the tokens in `model.top`, then of the requested ids; 0 for filtered tokens. */
  readonly drawn: Float32Array;
  readonly drawnEntropyBits: number;
  /** In the order in which they apply. */
  readonly cuts: readonly SamplerCut[];
  /** The tokens that remain, and their total probability in the model's own distribution. */
  readonly kept: { readonly tokens: number; readonly mass: number };
}

export interface SamplerCut {
  readonly kind: "temperature" | "topK" | "topP" | "minP";
  /** Tokens that remain. */
  readonly tokens: number;
  /** Probability removed from the distribution with temperature; at temperature 0, from the model's own. */
  readonly removed: number;
}

export interface AttributionOptions {
  readonly position: number;
  readonly token: number;
  /** Attributes the difference to this token's logit instead of the logit. */
  readonly against?: number | undefined;
}

/**
 * Direct logit attribution: the residual stream is a sum, and with the scale of the norms held fixed the logit is linear
 * in it. The parts and the remainder sum to the logit.
 */
export interface Attribution {
  readonly logit: number;
  readonly parts: readonly AttributedPart[];
  /** The rest of the logit: rounding, the error of quantized inputs, and the effect of a soft cap. */
  readonly remainder: number;
  /** The quantities that were held fixed, in one sentence for the user. */
  readonly convention: string;
}

export interface AttributedPart {
  /**
   * "embed", "posEmbed", "head", "attnBias", "mlp", "finalNormBias", "headBias"; "crossHead" and "crossBias" for a
   * translator's attention to the source; "norm" for the bias of a norm inside the blocks; "attention", "cross" and
   * "stream" for an attention, or the whole stream so far, that an intervention replaced.
   */
  readonly kind: string;
  readonly layer: number | null;
  readonly head: number | null;
  readonly value: number;
}

/** Self-attention of the decoder, self-attention of the encoder, or attention from the target to the source. */
export type AttentionKind = "self" | "encoder" | "cross";

export interface AttentionGrid {
  readonly layers: number;
  readonly heads: number;
  /** Rows and columns of each thumbnail: at most the requested size. */
  readonly rows: number;
  readonly cols: number;
  /** Max-pooled attention patterns, [layers, heads, rows, cols]. */
  readonly tiles: Float32Array;
  /** [layers, heads] for each score. */
  readonly scores: Readonly<Record<HeadScore, Float32Array>>;
}

/**
 * Mean over queries of the attention to: the previous token; the first token, for queries after it; the tokens after
 * earlier occurrences of the query's token (Olsson et al., 2022), for queries that have any. "entropy" is the pattern's
 * mean entropy in bits. NaN where no query qualifies; cross-attention has "firstToken" and "entropy" only.
 */
export type HeadScore = "previousToken" | "firstToken" | "induction" | "entropy";

/** L2 norms that the layers of a decoder add to the residual stream at one position, [layers], and what they read. */
export interface Overview {
  /** Norms of `attnOut`, and in a translator of `crossOut`. */
  readonly attention: Float32Array;
  readonly cross: Float32Array | null;
  /** Norms of `mlpOut`. */
  readonly mlp: Float32Array;
  readonly sources: AttentionSources;
  /** Positions of a translator's source. */
  readonly crossSources: AttentionSources | null;
}

/** The positions that a layer's attention reads most, strongest first, [layers, count]. */
export interface AttentionSources {
  readonly count: number;
  readonly positions: Uint32Array;
  /** Attention weights, averaged over heads. */
  readonly weights: Float32Array;
  /** The head with the largest weight on the position. */
  readonly heads: Uint32Array;
}

export interface NeighborsOptions {
  /** A token of the vocabulary, or a value's vector at a position. */
  readonly of:
    | {
        readonly kind: "token";
        readonly id: number;
        /** In a translator, the vocabulary of the token; the decoder's by default. */
        readonly stack?: StackName | undefined;
      }
    | { readonly kind: "value"; readonly name: string; readonly position: number };
  /** Among the input embeddings, or the rows of the head. */
  readonly among: "embeddings" | "head";
  readonly count: number;
}

export interface Neighbors {
  readonly nearest: readonly (VocabularyToken & { readonly cosine: number })[];
}

export interface Projection {
  /** [points, 3]: positions first, then the requested ids. Each component's largest loading is positive. */
  readonly coordinates: Float32Array;
  readonly points: number;
  /** Share of the variance of the positions' vectors that each of the three components explains. */
  readonly explained: Float32Array;
}

export interface WeightSummary {
  readonly name: string;
  readonly shape: readonly number[];
  readonly min: number;
  readonly max: number;
  readonly mean: number;
  readonly std: number;
  /** Equal bins from min to max. */
  readonly histogram: Uint32Array;
  /** Mean of each tile, [rows, cols]; a vector is one row. */
  readonly picture: { readonly rows: number; readonly cols: number; readonly values: Float32Array };
}

/** In a long text the window moves in steps of half the context, so each token has at least half a context before it. */
export interface Surprisal {
  readonly tokens: readonly TokenSpan[];
  /** -log2 p, in bits; NaN for a token with nothing before it. */
  readonly surprisal: Float32Array;
  /** Entropy of the distribution that predicted the token, in bits. */
  readonly entropy: Float32Array;
  /** 1 was the most likely. */
  readonly rank: Uint32Array;
  /** The most likely tokens at each position and their probabilities, [tokens, alternatives]. */
  readonly alternatives: { readonly count: number; readonly ids: Uint32Array; readonly probabilities: Float32Array };
  /** The vocabulary's text of every id in `alternatives`. */
  readonly texts: Readonly<Record<number, string>>;
}

/** The positions that two texts have in common, in pairs, [pairs] each. */
export interface AlignedPositions {
  readonly a: Uint32Array;
  readonly b: Uint32Array;
}

/** Differences at the positions that both texts have, after their tokens are aligned. */
export interface TraceDifference {
  readonly positions: AlignedPositions;
  /** Those of a translator's source. */
  readonly sourcePositions?: AlignedPositions | undefined;
  /** KL(a || b) of the next-token distributions, in bits, [positions]. */
  readonly divergence: Float32Array;
  /**
   * For every value that both traces have with the same width: L2 norm of the difference divided by that of a's value, at
   * each of the positions; for values over a translator's source, at the source's.
   */
  readonly values: readonly { readonly name: string; readonly relative: Float32Array }[];
}

export interface WeightDifference {
  readonly name: string;
  readonly shape: readonly number[];
  /** L2 norm of b - a divided by that of a. */
  readonly relative: number;
  readonly cosine: number;
}
