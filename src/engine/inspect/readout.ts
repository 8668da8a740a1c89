/**
 * What a model's last vectors say of the next token, by its head: the few numbers that are looked at, out of a
 * distribution that stays in the runtime.
 *
 * N rows   D dModel   V vocabSize
 */

import { threadsFor } from "../generate/decoding";
import { input, type Node, pick } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { head } from "../nn/decoder";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import { withTopK } from "../runtime/topK";
import type { DeviceWeights } from "../runtime/weights";

/** Of a token after each row, and of the distribution that it was expected by. */
export interface Reading {
  /** In bits, [N]. */
  readonly surprisal: Float32Array;
  /** In bits, [N]. */
  readonly entropy: Float32Array;
  /** One more than there are likelier tokens, [N]. */
  readonly rank: Uint32Array;
  /** The most likely tokens and their probabilities, [N, count]. */
  readonly ids: Uint32Array;
  readonly probabilities: Float32Array;
}

export class Readout {
  #reading: Promise<Session> | undefined;

  constructor(
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
  ) {}

  /** Rows that are read in one run, so that their logits take little memory. */
  get tile(): number {
    return Math.max(1, Math.min(MOST_ROWS, Math.floor(MOST_LOGITS / this.cfg.vocabSize)));
  }

  /** rows [N, D] after the final norm; labels [N] are the tokens asked about. */
  async read(rows: Float32Array, labels: Int32Array, count: number): Promise<Reading> {
    const { cfg, weights, tile } = this;
    const D = cfg.dModel;
    const session = await this.#session();
    const N = labels.length;
    const k = Math.min(count, cfg.vocabSize);
    const reading = emptyReading(N, k);
    for (let from = 0; from < N; from += tile) {
      const to = Math.min(N, from + tile);
      const feeds = {
        ...weights.feeds,
        rows: rows.subarray(from * D, to * D),
        labels: labels.subarray(from, to),
        // The operator takes no count of 0.
        "logProbabilities.count": BigInt64Array.of(BigInt(Math.max(1, k))),
      };
      const fetches = { logProbability: null, entropy: null, better: null };
      const top = { "logProbabilities.top": null, "logProbabilities.ids": null };
      const found = await session.run(feeds, { ...fetches, ...(k > 0 && top) });
      const floats = (name: string) => found[name]?.data as Float32Array;
      reading.surprisal.set(floats("logProbability").map(inBits), from);
      reading.entropy.set(
        floats("entropy").map((nats) => nats / Math.LN2),
        from,
      );
      reading.rank.set(
        Uint32Array.from(floats("better"), (n) => n + 1),
        from,
      );
      if (k === 0) continue;
      reading.probabilities.set(floats("logProbabilities.top").map(Math.exp), from * k);
      reading.ids.set(Uint32Array.from(found["logProbabilities.ids"]?.data as BigInt64Array, Number), from * k);
    }
    return reading;
  }

  /** Of every token after each row [N, D], [N, V]. */
  async logProbabilities(rows: Float32Array): Promise<Float32Array> {
    const session = await this.#session();
    const feeds = {
      labels: new Int32Array(rows.length / this.cfg.dModel),
      "logProbabilities.count": BigInt64Array.of(1n),
    };
    const found = await session.run({ ...this.weights.feeds, rows, ...feeds }, { logProbabilities: null });
    return found.logProbabilities?.data as Float32Array;
  }

  #session(): Promise<Session> {
    const { cfg, weights } = this;
    this.#reading ??= Session.create(
      withTopK(lower(readingGraph(cfg, weights), weights.device), "logProbabilities"),
      weights.device,
      threadsFor(cfg),
    );
    return this.#reading;
  }

  async release(): Promise<void> {
    await (await this.#reading)?.release();
    this.#reading = undefined;
  }
}

/** Numbers in the logits of one run, at most: small enough for the passes over them to stay near the processor. */
const MOST_LOGITS = 1 << 23;
const MOST_ROWS = 1024;

// Not -0 of a token that is certain.
const inBits = (logProbability: number) => Math.max(0, -logProbability / Math.LN2);

export const emptyReading = (N: number, count: number): Reading => ({
  surprisal: new Float32Array(N).fill(Number.NaN),
  entropy: new Float32Array(N).fill(Number.NaN),
  rank: new Uint32Array(N),
  ids: new Uint32Array(N * count),
  probabilities: new Float32Array(N * count),
});

function readingGraph(cfg: DecoderConfig, { param }: Pick<DeviceWeights, "param">): Record<string, Node> {
  const logits = head(input("rows", [UNKNOWN, cfg.dModel]), param, cfg); // [N, V]
  const labels = input("labels", [UNKNOWN], "i32");
  const column = (x: Node) => x.reshape([UNKNOWN, 1]);
  const logProbabilities = logits.sub(column(logits.logSumExp()));
  const logProbability = pick(logProbabilities, labels);
  return {
    logProbabilities,
    logProbability,
    entropy: logProbabilities.exp().mul(logProbabilities).sum([1]).mul(-1),
    better: logProbabilities.sub(column(logProbability)).positive().sum([1]),
  };
}
