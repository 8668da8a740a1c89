/**
 * The logit lens: next-token predictions from each layer of the residual stream, through the final norm and the head
 * (nostalgebraist, 2020).
 *
 * P values of the stream   M positions   D dModel
 */

import { setImmediate } from "node:timers/promises";
import type { Lens, LensOptions } from "../api/trace";
import { EngineError } from "../errors";
import { threadsFor } from "../generate/decodeGraph";
import { input } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { norm } from "../nn/decoder";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { Readout } from "./readout";
import type { Trace } from "./trace";

/** The lens's result without the texts of its tokens. */
export type LensReading = Omit<Lens, "tokens">;

export interface WithSignal {
  readonly signal?: AbortSignal | undefined;
}

export class LogitLens {
  readonly readout: Readout;
  #norm: Promise<Session> | undefined;

  constructor(
    /** The decoder's configuration. */
    readonly cfg: DecoderConfig,
    readonly weights: DeviceWeights,
  ) {
    this.readout = new Readout(cfg, weights);
  }

  /** Reads the residual stream of a trace's first row. */
  async look(trace: Trace, { positions, count, token, signal }: LensOptions & WithSignal): Promise<LensReading> {
    const { cfg } = this;
    const D = cfg.dModel;
    const depths = depthsOf(trace, cfg);
    const [from, to] = positions;
    const T = trace.get("ids")?.shape[1] as number;
    if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from < to && to <= T)) {
      throw new EngineError(
        "config",
        `Positions ${from} to ${to} do not exist. This trace has positions 0 to ${T - 1}.`,
      );
    }
    if (token !== undefined) requireToken(token, cfg);
    const M = to - from;
    const N = depths.length * M;
    const stream = new Float32Array(N * D);
    depths.forEach((name, p) => {
      stream.set(trace.get(name)?.data.subarray(from * D, to * D) as Float32Array, p * M * D);
    });

    const k = Math.min(count, cfg.vocabSize);
    const view = {
      ids: new Uint32Array(N * k),
      probabilities: new Float32Array(N * k),
      entropies: new Float32Array(N),
    };
    const tracked = { probabilities: new Float32Array(N), ranks: new Uint32Array(N) };
    const { tile } = this.readout;
    for (let row = 0; row < N; row += tile) {
      signal?.throwIfAborted();
      const end = Math.min(N, row + tile);
      const rows = await this.#normed(stream.subarray(row * D, end * D));
      const read = await this.readout.read(rows, new Int32Array(end - row).fill(token ?? 0), k);
      view.ids.set(read.ids, row * k);
      view.probabilities.set(read.probabilities, row * k);
      view.entropies.set(read.entropy, row);
      tracked.probabilities.set(
        read.surprisal.map((bits) => 2 ** -bits),
        row,
      );
      tracked.ranks.set(read.rank, row);
      await setImmediate();
    }
    return { depths, positions, ...view, tracked: token === undefined ? null : tracked, convention: conventionOf(cfg) };
  }

  async release(): Promise<void> {
    await this.readout.release();
    await (await this.#norm)?.release();
    this.#norm = undefined;
  }

  async #normed(rows: Float32Array): Promise<Float32Array> {
    const { cfg, weights } = this;
    if (!cfg.finalNorm) return rows;
    this.#norm ??= Session.create(
      lower({ normed: norm(input("rows", [UNKNOWN, cfg.dModel]), "lnFinal", weights.param, cfg) }, weights.device),
      weights.device,
      threadsFor(cfg),
    );
    return (await (await this.#norm).compute({ ...weights.feeds, rows })).normed as Float32Array;
  }
}

/** Blocks with parallel attention and MLP have no `residMid`; only translators have `residCross`. */
function depthsOf(trace: Trace, { nLayers }: DecoderConfig): readonly string[] {
  const after = Array.from({ length: nLayers }, (_, l) =>
    ["residMid", "residCross", "residPost"].map((name) => `blocks.${l}.${name}`),
  );
  return ["blocks.0.residPre", ...after.flat()].filter((name) => trace.has(name));
}

const conventionOf = ({ finalNorm, norm }: DecoderConfig): string => {
  if (finalNorm)
    return "Every layer's stream goes through the final norm and the head, as the last one does in the model.";
  return norm === "post"
    ? "Every layer's stream goes through the head only: this model normalizes the stream within its blocks."
    : "Every layer's stream goes through the head only: this model has no final norm.";
};

export function requireToken(token: number, { vocabSize }: DecoderConfig): void {
  if (Number.isInteger(token) && token >= 0 && token < vocabSize) return;
  throw new EngineError("config", `There is no token ${token}. This model has ids 0 to ${vocabSize - 1}.`);
}
