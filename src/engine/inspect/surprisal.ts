/**
 * Surprisal of each token of a text, given those before it.
 *
 * A text longer than the context is read in windows that move by half of it, so that each token has at least half a context
 * before it. Only the vectors that predict a scored token leave the blocks, and only the requested numbers leave the head.
 *
 * B windows in a batch   T position   D dModel
 */

import { setImmediate } from "node:timers/promises";
import type { TokenSpan } from "../api/tokens";
import { positionFeeds, positionInputs, threadsFor } from "../generate/decodeGraph";
import { input, type Node, rows } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { blocks, fullAttention } from "../nn/decoder";
import { requireIds } from "../nn/ids";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { UNKNOWN as NO_TOKEN, type Tokenizer } from "../tokenizers";
import { cooperate } from "../tokenizers/cooperate";
import { maskFeeds, maskName } from "./masks";
import { emptyReading, type Reading, type Readout, requireCausal } from "./readout";

/** Scored tokens of a text, in order. */
export interface ScoredTokens extends Reading {
  readonly tokens: readonly TokenSpan[];
}

/** A window reads tokens `start` to `end - 1` of a text and scores those from `from` on. */
export interface Window {
  readonly start: number;
  readonly from: number;
  readonly end: number;
}

/** Reads and scores the windows of texts. */
export class WindowScorer {
  /** By the number of windows in a batch. */
  readonly #sessions = new Map<number, Promise<Session>>();

  constructor(
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
    readonly readout: Readout,
  ) {
    requireCausal(cfg);
  }

  /** Positions of a window. */
  get length(): number {
    return Math.min(this.cfg.nCtx, MAX_LENGTH);
  }

  /** Windows per batch: enough to outweigh the cost of a call for small models. */
  get batch(): number {
    return Math.max(1, Math.floor(TOKENS_PER_BATCH / this.length));
  }

  /**
   * Reads a batch of windows and scores the tokens of each from `from` on. In a model with BOS, windows that do not start
   * with it are read after it.
   */
  async read(ids: readonly number[], bos: number | null, windows: readonly Window[], count: number): Promise<Reading> {
    const B = windows.length === 1 ? 1 : this.batch;
    for (const { start, end } of windows) requireIds(ids.slice(start, end), this.cfg);
    const leads = windows.map(({ start }) => (needsLead(ids[start], bos) ? [bos] : []));
    const given = windows.map(({ start, end }, b) => [...(leads[b] as number[]), ...ids.slice(start, end)]);
    const T = Math.max(...given.map((row) => row.length));
    const batch = new Int32Array(T * B);
    given.forEach((row, b) => {
      row.forEach((id, t) => {
        batch[t * B + b] = id;
      });
    });
    const scored = windows.flatMap(({ start, from, end }, b) =>
      Array.from({ length: end - from }, (_, i) => {
        const at = from + i;
        // The row before position t predicts its token.
        const t = (leads[b] as number[]).length + at - start;
        return { row: (t - 1) * B + b, label: ids[at] as number };
      }),
    );
    const vectors = await this.#vectors(
      batch,
      B,
      Int32Array.from(scored, ({ row }) => row),
    );
    return this.readout.read(
      vectors,
      Int32Array.from(scored, ({ label }) => label),
      count,
    );
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
  }

  async #vectors(ids: Int32Array, B: number, wanted: Int32Array): Promise<Float32Array> {
    const { cfg, weights } = this;
    const T = ids.length / B;
    const session =
      this.#sessions.get(B) ??
      Session.create(lower(vectorsGraph(cfg, weights, B), weights.device), weights.device, threadsFor(cfg));
    this.#sessions.set(B, session);
    const positions = ids.map((_, i) => Math.floor(i / B));
    const feeds = { ...weights.feeds, ids, wanted, ...positionFeeds(cfg, positions, T), ...maskFeeds(cfg, T) };
    return (await (await session).compute(feeds)).vectors as Float32Array;
  }
}

/** Maximum positions of a window: attention needs their square. */
const MAX_LENGTH = 1024;
const TOKENS_PER_BATCH = 1024;

/** The requested rows of the head's input, [N, D]. */
function vectorsGraph(cfg: DecoderConfig, { param }: Pick<DeviceWeights, "param">, B: number): Record<string, Node> {
  const size = { batch: B, length: UNKNOWN };
  const vectors = blocks(input("ids", [UNKNOWN, B], "i32"), param, cfg, {
    ...size,
    ...positionInputs(cfg, B),
    attend: fullAttention(cfg, size, (window) => input(maskName(window), [UNKNOWN, UNKNOWN])),
    probe: (_name, x) => x,
    dropout: (x) => x,
  });
  return { vectors: rows(vectors, input("wanted", [UNKNOWN], "i32")) };
}

const needsLead = (first: number | undefined, bos: number | null): bos is number => bos !== null && first !== bos;

/**
 * The windows that score tokens `from` to `end - 1` of a text that starts at `start`. The token at `start` is only scored
 * after BOS (`hasLead`).
 *
 * 8 tokens in windows of 4: tokens 0 to 3 score 1 to 3, then 2 to 5 score 4 and 5, then 4 to 7 score 6 and 7.
 */
export function windowsOf(start: number, from: number, end: number, length: number, hasLead: boolean): Window[] {
  const half = Math.max(1, Math.floor(length / 2));
  const windows: Window[] = [];
  let next = Math.max(from, hasLead ? start : start + 1);
  let first = Math.max(start, next - half);
  while (next < end) {
    const last = Math.min(end, first + length);
    windows.push({ start: first, from: next, end: last });
    next = last;
    first = last - half;
  }
  return windows;
}

export interface SurprisalOptions {
  /** Scores tokens from this UTF-16 offset on; the text before it is context. */
  readonly from?: number | undefined;
  /** Alternatives for each token. */
  readonly alternatives: number;
  readonly signal: AbortSignal;
  /** Receives the tokens as they are scored, in order and each once. */
  readonly report: (piece: ScoredTokens) => void;
}

/** Scores a text. `inTurn` lets others use the model between two batches. */
export async function surprisalOf(
  text: string,
  tokenizer: Tokenizer,
  model: WindowScorer,
  { from = 0, alternatives, signal, report }: SurprisalOptions,
  inTurn: <T>(work: () => Promise<T>) => Promise<T> = (work) => work(),
): Promise<ScoredTokens> {
  const count = Math.min(alternatives, model.cfg.vocabSize);
  const bos = tokenizer.addBos ? tokenizer.bosId : null;
  const all = await tokensAround(text, from, model.length, tokenizer, signal);
  if (all[0]?.start === 0 && needsLead(all[0].id, bos)) {
    all.unshift({ id: bos, token: tokenizer.token(bos), start: 0, end: 0, special: true, bytes: new Uint8Array() });
  }
  const ids = all.map(({ id }) => id);
  const first = from === 0 ? 0 : all.findIndex(({ end }) => end > from);
  const tokens = first < 0 ? [] : all.slice(first);
  const result = emptyReading(tokens.length, count);

  let reported = 0;
  const reportUntil = (end: number) => {
    if (end > reported) report({ tokens: tokens.slice(reported, end), ...partOf(result, reported, end, count) });
    reported = Math.max(reported, end);
  };
  for (const windows of batches(ids, ids.length - tokens.length, bos, model)) {
    signal.throwIfAborted();
    const reading = await inTurn(() => model.read(ids, bos, windows, count));
    let read = 0;
    for (const window of windows) {
      const length = window.end - window.from;
      put(result, window.from - first, partOf(reading, read, read + length, count), count);
      read += length;
    }
    reportUntil((windows.at(-1) as Window).end - first);
    await setImmediate();
  }
  reportUntil(tokens.length);
  return { tokens, ...result };
}

/**
 * Batches of windows. A token that the vocabulary lacks cannot be read, so a new window starts after it.
 */
function* batches(ids: readonly number[], from: number, bos: number | null, { length, batch }: WindowScorer) {
  const windowLength = bos === null ? length : length - 1;
  let waiting: Window[] = [];
  for (let start = 0; start < ids.length; ) {
    const unknown = ids.indexOf(NO_TOKEN, start);
    const end = unknown < 0 ? ids.length : unknown;
    for (const window of windowsOf(start, from, end, windowLength, needsLead(ids[start], bos))) {
      waiting.push(window);
      if (waiting.length < batch) continue;
      yield waiting;
      waiting = [];
    }
    start = end + 1;
  }
  if (waiting.length > 0) yield waiting;
}

/** Tokens of a text, starting at least one window of tokens before an offset. */
async function tokensAround(text: string, from: number, length: number, tokenizer: Tokenizer, signal: AbortSignal) {
  for (let back = CHARACTERS_PER_TOKEN * length; ; back *= 2) {
    const start = from > back ? tokenizer.next(text, from - back) : 0;
    // The next position where the text can be cut is after the offset: search further back.
    if (start > from) continue;
    const before = start === 0 ? 0 : tokenizer.count(text.slice(start, from), "middle");
    if (start === 0 || before >= length) return tokensFrom(text, start, tokenizer, signal);
  }
}

/** More than the average in most languages; if it is not enough, the search continues further back. */
const CHARACTERS_PER_TOKEN = 6;

async function tokensFrom(
  text: string,
  start: number,
  tokenizer: Tokenizer,
  signal: AbortSignal,
): Promise<TokenSpan[]> {
  const pause = cooperate(signal);
  const tokens: TokenSpan[] = [];
  for (let at = start; at < text.length; ) {
    const end = tokenizer.next(text, at + SEGMENT_LENGTH);
    for (const span of tokenizer.spans(text.slice(at, end), at === 0 ? "start" : "middle")) {
      tokens.push({ ...span, start: at + span.start, end: at + span.end });
    }
    at = end;
    await pause();
  }
  return tokens;
}

/** UTF-16 units that are tokenized at a time, in a few milliseconds. */
const SEGMENT_LENGTH = 8192;

/** The reading of tokens `from` to `to - 1`. */
const partOf = (reading: Reading, from: number, to: number, count: number): Reading => ({
  surprisal: reading.surprisal.slice(from, to),
  entropy: reading.entropy.slice(from, to),
  rank: reading.rank.slice(from, to),
  ids: reading.ids.slice(from * count, to * count),
  probabilities: reading.probabilities.slice(from * count, to * count),
});

function put(target: Reading, at: number, part: Reading, count: number): void {
  target.surprisal.set(part.surprisal, at);
  target.entropy.set(part.entropy, at);
  target.rank.set(part.rank, at);
  target.ids.set(part.ids, at * count);
  target.probabilities.set(part.probabilities, at * count);
}
