/**
 * Batches of sentence pairs.
 *
 *     source  <bos> the cat sleeps <eos>
 *     ids     <bos> le chat dort            labels  le chat dort <eos>
 *
 * A batch has pairs of similar length, padded to a multiple of `BUCKET`.
 */

import { type PairSplits, type SentencePair, shuffled } from "../data/pairs";
import { EngineError } from "../errors";
import { paddingMask, sourceBatch } from "../nn/encoderDecoder";
import { SENTENCE, sentenceIds, type Tokenizer } from "../tokenizers";
import type { HeldOutBatch, TrainingData } from "./data";

export interface TranslationTokenizers {
  readonly source: Tokenizer;
  readonly target: Tokenizer;
}

/** Ids with BOS and EOS. */
interface TokenPair {
  readonly source: readonly number[];
  readonly target: readonly number[];
}

export interface TranslationShape {
  readonly batchSize: number;
  /** Maximum tokens per sentence, including BOS or EOS. */
  readonly blockSize: number;
  readonly seed: number;
}

const BUCKET = 8;

export function translationData(
  pairs: PairSplits,
  tokenizers: TranslationTokenizers,
  { batchSize: B, blockSize, seed }: TranslationShape,
): TrainingData {
  const encoded = (part: readonly SentencePair[]) => part.map((pair) => tokenPair(pair, tokenizers, blockSize));
  const splits: PairSplits<TokenPair> = {
    train: encoded(pairs.train),
    validation: encoded(pairs.validation),
    test: encoded(pairs.test),
  };
  const bucketOf = (pair: TokenPair) => Math.min(blockSize, Math.ceil(lengthOf(pair) / BUCKET) * BUCKET);
  const buckets = grouped(splits.train, bucketOf);
  const stepsPerEpoch = [...buckets.values()].reduce((n, pairs) => n + Math.ceil(pairs.length / B), 0);
  const labels = splits.train.reduce((n, pair) => n + pair.target.length - 1, 0);

  /** The batches of an epoch: every pair of each bucket once, and some again to fill the last batch. */
  const epoch = cacheLast((index: number) => {
    const batches = [...buckets].flatMap(([length, pairs]) => {
      const all = shuffled(pairs, seed, "pairs", length, index);
      return Array.from({ length: Math.ceil(all.length / B) }, (_, i) => ({
        length,
        pairs: Array.from({ length: B }, (_, b) => all[(i * B + b) % all.length] as TokenPair),
      }));
    });
    return shuffled(batches, seed, "batches", index);
  });

  return {
    tokensPerStep: Math.round((B * labels) / Math.max(1, splits.train.length)),
    batch: (step) => {
      const batches = epoch(Math.floor((step - 1) / stepsPerEpoch));
      const { pairs, length } = batches[(step - 1) % stepsPerEpoch] as (typeof batches)[number];
      return toBatch(pairs, B, length).batch;
    },
    *heldOut(split, most = Infinity) {
      let given = 0;
      for (const [length, pairs] of grouped(splits[split], bucketOf)) {
        for (let start = 0; start < pairs.length; start += B) {
          if (given++ >= most) return;
          yield toBatch(pairs.slice(start, start + B), B, length);
        }
      }
    },
    task: {
      examples: (split, most = Infinity) =>
        splits[split].slice(0, most).map((pair) => ({ prompt: pair.source, answer: answerOf(pair) })),
    },
    ids: null,
    release: () => {},
  };
}

function tokenPair({ source, target }: SentencePair, tokenizers: TranslationTokenizers, most: number): TokenPair {
  const pair = { source: sentenceIds(tokenizers.source, source), target: sentenceIds(tokenizers.target, target) };
  const length = lengthOf(pair);
  if (length <= most) return pair;
  throw new EngineError(
    "data",
    `"${source.slice(0, 60)}" and its translation have ${length} tokens, more than the context of ${most}. Leave the pair out, or train with a larger train.blockSize.`,
  );
}

/** The batch length that a pair needs: the decoder reads the target without its EOS. */
const lengthOf = ({ source, target }: TokenPair): number => Math.max(source.length, target.length - 1);

/** The expected tokens after BOS. An unknown word is -1, which no model can generate. */
const answerOf = ({ target }: TokenPair): number[] => target.slice(1).map((id) => (id === SENTENCE.unkId ? -1 : id));

/** Groups pairs by length, shortest first. */
function grouped(pairs: readonly TokenPair[], lengthOf: (pair: TokenPair) => number): Map<number, TokenPair[]> {
  const groups = new Map<number, TokenPair[]>();
  for (const pair of pairs) {
    const group = groups.get(lengthOf(pair)) ?? [];
    group.push(pair);
    groups.set(lengthOf(pair), group);
  }
  return new Map([...groups].sort(([a], [b]) => a - b));
}

/** Caches the last value, because batches are requested in order. */
function cacheLast<T>(make: (index: number) => T): (index: number) => T {
  let last: { readonly index: number; readonly value: T } | undefined;
  return (index) => {
    if (last?.index !== index) last = { index, value: make(index) };
    return last.value;
  };
}

/** A batch of pairs, with rows of padding that do not count if there are fewer than B. */
function toBatch(pairs: readonly TokenPair[], B: number, T: number): HeldOutBatch {
  const count = pairs.reduce((n, { target }) => n + target.length - 1, 0);
  const batch = {
    ids: new Int32Array(T * B).fill(SENTENCE.padId),
    labels: new Int32Array(T * B).fill(SENTENCE.padId),
    labelWeights: new Float32Array(T * B),
    ...sourceBatch(
      Array.from({ length: B }, (_, b) => pairs[b]?.source ?? []),
      T,
      SENTENCE.padId,
    ),
    targetMask: paddingMask(
      Array.from({ length: B }, (_, b) => (pairs[b]?.target.length ?? 1) - 1),
      T,
    ),
  };
  pairs.forEach(({ target }, b) => {
    for (let t = 0; t < target.length - 1; t++) {
      batch.ids[t * B + b] = target[t] as number;
      batch.labels[t * B + b] = target[t + 1] as number;
      batch.labelWeights[t * B + b] = 1 / count;
    }
  });
  return { batch, labels: count };
}
