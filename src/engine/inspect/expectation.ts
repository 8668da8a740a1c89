/**
 * What a run expected after each of its tokens, by its own last vectors: so also of a run that was changed on the way.
 *
 * T position   D dModel   V vocabSize
 */

import { setImmediate } from "node:timers/promises";
import type { Expectations } from "../api/trace";
import { EngineError } from "../errors";
import type { DecoderConfig } from "../nn/config";
import { emptyReading, type Readout } from "./readout";
import type { Trace, TraceValue } from "./trace";

export async function expectationsIn(
  trace: Trace,
  cfg: DecoderConfig,
  readout: Readout,
  signal?: AbortSignal,
): Promise<Expectations> {
  if (!cfg.causal) {
    throw new EngineError(
      "config",
      "This model's positions see the tokens after them, so nothing is left to expect; choose a causal model.",
    );
  }
  const ids = Int32Array.from(trace.get("ids")?.data ?? []);
  const { surprisal, entropy, rank } = emptyReading(ids.length, 0);
  for (let from = 1; from < ids.length; from += readout.tile) {
    signal?.throwIfAborted();
    const to = Math.min(ids.length, from + readout.tile);
    const read = await readout.read(vectorsIn(trace, cfg, from - 1, to - 1), ids.slice(from, to), 0);
    surprisal.set(read.surprisal, from);
    entropy.set(read.entropy, from);
    rank.set(read.rank, from);
    await setImmediate();
  }
  return { surprisal, entropy, rank };
}

/** Logits of what comes after a position, [V]: the run's own where it has kept them, else up to a constant. */
export async function logitsAfter(
  trace: Trace,
  cfg: DecoderConfig,
  readout: Readout,
  position: number,
): Promise<Float32Array> {
  const T = trace.get("ids")?.data.length ?? 0;
  if (!(Number.isInteger(position) && position >= 0 && position < T)) {
    throw new EngineError("config", `There is no position ${position} in this run; its ${T} tokens count from 0.`);
  }
  const { data } = trace.get("logits") as TraceValue;
  const V = cfg.vocabSize;
  // A light trace has those after the last position only.
  const row = data.length / V - (T - position);
  if (row >= 0) return data.subarray(row * V, (row + 1) * V);
  return readout.logProbabilities(vectorsIn(trace, cfg, position, position + 1));
}

/** What goes into the head, of positions `from` to `to - 1`. */
function vectorsIn(trace: Trace, { finalNorm, nLayers, dModel }: DecoderConfig, from: number, to: number) {
  const { data } = trace.get(finalNorm ? "lnFinal" : `blocks.${nLayers - 1}.residPost`) as TraceValue;
  return data.subarray(from * dModel, to * dModel);
}
