/**
 * Requests about traces and models that the views of the Explorer show.
 *
 * To add one: a method here, its result type in `engine/api/trace.ts`, its handler in `worker/traceService.ts`, and the check
 * of its parameters in `extension/explore/traceChecks.ts`. Views call it with `Inspection.ask`. Expensive results are
 * requested by position or by head, so that a view pays for what it shows.
 */

import type { GenerationStep, GenerationTrace, Sampling } from "../engine/api/generation";
import type { FoundTokens, VocabularyToken } from "../engine/api/tokens";
import type {
  AttentionGrid,
  AttentionKind,
  Attribution,
  AttributionOptions,
  Expectations,
  Intervention,
  Lens,
  LensOptions,
  Neighbors,
  NeighborsOptions,
  Overview,
  Projection,
  PromptScore,
  SamplerSettings,
  SamplerView,
  StackName,
  Surprisal,
  TraceDifference,
  TraceInfo,
  TraceTensor,
  WeightDifference,
  WeightSummary,
} from "../engine/api/trace";
import type { Method } from "./rpc";

export type { GenerationStep, GenerationTrace } from "../engine/api/generation";
export type { VocabularyToken } from "../engine/api/tokens";
export type * from "../engine/api/trace";

export interface TraceApi {
  /** Runs the model once over a text, or over its last `maxTokens` tokens, and keeps the trace. */
  inspect: Method<{ dir: string; text: string; maxTokens?: number }, TraceInfo>;
  /** One value. A value with heads is that of one query head; for keys and values, the head that it reads. */
  traceTensor: Method<{ trace: number; name: string; head?: number }, TraceTensor>;
  /** Tokens by id (`#12`) or text, exact matches first, ranked after a position (the last by default). */
  findTokens: Method<{ trace: number; query: string; count: number; position?: number }, FoundTokens>;
  releaseTrace: Method<{ trace: number }, null>;

  /** Runs the same text again with interventions. The result is a trace like any other. */
  intervene: Method<{ trace: number; interventions: readonly Intervention[] }, TraceInfo>;
  /** Next-token predictions from every layer of the residual stream, through the final norm and the head. */
  lens: Method<{ trace: number } & LensOptions, Lens>;
  /** How likely each token of the trace was, given those before it. */
  expectations: Method<{ trace: number }, Expectations>;
  /** The sampler's filters applied to the distribution after a position. */
  sampler: Method<SamplerParams, SamplerView>;
  /** The contribution of each part of the model to a token's logit after a position. */
  attribution: Method<{ trace: number } & AttributionOptions, Attribution>;

  /** The norms that each layer adds to the residual stream at a position, and the tokens that its attention reads. */
  overview: Method<{ trace: number; position: number }, Overview>;
  /** Thumbnails, at most `size` wide, of every head's attention pattern, and scores that classify the heads. */
  attentionGrid: Method<{ trace: number; size: number; kind?: AttentionKind }, AttentionGrid>;
  /** Tokens of the vocabulary with the most similar vectors, by cosine. */
  neighbors: Method<{ trace: number } & NeighborsOptions, Neighbors>;
  /**
   * Principal components of a value [1, T, D]. `ids` are tokens whose input embeddings are projected too; in a translator,
   * of the value's stack.
   */
  projection: Method<{ trace: number; name: string; ids: readonly number[] }, Projection>;
  /** Tokens of a vocabulary by id (`#12`) or text, exact matches first; in a translator, of the given stack. */
  vocabularyTokens: Method<
    { trace: number; query: string; count: number; stack?: StackName },
    readonly VocabularyToken[]
  >;
  /** Statistics, a histogram and a thumbnail, at most `size` wide, of one weight of a model. */
  weightSummary: Method<{ dir: string; name: string; size: number }, WeightSummary>;

  /** How likely each token of a text is, given those before it. Reports tokens as they are scored. */
  surprisal: Method<SurprisalParams, Surprisal, Surprisal>;
  /** The prediction after a prompt, the prompt's loss, and the probabilities of `ids` after it. Keeps no trace. */
  scorePrompt: Method<{ dir: string; text: string; ids: readonly number[] }, PromptScore>;
  /** Generates token by token and reports the candidates of each step. */
  generationTrace: Method<GenerationParams, GenerationTrace, GenerationStep>;

  /** Differences of two traces with the same tokenizer, by position. */
  compareTraces: Method<{ a: number; b: number }, TraceDifference>;
  /** Differences of the weights of two models with the same architecture, by tensor. */
  compareWeights: Method<{ a: string; b: string }, readonly WeightDifference[]>;

  /** Writes a trace to a file that opens without the model (docs/dltrace.md). */
  saveTrace: Method<{ trace: number; path: string }, null>;
  openTrace: Method<{ path: string }, TraceInfo>;
}

interface SamplerParams extends SamplerSettings {
  readonly trace: number;
  readonly position: number;
  /** Number of most likely tokens to return, at most 200. */
  readonly count: number;
  /** Further tokens to return, at most 100. */
  readonly ids?: readonly number[];
}

interface SurprisalParams {
  readonly dir: string;
  readonly text: string;
  /** Scores tokens from this UTF-16 offset on; the text before it is context. */
  readonly from?: number;
  /** Alternatives to return for each token, at most 20. */
  readonly alternatives: number;
}

export interface GenerationParams extends Partial<Sampling> {
  readonly dir: string;
  /** A text, or the tokens of a branch: a prompt and the tokens chosen so far. */
  readonly prompt: string | readonly number[];
  readonly maxNewTokens: number;
  /** Candidates to return for each step, at most 100. */
  readonly count: number;
}
