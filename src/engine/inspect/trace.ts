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

export interface TraceValue {
  readonly shape: Shape;
  readonly data: Float32Array;
}

export type Trace = ReadonlyMap<string, TraceValue>;
