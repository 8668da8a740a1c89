/**
 * Predictions after each token of a trace, computed from the trace's own vectors, with interventions too.
 *
 * T position   D dModel   V vocabSize
 */

import { setImmediate } from "node:timers/promises";
import type { Expectations } from "../api/trace";
import type { DecoderConfig } from "../nn/config";
import { requirePosition } from "./interventions";
import { emptyReading, type Readout, requireCausal } from "./readout";
import { headInputs, type Trace, type TraceValue } from "./trace";

export async function expectationsIn(
  trace: Trace,
  cfg: DecoderConfig,
  readout: Readout,
  signal?: AbortSignal,
): Promise<Expectations> {
  requireCausal(cfg);
  const ids = Int32Array.from(trace.get("ids")?.data ?? []);
  const { surprisal, entropy, rank } = emptyReading(ids.length, 0);
  for (let from = 1; from < ids.length; from += readout.tile) {
    signal?.throwIfAborted();
    const to = Math.min(ids.length, from + readout.tile);
    const read = await readout.read(headInputs(trace, cfg, from - 1, to - 1), ids.slice(from, to), 0);
    surprisal.set(read.surprisal, from);
    entropy.set(read.entropy, from);
    rank.set(read.rank, from);
    await setImmediate();
  }
  return { surprisal, entropy, rank };
}

/** Logits after a position, [V]: those of the trace if it has them, otherwise up to a constant. */
export async function logitsAfter(
  trace: Trace,
  cfg: DecoderConfig,
  readout: Readout,
  position: number,
): Promise<Float32Array> {
  const T = trace.get("ids")?.data.length ?? 0;
  requirePosition(position, T);
  const { data } = trace.get("logits") as TraceValue;
  const V = cfg.vocabSize;
  // A light trace only has those after the last position.
  const row = data.length / V - (T - position);
  if (row >= 0) return data.subarray(row * V, (row + 1) * V);
  return readout.logProbabilities(headInputs(trace, cfg, position, position + 1));
}
