/** Generation: the loop that turns logits into tokens, over a cache of the tokens it has already read. */

import type { Sampling } from "../api/generation";
import { type Random, random } from "../random";
import type { Tokenizer } from "../tokenizers";
import type { AppendOptions, Decoding, NextToken } from "./decoding";
import { type Choice, choose, GREEDY, isGreedy } from "./sampling";

export interface GenerateOptions extends Partial<Sampling> {
  readonly maxNewTokens: number;
  /** Generation ends at any of these tokens, which is not part of the result. */
  readonly eosIds: readonly number[];
  /** Checked before every token. */
  readonly signal?: AbortSignal | undefined;
  /** Called after the prompt is read, with the number of its tokens that were still in the cache. */
  readonly onPrompt?: (reused: number) => void;
  /** Called when the context is full and the window over the text moves, with the number of first tokens left out. */
  readonly onWindow?: (dropped: number) => void;
  /** Called with each choice and its logits before the token is yielded. */
  readonly onChoice?: (choice: Choice, logits: Float32Array) => void;
}

export interface GeneratedStep {
  readonly id: number;
  /** The token's probability under the model, before temperature and filters. */
  readonly probability: number;
  /** Entropy of the model's distribution, in nats. */
  readonly entropy: number;
}

/** A cache of one sequence: of a prompt that starts like the previous one, only the rest is computed. */
export class TokenCache {
  #tokens: number[] = [];

  constructor(readonly decoding: Decoding) {
    if (decoding.batch !== 1) throw new Error("TokenCache: one sequence only");
  }

  /** Returns the prediction after a sequence, the number of its cached tokens, and the number its window leaves out. */
  async after(
    ids: readonly number[],
    options: AppendOptions = {},
  ): Promise<{ next: NextToken; reused: number; dropped: number }> {
    const dropped = windowStart(ids.length, this.decoding.cfg.nCtx);
    const window = ids.slice(dropped);
    // The last token is always computed, because its prediction is needed.
    const reused = Math.min(commonPrefix(window, this.#tokens), window.length - 1, this.decoding.length);
    this.decoding.rewind(reused);
    this.#tokens = this.#tokens.slice(0, reused);
    const rest = window.slice(reused);
    try {
      return { next: await this.decoding.append(Int32Array.from(rest), options), reused, dropped };
    } finally {
      this.#tokens.push(...rest.slice(0, this.decoding.length - reused));
    }
  }
}

/**
 * Yields the tokens that follow a prompt. It ends at EOS or at `maxNewTokens`; to stop earlier, break out of the loop or
 * abort the signal. `prompt` must not be empty: see the tokenizer's `encodePrompt`.
 */
export async function* generate(
  cache: TokenCache,
  prompt: readonly number[],
  { maxNewTokens, eosIds, seed = GREEDY.seed, signal, onPrompt, onWindow, onChoice, ...sampling }: GenerateOptions,
): AsyncGenerator<GeneratedStep> {
  const draws = random(seed, "generate");
  const ids = [...prompt];
  // The graph itself returns the most likely token, so greedy sampling needs no logits.
  const logits = !isGreedy(sampling) || onChoice !== undefined;
  let leftOut = 0;
  for (let count = 0; count < maxNewTokens && !signal?.aborted; count++) {
    const { next, reused, dropped } = await cache.after(ids, { logits, signal });
    if (count === 0) onPrompt?.(reused);
    if (dropped > leftOut) onWindow?.(dropped);
    leftOut = dropped;
    const choice = next.logits && choose(next.logits, sampling, draws, ids);
    const { id, probability } = choice ?? {
      id: next.best[0] as number,
      probability: Math.exp(next.bestLogProbability[0] as number),
    };
    if (eosIds.includes(id)) return;
    if (choice && next.logits) onChoice?.(choice, next.logits);
    yield { id, probability, entropy: next.entropy[0] as number };
    ids.push(id);
  }
}

/**
 * Returns the tokens that follow several prompts: one forward pass computes a token of each. Each row has its own window,
 * and ends at EOS, at `maxNewTokens`, or when `onToken` returns true. Row b samples with seed + b.
 */
export async function generateBatch(
  decoding: Decoding,
  prompts: readonly (readonly number[])[],
  {
    maxNewTokens,
    eosIds,
    seed = GREEDY.seed,
    signal,
    onToken,
    ...sampling
  }: Omit<GenerateOptions, "onPrompt" | "onWindow" | "onChoice"> & {
    readonly onToken?: (row: number, id: number) => boolean;
  },
): Promise<number[][]> {
  const { vocabSize: V, nCtx } = decoding.cfg;
  const draws = prompts.map((_, b) => random(seed + b, "generate"));
  const rows = prompts.map((prompt) => [...prompt]);
  const done = prompts.map(() => false);
  const logits = !isGreedy(sampling);

  /** Starts of the windows that the cache contains. */
  let cached: readonly number[] = [];
  const predict = (): Promise<NextToken> => {
    const starts = rows.map(({ length }) => windowStart(length, nCtx));
    const isCached = starts.every((start, b) => done[b] || start === cached[b]);
    if (isCached && decoding.length < nCtx) {
      // A finished row continues with any token; its output is ignored.
      return decoding.append(
        Int32Array.from(rows, (ids) => ids.at(-1) as number),
        { logits, signal },
      );
    }
    cached = starts;
    // A finished row must not fill the context.
    const windows = rows.map((ids, b) => ids.slice(done[b] ? -1 : starts[b]));
    const lengths = windows.map(({ length }) => length);
    const size = Math.max(...lengths) * rows.length;
    const ids = Int32Array.from(
      { length: size },
      (_, i) => windows[i % rows.length]?.[Math.floor(i / rows.length)] ?? 0,
    );
    decoding.rewind(0);
    return decoding.append(ids, { logits, signal, lengths }); // [T, B]
  };

  for (let count = 0; count < maxNewTokens && !signal?.aborted && !done.every(Boolean); count++) {
    const next = await predict();
    rows.forEach((ids, b) => {
      if (done[b]) return;
      const id = next.logits
        ? choose(next.logits.subarray(b * V, (b + 1) * V), sampling, draws[b] as Random, ids).id
        : (next.best[b] as number);
      done[b] = eosIds.includes(id);
      if (done[b]) return;
      ids.push(id);
      done[b] = onToken?.(b, id) ?? false;
    });
  }
  return rows.map((ids, b) => ids.slice(prompts[b]?.length));
}

/**
 * The start of the window over a long sequence. The window moves in steps of a quarter of the context, so that most tokens
 * can reuse the cache; after a move, the whole window is computed again.
 */
export function windowStart(length: number, nCtx: number): number {
  if (length <= nCtx) return 0;
  const step = Math.max(1, nCtx >> 2);
  return Math.ceil((length - nCtx) / step) * step;
}

/**
 * The last `contextTokens` tokens of a prompt, after BOS. The window moves in large steps, so that most prompts start like
 * the previous one and can reuse the cache.
 */
export function promptWindow(prompt: string, { encodePrompt, addBos }: Tokenizer, contextTokens = Infinity) {
  const all = encodePrompt(prompt);
  const bos = addBos ? 1 : 0;
  const dropped = windowStart(all.length - bos, Math.max(1, contextTokens - bos));
  return { ids: [...all.slice(0, bos), ...all.slice(bos + dropped)], dropped };
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
