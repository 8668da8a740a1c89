/**
 * Traces of translators: every named value of both stacks.
 *
 * B batch   S source position   T target position   D dModel   H nHeads   K dHead   V vocabSize
 *
 * The encoder's values have the names of `inspect/trace.ts` with the prefix `enc.`, over S positions. The decoder has those
 * names, and in each block blocks.{l}.cross.q, .z [B,H,T,K], .k, .v [B,H,S,K], .scores (scaled, before the mask), .pattern
 * [B,H,T,S], .crossOut and .residCross [B,T,D]. ids and mask are the target's, enc.ids and enc.mask the source's.
 */

import type { TokenSpan } from "../api/tokens";
import { decoderGraph, encoderGraph, positionsOf, targetFeeds } from "../generate/translate";
import type { Node } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { EncoderDecoderConfig } from "../nn/config";
import type { Probe } from "../nn/decoder";
import { sourceBatch } from "../nn/encoderDecoder";
import { ENCODER } from "../nn/params";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { SENTENCE, type Tokenizer } from "../tokenizers";
import { changeable, changeFeeds, type TraceIntervention } from "./interventions";
import type { Trace, TraceValue } from "./trace";

export class TranslationTracer {
  /** By the number of sentences in a batch. */
  readonly #sessions = new Map<number, Promise<Session>>();

  constructor(
    readonly cfg: EncoderDecoderConfig,
    readonly weights: DeviceWeights,
  ) {}

  /**
   * The trace of sources with BOS and EOS, and targets with BOS. Shorter rows are padded at the right. Interventions need a
   * single row.
   */
  async trace(
    sources: readonly (readonly number[])[],
    targets: readonly (readonly number[])[],
    interventions: readonly TraceIntervention[] = [],
  ): Promise<Trace> {
    const B = sources.length;
    if (B > 1 && interventions.length > 0) throw new Error("trace: interventions need a single row");
    const [S, T] = [sources, targets].map((rows) => Math.max(...rows.map((row) => row.length))) as [number, number];
    const ids = Int32Array.from({ length: T * B }, (_, i) => targets[i % B]?.[Math.floor(i / B)] ?? SENTENCE.padId);
    const session = await this.#session(B);
    const lengths = targets.map((row) => row.length);
    const values = await session.run({
      ...this.weights.feeds,
      ...sourceBatch(sources, S, SENTENCE.padId),
      ...positionsOf("source", S, B),
      ...targetFeeds(ids, lengths, B),
      ...changeFeeds(this.cfg, { T, S }, interventions),
      // Batch first, as in a trace.
      logitRows: Int32Array.from({ length: B * T }, (_, i) => (i % T) * B + Math.floor(i / T)),
    });

    const trace = new Map<string, TraceValue>([
      [`${ENCODER}ids`, rowsValue(sources, S, (id) => id ?? SENTENCE.padId)],
      [`${ENCODER}mask`, rowsValue(sources, S, (id) => (id === undefined ? 0 : 1))],
      ["ids", rowsValue(targets, T, (id) => id ?? SENTENCE.padId)],
      ["mask", rowsValue(targets, T, (id) => (id === undefined ? 0 : 1))],
    ]);
    for (const [name, tensor] of Object.entries(values)) {
      const shape = name === "logits" ? [B, T, this.cfg.decoder.vocabSize] : tensor.dims;
      trace.set(name, { shape, data: tensor.data as Float32Array });
    }
    return trace;
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await (await session).release();
    this.#sessions.clear();
  }

  #session(B: number): Promise<Session> {
    const known = this.#sessions.get(B);
    if (known) return known;
    const { cfg, weights } = this;
    const session = Session.create(lower(traceGraph(cfg, weights, B), weights.device), weights.device);
    this.#sessions.set(B, session);
    return session;
  }
}

/** The tokens of `sentenceIds`, BOS and EOS included, with their offsets in the given text. */
export function sourceSpans(text: string, tokenizer: Tokenizer): TokenSpan[] {
  // The sentence is tokenized with single spaces; `offsets` maps its characters to the given text.
  const offsets: number[] = [];
  const words = [...text.matchAll(/\S+/gu)].map(({ 0: word, index }) => {
    if (offsets.length > 0) offsets.push(index - 1);
    for (let i = 0; i < word.length; i++) offsets.push(index + i);
    return word;
  });
  const original = (offset: number) => offsets[offset] ?? text.length;
  const spans = tokenizer.spans(words.join(" ")).map((span) => ({
    ...span,
    start: original(span.start),
    end: span.end > span.start ? original(span.end - 1) + 1 : original(span.start),
  }));
  const { bosId, eosId } = SENTENCE;
  return [specialSpan(bosId, 0, tokenizer), ...spans, specialSpan(eosId, text.length, tokenizer)];
}

/** Generated tokens with their offsets in the decoded text. */
export function targetSpans(ids: readonly number[], tokenizer: Tokenizer): { text: string; tokens: TokenSpan[] } {
  const decoder = tokenizer.decoder();
  let text = "";
  const tokens = ids.map((id) => {
    const start = text.length;
    text += id === SENTENCE.bosId ? "" : decoder.push(id);
    const bytes = tokenizer.bytes(id);
    return { id, token: tokenizer.token(id), start, end: text.length, special: bytes.length === 0, bytes };
  });
  return { text: text + decoder.end(), tokens };
}

const specialSpan = (id: number, at: number, tokenizer: Tokenizer): TokenSpan => ({
  id,
  token: tokenizer.token(id),
  start: at,
  end: at,
  special: true,
  bytes: new Uint8Array(),
});

/** Every value of both stacks by its trace name, batch first, changed by inputs of the graph. */
function traceGraph(cfg: EncoderDecoderConfig, weights: DeviceWeights, B: number): Record<string, Node> {
  const outputs: Record<string, Node> = {};
  const probe: Probe = (name, value) => {
    const x = changeable(name, value);
    const isRows = x.shape.length === 2 && name !== "logits";
    outputs[name] = isRows ? x.reshape([UNKNOWN, B, x.shape[1] as number]).transpose(1, 0, 2) : x;
    return x;
  };
  decoderGraph(cfg, weights, B, encoderGraph(cfg, weights, B, probe), probe);
  return outputs;
}

/** A value [B, length] of rows that can be shorter. */
const rowsValue = (
  rows: readonly (readonly number[])[],
  length: number,
  value: (id: number | undefined) => number,
): TraceValue => ({
  shape: [rows.length, length],
  data: Float32Array.from({ length: rows.length * length }, (_, i) =>
    value(rows[Math.floor(i / length)]?.[i % length]),
  ),
});
