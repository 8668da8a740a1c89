/**
 * Translation: the source is encoded once, then the target is generated greedily, token by token. Sentences are short, so
 * the target is recomputed for each token instead of being cached.
 *
 * B batch   S source position   T target position   M = S*B rows   D dModel   V vocabSize
 */

import { input, type Node, rows } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { EncoderDecoderConfig } from "../nn/config";
import { causalMask, type Probe } from "../nn/decoder";
import { decode, encode, paddingMask, type Side, sourceBatch } from "../nn/encoderDecoder";
import { lower } from "../runtime/lower";
import { hostTensor, Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { SENTENCE } from "../tokenizers";
import { threadsFor } from "./decodeGraph";

export interface TranslateOptions {
  readonly maxNewTokens?: number;
  /** Checked before every token. */
  readonly signal?: AbortSignal | undefined;
}

export class Translator {
  #sessions: Promise<{ readonly encoder: Session; readonly decoder: Session }> | undefined;

  constructor(
    readonly cfg: EncoderDecoderConfig,
    readonly weights: DeviceWeights,
    /** Number of sentences translated together. */
    readonly batch = 1,
  ) {}

  /** Translates sources with BOS and EOS. Returns targets without BOS; a finished target ends with EOS. */
  async translate(
    sources: readonly (readonly number[])[],
    { maxNewTokens = Infinity, signal }: TranslateOptions = {},
  ): Promise<number[][]> {
    const { bosId, eosId, padId } = SENTENCE;
    const { batch: B, cfg } = this;
    this.#sessions ??= this.#compile();
    const { encoder, decoder } = await this.#sessions;
    const S = Math.max(...sources.map((row) => row.length));
    const source = sourceBatch(sources, S, padId);
    const encoded = await encoder.compute({ ...this.weights.feeds, ...source, ...positionsOf("source", S, B) });

    const written: number[][] = sources.map(() => []);
    const isDone = (row: readonly number[]) => row.at(-1) === eosId;
    const most = Math.min(maxNewTokens, cfg.decoder.nCtx);
    for (let T = 1; T <= most && !written.every(isDone); T++) {
      signal?.throwIfAborted();
      // A finished row continues with EOS; its output is ignored.
      const ids = Int32Array.from({ length: T * B }, (_, i) => {
        const [t, b] = [Math.floor(i / B), i % B];
        return t === 0 ? bosId : (written[b]?.[t - 1] ?? eosId);
      });
      const { best } = await decoder.run({
        ...this.weights.feeds,
        ...targetFeeds(ids, Array(B).fill(T), B),
        sourceMask: source.sourceMask,
        encoded: encoded.encoded as Float32Array,
        logitRows: Int32Array.from({ length: B }, (_, b) => (T - 1) * B + b),
      });
      const next = Array.from(best?.data as BigInt64Array, Number);
      written.forEach((row, b) => {
        if (!isDone(row)) row.push(next[b] as number);
      });
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    return written;
  }

  async release(): Promise<void> {
    if (!this.#sessions) return;
    const { encoder, decoder } = await this.#sessions;
    this.#sessions = undefined;
    await encoder.release();
    await decoder.release();
  }

  async #compile() {
    const { cfg, weights, batch } = this;
    const create = (outputs: Record<string, Node>) =>
      Session.create(lower(outputs, weights.device), weights.device, threadsFor(cfg.decoder));
    const probe: Probe = (_name, x) => x;
    const encoded = input("encoded", [UNKNOWN, cfg.encoder.dModel]);
    return {
      encoder: await create({ encoded: encoderGraph(cfg, weights, batch, probe) }),
      decoder: await create({ best: decoderGraph(cfg, weights, batch, encoded, probe).argMax() }),
    };
  }
}

/** Returns the encoder's output for `sourceIds`, [M, D]. */
export const encoderGraph = (
  cfg: EncoderDecoderConfig,
  { param }: Pick<DeviceWeights, "param">,
  B: number,
  probe: Probe,
): Node => encode(input("sourceIds", [UNKNOWN, B], "i32"), param, cfg, side("source", B), { probe, dropout: same });

/** Returns the logits of the rows `logitRows` of target `ids`. */
export const decoderGraph = (
  cfg: EncoderDecoderConfig,
  { param }: Pick<DeviceWeights, "param">,
  B: number,
  encoded: Node,
  probe: Probe,
): Node =>
  decode(
    input("ids", [UNKNOWN, B], "i32"),
    encoded,
    param,
    cfg,
    { source: side("source", B), target: side("target", B), causal: input("causal", [UNKNOWN, UNKNOWN]) },
    { probe, dropout: same, readout: (x) => rows(x, input("logitRows", [UNKNOWN], "i32")) },
  );

const same = (x: Node) => x;

type SideName = "source" | "target";

/** A side with a length that is known only when the graph runs. */
const side = (name: SideName, B: number): Side => ({
  batch: B,
  length: UNKNOWN,
  positions: (table) => rows(table, input(`${name}Positions`, [UNKNOWN, B], "i32")),
  padding: input(`${name}Mask`, [B, 1, 1, UNKNOWN]),
});

export const positionsOf = (name: SideName, length: number, B: number) => ({
  [`${name}Positions`]: Int32Array.from({ length: length * B }, (_, i) => Math.floor(i / B)),
});

/** Returns the inputs for target ids [T, B] with these lengths. */
export function targetFeeds(ids: Int32Array, lengths: readonly number[], B: number) {
  const T = ids.length / B;
  return {
    ids,
    ...positionsOf("target", T, B),
    targetMask: paddingMask(lengths, T),
    causal: hostTensor(causalMask(T), [T, T]),
  };
}
