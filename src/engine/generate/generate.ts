/** Generation: the loop that turns logits into tokens, over a cache that remembers what it has already read. */

import type { Sampling } from "../api/generation";
import { type Random, random } from "../random";
import type { AppendOptions, Decoding, NextToken } from "./decoding";
import { type Choice, choose, GREEDY, isGreedy } from "./sampling";

export interface GenerateOptions extends Partial<Sampling> {
  readonly maxNewTokens: number;
  /** Generation ends when one of these tokens comes, which is not part of the result. */
  readonly eosIds: readonly number[];
  /** Heard before every token. */
  readonly signal?: AbortSignal | undefined;
  /** Told, once the prompt is read, how many of its tokens were still in the cache. */
  readonly onPrompt?: (reused: number) => void;
  /** Told when the context is full and the window over the text moves: how many first tokens it leaves out from now on. */
  readonly onWindow?: (dropped: number) => void;
  /** Told of each choice before its token comes, with the logits that it was made from. */
  readonly onChoice?: (choice: Choice, logits: Float32Array) => void;
}

export interface GeneratedStep {
  readonly id: number;
  /** What the model gave the token, before temperature and cuts. */
  readonly probability: number;
  /** Of the model's distribution, in nats: how undecided it was. */
  readonly entropy: number;
}

/** A sequence's place in a model's cache: consecutive prompts that begin alike are read only where they differ. */
export class TokenCache {
  #tokens: number[] = [];

  constructor(readonly decoding: Decoding) {
    if (decoding.batch !== 1) throw new Error("TokenCache: one sequence only");
  }

  /** What comes after a sequence, how many of its tokens were still known, and how many its window leaves out. */
  async after(
    ids: readonly number[],
    options: AppendOptions = {},
  ): Promise<{ next: NextToken; reused: number; dropped: number }> {
    const dropped = windowStart(ids.length, this.decoding.cfg.nCtx);
    const window = ids.slice(dropped);
    // The last token is always read: what comes after it is what is wanted.
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
 * The tokens that follow a prompt, one by one. Stop by breaking out of the loop, by the signal, or let it run to EOS or
 * to the length asked for. `prompt` must not be empty: see the tokenizer's `encodePrompt`.
 */
export async function* generate(
  cache: TokenCache,
  prompt: readonly number[],
  { maxNewTokens, eosIds, seed = GREEDY.seed, signal, onPrompt, onWindow, onChoice, ...sampling }: GenerateOptions,
): AsyncGenerator<GeneratedStep> {
  const draws = random(seed, "generate");
  const ids = [...prompt];
  // The most likely token comes out of the run itself; the whole vocabulary need not leave it.
  const logits = !isGreedy(sampling) || onChoice !== undefined;
  let leftOut = 0;
  for (let made = 0; made < maxNewTokens && !signal?.aborted; made++) {
    const { next, reused, dropped } = await cache.after(ids, { logits, signal });
    if (made === 0) onPrompt?.(reused);
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
 * The tokens that follow several prompts, side by side: one run computes a token of each. Rows end at EOS, at the length
 * asked for, or together when the longest has filled the context. Row b draws with seed + b.
 */
export async function generateBatch(
  decoding: Decoding,
  prompts: readonly (readonly number[])[],
  {
    maxNewTokens,
    eosIds,
    seed = GREEDY.seed,
    signal,
    ...sampling
  }: Omit<GenerateOptions, "onPrompt" | "onWindow" | "onChoice">,
): Promise<number[][]> {
  const B = prompts.length;
  const V = decoding.cfg.vocabSize;
  const draws = prompts.map((_, b) => random(seed + b, "generate"));
  const written: number[][] = prompts.map(() => []);
  const done = prompts.map(() => false);
  const lengths = prompts.map((prompt) => prompt.length);
  const columns = Math.max(...lengths);
  const logits = !isGreedy(sampling);

  decoding.rewind(0);
  const ids = Int32Array.from({ length: columns * B }, (_, i) => prompts[i % B]?.[Math.floor(i / B)] ?? 0); // [T, B]
  let next = await decoding.append(ids, { logits, signal, lengths });
  for (let made = 0; made < maxNewTokens; made++) {
    for (let b = 0; b < B; b++) {
      if (done[b]) continue;
      const id = next.logits
        ? choose(next.logits.subarray(b * V, (b + 1) * V), sampling, draws[b] as Random, [
            ...(prompts[b] as readonly number[]),
            ...(written[b] as number[]),
          ]).id
        : (next.best[b] as number);
      if (eosIds.includes(id)) done[b] = true;
      else written[b]?.push(id);
    }
    if (signal?.aborted || done.every(Boolean) || made === maxNewTokens - 1 || decoding.length === decoding.cfg.nCtx)
      break;
    // A row that is done goes on with any token; nobody reads what comes of it.
    const column = Int32Array.from(written, (row) => row.at(-1) ?? 0);
    next = await decoding.append(column, { logits, signal });
  }
  return written;
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
