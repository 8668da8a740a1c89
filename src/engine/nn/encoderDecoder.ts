/**
 * The encoder-decoder transformer (Vaswani et al., 2017): the encoder reads the source, and the decoder predicts the
 * target and attends to the encoder's output in each block. Both are stacks of `nn/decoder.ts`.
 *
 * B batch   S source position   T target position   N = T*B rows   M = S*B rows   D dModel   H nHeads   K dHead
 */

import { constant, type Node } from "../graph/node";
import type { DecoderConfig, EncoderDecoderConfig } from "./config";
import { blocks, type Context, causalMask, decoder, dense, fullAttention, norm, type Probe } from "./decoder";
import { ENCODER, type ParamNodes } from "./params";

/** The batch of one side, source or target; the rest of `Context` follows from it. */
export interface Side extends Pick<Context, "batch" | "length" | "positions"> {
  /** [B, 1, 1, length]: 0 for a token, -1e9 for padding. */
  readonly padding: Node;
}

interface Options extends Pick<Context, "probe" | "dropout"> {
  /** Dropout of attention patterns; none by default. */
  readonly patternDropout?: ((x: Node) => Node) | undefined;
}

/** Returns the encoder's output [M, D] for source ids [S, B]. Every position attends to all except padding. */
export function encode(
  ids: Node,
  param: ParamNodes,
  { encoder: cfg }: EncoderDecoderConfig,
  side: Side,
  options: Options,
): Node {
  const own = Object.assign((name: string) => param(ENCODER + name), {
    has: (name: string) => param.has(ENCODER + name),
  });
  return blocks(ids, own, cfg, {
    ...contextOf(side),
    attend: fullAttention(cfg, side, () => side.padding, options.patternDropout),
    probe: (name, x) => options.probe(ENCODER + name, x),
    dropout: options.dropout,
  });
}

/**
 * Returns logits [N, V] of the tokens after target ids [T, B], given the encoder's output. `causal` is the mask of later
 * positions, [T, T]; a constant by default, if T is known.
 */
export function decode(
  ids: Node,
  encoded: Node,
  param: ParamNodes,
  { decoder: cfg }: EncoderDecoderConfig,
  { source, target, causal }: { readonly source: Side; readonly target: Side; readonly causal?: Node },
  options: Options & Pick<Context, "readout">,
): Node {
  const T = target.length;
  const mask = (causal ?? constant(causalMask(T), [T, T])).add(target.padding); // [B, 1, T, T]
  const size = { batch: target.batch, length: T, keys: source.length };
  const attend = fullAttention(cfg, size, () => source.padding, options.patternDropout, "cross");
  return decoder(ids, param, cfg, {
    ...contextOf(target),
    ...options,
    attend: fullAttention(cfg, target, () => mask, options.patternDropout),
    between: (x, l, probe) => crossAttention(x, encoded, l, param, cfg, { attend, dropout: options.dropout, probe }),
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

/** Queries come from the target [N, D], keys and values from the source [M, D]. */
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

/** Pads sources to length T, as a graph reads them: position by position, with their mask. */
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

/** [B, length]: 0 for a token, -1e9 for padding, whose softmax is exactly 0. */
export function paddingMask(lengths: readonly number[], length: number): Float32Array {
  const mask = new Float32Array(lengths.length * length);
  lengths.forEach((own, row) => {
    mask.fill(-1e9, row * length + own, (row + 1) * length);
  });
  return mask;
}
