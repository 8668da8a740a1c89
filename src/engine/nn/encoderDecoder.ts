/**
 * The encoder-decoder transformer (Vaswani et al., 2017): one stack reads the source, another writes the target and in
 * each block also attends to what the first made of the source. Both are stacks of `nn/decoder.ts`.
 *
 * B batch   S source position   T target position   N = T*B rows   M = S*B rows   D dModel   H nHeads   K dHead
 */

import { constant, type Node } from "../graph/node";
import type { DecoderConfig, EncoderDecoderConfig } from "./config";
import { blocks, type Context, causalMask, decoder, dense, fullAttention, norm, type Probe } from "./decoder";
import { ENCODER, type ParamNodes } from "./params";

/** How a side stands in the batch; the rest of `Context` follows from that. */
export interface Side extends Pick<Context, "batch" | "length" | "positions"> {
  /** [B, 1, 1, length]: 0 where a token stands, -1e9 where padding does. */
  readonly padding: Node;
}

interface Run extends Pick<Context, "probe" | "dropout"> {
  /** Where dropout goes on attention patterns; nowhere by default. */
  readonly patternDropout?: ((x: Node) => Node) | undefined;
}

/** What the encoder makes of a source ids [S, B]: [M, D]. Every position sees all that are no padding. */
export function encode(
  ids: Node,
  param: ParamNodes,
  { encoder: cfg }: EncoderDecoderConfig,
  side: Side,
  run: Run,
): Node {
  const own = Object.assign((name: string) => param(ENCODER + name), {
    has: (name: string) => param.has(ENCODER + name),
  });
  return blocks(ids, own, cfg, {
    ...contextOf(side),
    attend: fullAttention(cfg, side, () => side.padding, run.patternDropout),
    probe: (name, x) => run.probe(ENCODER + name, x),
    dropout: run.dropout,
  });
}

/**
 * Logits [N, V] of the tokens after target ids [T, B], given what the encoder made of the source. `causal` is the mask of
 * later positions, [T, T], written as a constant where T is known.
 */
export function decode(
  ids: Node,
  encoded: Node,
  param: ParamNodes,
  { decoder: cfg }: EncoderDecoderConfig,
  { source, target, causal }: { readonly source: Side; readonly target: Side; readonly causal?: Node },
  run: Run & Pick<Context, "readout">,
): Node {
  const T = target.length;
  const mask = (causal ?? constant(causalMask(T), [T, T])).add(target.padding); // [B, 1, T, T]
  const size = { batch: target.batch, length: T, keys: source.length };
  const attend = fullAttention(cfg, size, () => source.padding, run.patternDropout, "cross");
  return decoder(ids, param, cfg, {
    ...contextOf(target),
    ...run,
    attend: fullAttention(cfg, target, () => mask, run.patternDropout),
    between: (x, l, probe) => crossAttention(x, encoded, l, param, cfg, { attend, dropout: run.dropout, probe }),
  });
}

const contextOf = ({ batch, length, positions }: Side) => ({
  batch,
  length,
  positions,
  rotation: (): never => {
    throw new Error("encoder-decoders have no rotary positions");
  },
});

/** Queries are of the target [N, D], keys and values of the source [M, D]. */
function crossAttention(
  residMid: Node,
  encoded: Node,
  l: number,
  param: ParamNodes,
  cfg: DecoderConfig,
  { attend, dropout, probe }: Pick<Context, "attend" | "dropout"> & { readonly probe: Probe },
): Node {
  const of = (x: Node, name: string) => dense(x, `blocks.${l}.cross.${name}`, param, cfg);
  const ln = (x: Node) => norm(x, `blocks.${l}.lnCross`, param, cfg);
  const crossOut = (x: Node) =>
    probe("crossOut", of(attend(of(x, "q"), of(encoded, "k"), of(encoded, "v"), l, probe), "o"));
  const residCross =
    cfg.norm === "post" ? ln(residMid.add(dropout(crossOut(residMid)))) : residMid.add(dropout(crossOut(ln(residMid))));
  return probe("residCross", residCross);
}

/** Sources of any lengths up to T, as a graph takes them: position by position, with their mask. */
export function sourceBatch(
  rows: readonly (readonly number[])[],
  T: number,
  padId: number,
): { readonly sourceIds: Int32Array; readonly sourceMask: Float32Array } {
  const B = rows.length;
  const sourceIds = Int32Array.from({ length: T * B }, (_, i) => rows[i % B]?.[Math.floor(i / B)] ?? padId);
  return {
    sourceIds,
    sourceMask: paddingMask(
      rows.map((row) => row.length),
      T,
    ),
  };
}

/** [B, length]: 0 where a row has a token, -1e9 where padding fills it up; its softmax is exactly 0. */
export function paddingMask(lengths: readonly number[], length: number): Float32Array {
  const mask = new Float32Array(lengths.length * length);
  lengths.forEach((own, row) => {
    mask.fill(-1e9, row * length + own, (row + 1) * length);
  });
  return mask;
}
