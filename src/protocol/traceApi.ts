/**
 * What the engine answers about a trace, beyond its values: what the Explorer's views ask.
 *
 * A trace is one run of one model over one text, kept by the engine under a number. Positions are tokens, counted from 0
 * with the special tokens; layers and heads count from 0. Where an answer has a row for each of several places, arrays
 * are flat and row-major. What is computed only when it is asked for, is asked for by position or by head: a view pays
 * for what it shows.
 */

import type { Intervention as Intervened, Part, PatchedValue, StackName } from "../engine/inspect/interventions";
import type { NextToken, RankedToken, Sampling, TokenSpan, TraceInfo } from "./engineApi";
import type { Method } from "./rpc";

export type { Part, PatchedValue };

export interface TraceApi {
  /** Runs the same text again, changed on the way. The answer is a trace like any other; its `interventions` say how. */
  intervene: Method<{ trace: number; interventions: readonly Intervention[] }, TraceInfo>;
  /** What each place of the residual stream would predict, through the final norm and the head. */
  lens: Method<LensParams, Lens>;
  /** How well each token of the run was expected by the run itself, given those before it. */
  expectations: Method<{ trace: number }, Expectations>;
  /** What a sampler makes of the distribution after a position. */
  sampler: Method<SamplerParams, SamplerView>;
  /** What each part of the model added to a token's logit after a position. */
  attribution: Method<AttributionParams, Attribution>;

  /** Small pictures of every head's attention pattern, and what kind of head each is by its scores. */
  attentionGrid: Method<
    { trace: number; size: number /** Translators have all three; "self" unless given. */; kind?: AttentionKind },
    AttentionGrid
  >;
  /** Tokens of the vocabulary whose vectors point where one does, by cosine. */
  neighbors: Method<NeighborsParams, Neighbors>;
  /** Principal components of a value's vectors, with those of chosen tokens of the vocabulary among them. */
  projection: Method<ProjectionParams, Projection>;
  /** Tokens of a vocabulary by id (`#12`) or text, exact matches first; of a translator, of the stack that is named. */
  vocabularyTokens: Method<
    { trace: number; query: string; count: number; stack?: StackName },
    readonly VocabularyToken[]
  >;
  /** A weight of the model in small: statistics, histogram and a picture. */
  weightSummary: Method<{ dir: string; name: string; size: number }, WeightSummary>;

  /** How well each token of a text was expected, given those before it. Reports tokens as they are scored. */
  surprisal: Method<SurprisalParams, Surprisal, Surprisal>;
  /** One token after another, with what there was to choose from at each. */
  generationTrace: Method<GenerationParams, GenerationTrace, GenerationStep>;

  /** How two runs of one tokenizer differ at each position. */
  compareTraces: Method<{ a: number; b: number }, TraceDifference>;
  /** How the weights of two models of one architecture differ, by tensor. */
  compareWeights: Method<{ a: string; b: string }, readonly WeightDifference[]>;

  /** Writes a trace to a file that opens without the model (docs/dltrace.md). */
  saveTrace: Method<{ trace: number; path: string }, null>;
  openTrace: Method<{ path: string }, TraceInfo>;
}

/** A value of the run, changed before what follows reads it. `from.trace` is the number of a kept trace. */
export type Intervention = Intervened<number>;

export interface LensParams {
  readonly trace: number;
  /** From the first to before the last. */
  readonly positions: readonly [number, number];
  /** Tokens of each place, at most 50. */
  readonly count: number;
  /** A token whose probability and rank are told everywhere. */
  readonly token?: number;
}

export interface Lens {
  /**
   * Values of the residual stream, in the order of the model: `blocks.0.residPre`, which is the embeddings, then of each
   * layer `blocks.{l}.residMid` where it has one, `.residCross` in translators, and `.residPost`.
   */
  readonly places: readonly string[];
  readonly positions: readonly [number, number];
  /** [places, positions, count]: the most likely tokens and their probabilities. */
  readonly ids: Uint32Array;
  readonly probabilities: Float32Array;
  /** [places, positions], in bits. */
  readonly entropies: Float32Array;
  /** Of `token`, [places, positions]; null where none was asked for. Rank 1 is the most likely. */
  readonly tracked: { readonly probabilities: Float32Array; readonly ranks: Uint32Array } | null;
  /** The vocabulary's text of every id in `ids`. */
  readonly tokens: Readonly<Record<number, string>>;
  /** What the lens reads, in one sentence, to show. */
  readonly convention: string;
}

/** NaN and rank 0 of a token with nothing before it. */
export interface Expectations {
  /** In bits, -log2 p, [T]. */
  readonly surprisal: Float32Array;
  /** Of the distribution that the token was expected by, in bits, [T]. */
  readonly entropy: Float32Array;
  /** 1 was the most likely, [T]. */
  readonly rank: Uint32Array;
}

/** Temperature, then top-k, then top-p, then min-p, as ghost text is sampled. */
export interface SamplerParams extends Pick<Sampling, "temperature" | "topK" | "topP" | "minP"> {
  readonly trace: number;
  readonly position: number;
  /** Most likely tokens that are told, at most 200. */
  readonly count: number;
  /** Tokens asked about beside them, at most 100. */
  readonly ids?: readonly number[];
}

export interface SamplerView {
  /** By the model itself, over the whole vocabulary. */
  readonly model: NextToken;
  /** With which probability the sampler draws the tokens of `model.top`, then those asked about; 0 where they are cut. */
  readonly drawn: Float32Array;
  readonly drawnEntropyBits: number;
  /** In the order in which they are made. */
  readonly cuts: readonly {
    readonly kind: "temperature" | "topK" | "topP" | "minP";
    /** Tokens that are left after it. */
    readonly tokens: number;
    /** What it takes of the distribution with temperature; of temperature 0, of the model's own. */
    readonly removed: number;
  }[];
  /** What is drawn from, and what mass of the model's own distribution it has. */
  readonly kept: { readonly tokens: number; readonly mass: number };
}

export interface AttributionParams {
  readonly trace: number;
  readonly position: number;
  readonly token: number;
  /** The difference to this token's logit instead of the logit. */
  readonly against?: number;
}

/**
 * Direct logit attribution: the residual stream is a sum, and with the final norm's scale held as it was the logit is
 * linear in it. The parts sum to the logit, but for rounding.
 */
export interface Attribution {
  readonly logit: number;
  readonly parts: readonly {
    /**
     * "embed", "posEmbed", "head", "attnBias", "mlp", "finalNormBias", "headBias"; "crossHead" and "crossBias" of a
     * translator's attention to the source; "norm", the bias of a norm inside the blocks; "attention", "cross", "stream":
     * an attention, or all of the stream so far, that an intervention put in.
     */
    readonly kind: string;
    readonly layer: number | null;
    readonly head: number | null;
    readonly value: number;
  }[];
  /** Where the sum is not the logit (a soft cap), what is left. */
  readonly remainder: number;
  /** What was held fixed, in one sentence, to show. */
  readonly convention: string;
}

/** Of what is written to itself, of what is read to itself, or from the one to the other. */
export type AttentionKind = "self" | "encoder" | "cross";

export interface AttentionGrid {
  readonly layers: number;
  readonly heads: number;
  /** Rows and columns of each picture: at most the size asked for. */
  readonly rows: number;
  readonly cols: number;
  /** [layers, heads, rows, cols]: of each tile of the pattern the largest value. */
  readonly tiles: Float32Array;
  /** By kind, [layers, heads]; each says in `means` what it is. */
  readonly scores: Readonly<Record<HeadScore, Float32Array>>;
}

/**
 * Mean over queries of the attention to: the token before; the first token, both of queries after it; the tokens after
 * earlier occurrences of the query's own token, of queries that have any (Olsson et al., 2022); and the mean entropy of
 * the pattern in bits. NaN where no query has such a key; between two texts only the first token and the entropy are told.
 */
export type HeadScore = "previousToken" | "firstToken" | "induction" | "entropy";

export interface NeighborsParams {
  readonly trace: number;
  /** A token of the vocabulary, or a value's vector at a position. */
  readonly of:
    | {
        readonly kind: "token";
        readonly id: number;
        /** Of a translator, whose token it is; the decoder's where neither is named. A value is of the stack in its name. */
        readonly stack?: StackName;
      }
    | { readonly kind: "value"; readonly name: string; readonly position: number };
  /** Among the input embeddings, or the head's rows. */
  readonly among: "embeddings" | "head";
  readonly count: number;
}

export interface VocabularyToken {
  readonly id: number;
  /** Its text in the vocabulary. */
  readonly token: string;
}

export interface Neighbors {
  readonly nearest: readonly (VocabularyToken & { readonly cosine: number })[];
}

export interface ProjectionParams {
  readonly trace: number;
  /** A value [1, T, D]. */
  readonly name: string;
  /** Tokens of the vocabulary whose input embeddings are drawn too; of a translator, of the stack that the value is of. */
  readonly ids: readonly number[];
}

export interface Projection {
  /** [points, 3]: first the positions, then the ids. Signs are fixed: each component's largest loading is positive. */
  readonly coordinates: Float32Array;
  readonly points: number;
  /** Share of the variance of the positions' vectors, of each of the three. */
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

export interface SurprisalParams {
  readonly dir: string;
  readonly text: string;
  /** Scores from this UTF-16 offset on only; what is before serves as context. */
  readonly from?: number;
  /** Alternatives of each token, at most 20. */
  readonly alternatives: number;
}

/** Of long texts the window moves in steps of half the context, so each token has at least half a context before it. */
export interface Surprisal {
  readonly tokens: readonly TokenSpan[];
  /** In bits, -log2 p; NaN of a token with nothing before it. */
  readonly surprisal: Float32Array;
  /** Of the distribution that the token was expected by, in bits. */
  readonly entropy: Float32Array;
  /** 1 was the most likely. */
  readonly rank: Uint32Array;
  /** [tokens, alternatives]: the most likely tokens there and their probabilities. */
  readonly alternatives: { readonly count: number; readonly ids: Uint32Array; readonly probabilities: Float32Array };
  /** The vocabulary's text of every id in `alternatives`. */
  readonly texts: Readonly<Record<number, string>>;
}

export interface GenerationParams extends Partial<Sampling> {
  readonly dir: string;
  /** A text, or the tokens of a branch: a prompt and what was chosen so far. */
  readonly prompt: string | readonly number[];
  readonly maxNewTokens: number;
  /** Tokens told of each step, at most 100. */
  readonly count: number;
}

export interface GenerationStep {
  readonly id: number;
  readonly token: string;
  /** By the model itself, before temperature and cuts. */
  readonly probability: number;
  readonly entropyBits: number;
  readonly top: readonly RankedToken[];
  /** What the sampler drew from: how many tokens were left, and what mass of the model's own distribution they had. */
  readonly kept: { readonly tokens: number; readonly mass: number };
  /** With which probability the sampler drew it. */
  readonly drawnWith: number;
}

export interface GenerationTrace {
  /** Tokens of the prompt. */
  readonly prompt: readonly TokenSpan[];
  readonly steps: readonly GenerationStep[];
  readonly text: string;
  readonly reason: "eos" | "length" | "canceled";
}

export interface TraceDifference {
  /** Positions that are compared: those of the shorter trace. */
  readonly positions: number;
  /** First position whose token differs; null where none does. */
  readonly tokensDifferAt: number | null;
  /** KL(a || b) of the next token's distribution at each position, in bits. */
  readonly divergence: Float32Array;
  /**
   * By value that both have with one width: L2 norm of the difference by that of a's, at each position; of what is over a
   * translator's source, at those of the shorter source.
   */
  readonly values: readonly { readonly name: string; readonly relative: Float32Array }[];
}

export interface WeightDifference {
  readonly name: string;
  readonly shape: readonly number[];
  /** L2 norm of b - a by that of a. */
  readonly relative: number;
  readonly cosine: number;
}
