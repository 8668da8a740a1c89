/** Text generation: sampling settings, results, and generations recorded step by step. */

import type { RankedToken, TokenSpan } from "./tokens";

export interface Sampling {
  /** Divides the logits; 0 always picks the most likely token (greedy). */
  readonly temperature: number;
  /** Keeps the k most likely tokens; 0 keeps all. */
  readonly topK: number;
  /** Keeps the smallest set of tokens with at least this total probability; 1 keeps all. */
  readonly topP: number;
  /** Keeps tokens with at least this share of the most likely token's probability; 0 keeps all. */
  readonly minP: number;
  /** Penalizes tokens that have already occurred by this factor (Keskar et al., 2019); 1 changes nothing. */
  readonly repetitionPenalty: number;
  readonly seed: number;
}

export interface GeneratedToken {
  readonly id: number;
  /** The completion so far, without the prompt; a character with missing bytes is held back. */
  readonly text: string;
  readonly probability: number;
  /** Entropy of the distribution it was sampled from, in nats. */
  readonly entropy: number;
}

export interface GenerateResult {
  readonly ids: readonly number[];
  readonly text: string;
  readonly reason: "eos" | "length" | "stop" | "canceled";
  readonly promptTokens: number;
  /** Prompt tokens whose keys and values were still cached. */
  readonly reusedTokens: number;
  /** Tokens dropped from the start of a prompt longer than the context. */
  readonly droppedTokens: number;
  readonly milliseconds: number;
}

/** One generated token and the candidates at its step. */
export interface GenerationStep {
  readonly id: number;
  readonly token: string;
  /** The model's own probability, before temperature and filters; so are `entropyBits` and `top`. */
  readonly probability: number;
  readonly entropyBits: number;
  readonly top: readonly RankedToken[];
  /** Tokens that passed the sampler's filters, and their total probability in the model's own distribution. */
  readonly kept: { readonly tokens: number; readonly mass: number };
  /** Probability with which the sampler drew the token. */
  readonly drawnWith: number;
}

export interface GenerationTrace {
  /** Tokens of the prompt. */
  readonly prompt: readonly TokenSpan[];
  readonly steps: readonly GenerationStep[];
  readonly text: string;
  readonly reason: "eos" | "length" | "canceled";
}
