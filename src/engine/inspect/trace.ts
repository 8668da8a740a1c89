/**
 * A trace: every named value of one forward pass.
 *
 * B batch   T position   D dModel   H nHeads   G nKvHeads   K dHead   V vocabSize   L nLayers
 *
 * embed, posEmbed [B,T,D]; blocks.{l}.residPre, .attnOut, .residMid, .mlpOut, .residPost [B,T,D]; blocks.{l}.attn.q, .z
 * [B,H,T,K], .k, .v [B,G,T,K] (after rotation, before scaling), .scores (scaled, before the mask), .pattern [B,H,T,T];
 * lnFinal [B,T,D]; logits [B,T,V]. Values that a model does not have are absent.
 */

import type { Shape } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";

export interface TraceValue {
  readonly shape: Shape;
  readonly data: Float32Array;
}

export type Trace = ReadonlyMap<string, TraceValue>;

/** L2 norm of a stack's residual stream before the first block and after each, [nLayers + 1, T]. */
export function residualNorms(trace: Trace, nLayers: number, prefix = ""): Float32Array {
  const names = ["blocks.0.residPre", ...Array.from({ length: nLayers }, (_, l) => `blocks.${l}.residPost`)];
  const rows = names.flatMap((name) => {
    const { data, shape } = trace.get(prefix + name) as TraceValue;
    const [, T, D] = shape as [number, number, number];
    return Array.from({ length: T }, (_, t) =>
      Math.sqrt(data.subarray(t * D, (t + 1) * D).reduce((sum, x) => sum + x * x, 0)),
    );
  });
  return Float32Array.from(rows);
}

/** Inputs of the head at positions `from` to `to - 1`, [to - from, D]. */
export function headInputs(
  trace: Trace,
  { finalNorm, nLayers, dModel }: DecoderConfig,
  from: number,
  to: number,
): Float32Array {
  const { data } = trace.get(finalNorm ? "lnFinal" : `blocks.${nLayers - 1}.residPost`) as TraceValue;
  return data.subarray(from * dModel, to * dModel);
}

/** Bytes of a trace. Values that are the same, such as a block's output and the next one's input, share their numbers. */
export const bytesOf = (trace: Trace): number =>
  [...new Set([...trace.values()].map(({ data }) => data))].reduce((sum, { byteLength }) => sum + byteLength, 0);
