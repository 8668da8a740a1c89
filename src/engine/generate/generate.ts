/** Generation: the loop that turns logits into tokens, over a cache that remembers what it has already read. */

import { random } from "../random";
import type { Decoding } from "./decoding";
import { choose, type Sampling } from "./sampling";

export interface GenerateOptions extends Sampling {
  readonly seed: number;
  readonly maxNewTokens: number;
  /** Generation ends when this token comes, which is not part of the result. */
  readonly eosId: number | null;
  /** Heard before every token. */
  readonly signal?: AbortSignal | undefined;
  /** Told, once the prompt is read, how many of its tokens were still in the cache. */
  readonly onPrompt?: (reused: number) => void;
}

export interface GeneratedStep {
  readonly id: number;
  /** What the model gave the token, before temperature and cuts. */
  readonly probability: number;
}

/** A sequence's place in a model's cache: consecutive prompts that begin alike are read only where they differ. */
export class TokenCache {
  #tokens: number[] = [];

  constructor(readonly decoding: Decoding) {
    if (decoding.batch !== 1) throw new Error("TokenCache: one sequence only");
  }

  /** Logits [V] after a sequence, and how many of its tokens were still known. */
  async logitsAfter(ids: readonly number[], signal?: AbortSignal): Promise<{ logits: Float32Array; reused: number }> {
    const window = ids.slice(windowStart(ids.length, this.decoding.cfg.nCtx));
    // The last token is always read: its logits are what is wanted.
    const reused = Math.min(commonPrefix(window, this.#tokens), window.length - 1);
    this.decoding.rewind(reused);
    this.#tokens = this.#tokens.slice(0, reused);
    const rest = window.slice(reused);
    try {
      const logits = await this.decoding.append(Int32Array.from(rest), signal);
      return { logits, reused };
    } finally {
      this.#tokens.push(...rest.slice(0, this.decoding.length - reused));
    }
  }
}

/**
 * The tokens that follow a prompt, one by one. Stop by breaking out of the loop, by the signal, or let it run to EOS or
 * to the length asked for. `prompt` must not be empty: see the tokenizer's `encodePrompt`.
 */
export async function* generate(
  cache: TokenCache,
  prompt: readonly number[],
  { maxNewTokens, eosId, seed, signal, onPrompt, ...sampling }: GenerateOptions,
): AsyncGenerator<GeneratedStep> {
  const draws = random(seed, "generate");
  const ids = [...prompt];
  for (let made = 0; made < maxNewTokens && !signal?.aborted; made++) {
    const { logits, reused } = await cache.logitsAfter(ids, signal);
    if (made === 0) onPrompt?.(reused);
    const step = choose(logits, sampling, draws);
    if (step.id === eosId) return;
    yield step;
    ids.push(step.id);
  }
}

/**
 * Where the window over a long sequence begins. It moves in steps of a quarter of the context, so that most tokens find
 * the cache as they left it; with learned positions a moved window is read anew.
 */
export function windowStart(length: number, nCtx: number): number {
  if (length <= nCtx) return 0;
  const step = Math.max(1, nCtx >> 2);
  return Math.ceil((length - nCtx) / step) * step;
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return n;
}
