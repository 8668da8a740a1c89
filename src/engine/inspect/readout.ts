/**
 * Next-token distributions of a model's last vectors. Only the requested numbers leave the runtime.
 *
 * N rows   D dModel   V vocabSize
 */

import { EngineError } from "../errors";
import { threadsFor } from "../generate/decodeGraph";
import { input, type Node, pick } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { head } from "../nn/decoder";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import { withTopK } from "../runtime/topK";
import type { DeviceWeights } from "../runtime/weights";

/** For each row: the token that followed it, and the distribution that predicted it. */
export interface Reading {
  /** -log2 p of the token, in bits, [N]. */
  readonly surprisal: Float32Array;
  /** Entropy of the distribution, in bits, [N]. */
  readonly entropy: Float32Array;
  /** 1 + the number of more likely tokens, [N]. */
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

  /** Rows per step, which limits the memory of their logits. */
  get tile(): number {
    return Math.max(1, Math.min(MAX_ROWS, Math.floor(MAX_LOGITS / this.cfg.vocabSize)));
  }

  /** Reads rows [N, D] after the final norm; labels [N] are the tokens that followed them. */
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
        // The operator does not accept a count of 0.
        "logProbabilities.count": BigInt64Array.of(BigInt(Math.max(1, k))),
      };
      const fetches = { logProbability: null, entropy: null, likelier: null };
      const top = { "logProbabilities.top": null, "logProbabilities.ids": null };
      const found = await session.run(feeds, { ...fetches, ...(k > 0 && top) });
      const floats = (name: string) => found[name]?.data as Float32Array;
      reading.surprisal.set(floats("logProbability").map(inBits), from);
      reading.entropy.set(
        floats("entropy").map((nats) => nats / Math.LN2),
        from,
      );
      reading.rank.set(
        Uint32Array.from(floats("likelier"), (n) => n + 1),
        from,
      );
      if (k === 0) continue;
      reading.probabilities.set(floats("logProbabilities.top").map(Math.exp), from * k);
      reading.ids.set(Uint32Array.from(found["logProbabilities.ids"]?.data as BigInt64Array, Number), from * k);
    }
    return reading;
  }

  /** Log probabilities of all tokens after rows [N, D], [N, V]. */
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
      withTopK(lower(readingGraph(cfg, weights), weights.device, { exact: true }), "logProbabilities"),
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

/** Maximum numbers in the logits of one step, which keeps them in the CPU's caches. */
const MAX_LOGITS = 1 << 23;
const MAX_ROWS = 1024;

// Math.max turns the -0 of a certain token into 0.
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
    likelier: logProbabilities.sub(column(logProbability)).positive().sum([1]),
  };
}

export function requireCausal({ causal }: DecoderConfig): void {
  if (causal) return;
  throw new EngineError(
    "config",
    "This model's positions also see later tokens, so there is nothing to predict. Choose a causal model.",
  );
}
