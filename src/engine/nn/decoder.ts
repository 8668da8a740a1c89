/**
 * The decoder-only transformer, in one file, top to bottom.
 *
 * B batch   T position   N = T*B rows   D dModel   H nHeads   K dHead   F dMlp   V vocabSize
 *
 * Activations are rows of a matrix, position by position and within it sequence by sequence: [N, D] is [T, B, D].
 * In this order a head's [B, H, T, K] can be read out of [T, B, H, K] by a product without copying it first.
 */

import { constant, geluGate, layerNorm, linear, type Node, rows, zeros } from "../graph/node";
import type { DecoderConfig } from "./config";
import type { ParamNodes } from "./params";

/** Names a value so that it can be read out of a run. The value is unchanged. */
export type Probe = (name: string, x: Node) => Node;

/** What surrounds the blocks: a batch of B sequences of T tokens, and how they attend to each other. */
export interface Context {
  readonly batch: number;
  readonly length: number;
  /** The rows of the position table [nCtx, D] that the tokens stand at: [T, 1 or B, D]. */
  readonly positions: (table: Node) => Node;
  /** Attention of one block: q, k, v [N, H*K] to z [N, H*K]. */
  readonly attend: (q: Node, k: Node, v: Node, layer: number, probe: Probe) => Node;
  readonly probe: Probe;
  /** Applied where dropout goes; the identity when nothing is trained. */
  readonly dropout: (x: Node) => Node;
  /** The rows that logits are wanted for; all by default. */
  readonly readout?: (x: Node) => Node;
}

/** Logits [N, V] of tokens ids [T, B]. */
export function decoder(ids: Node, param: ParamNodes, cfg: DecoderConfig, ctx: Context): Node {
  const { batch: B, length: T, probe } = ctx;
  const D = cfg.dModel;
  const embed = probe("embed", rows(param("embed.tokens.weight"), ids.reshape([T * B]))); // [N, D]
  const posEmbed = ctx.positions(param("embed.positions.weight")); // [T, 1 or B, D]
  probe("posEmbed", posEmbed.broadcast([T, B, D]).reshape([T * B, D]));

  let x = ctx.dropout(
    embed
      .reshape([T, B, D])
      .add(posEmbed)
      .reshape([T * B, D]),
  ); // [N, D]
  for (let l = 0; l < cfg.nLayers; l++) x = block(x, l, param, cfg, ctx);
  if (ctx.readout) x = ctx.readout(x);
  if (cfg.finalNorm) x = probe("lnFinal", norm(x, "lnFinal", param, cfg));
  return probe("logits", head(x, param, cfg));
}

/** Positions 0 to T - 1, the same for every sequence. */
export const firstPositions = (length: number) => (table: Node) =>
  table.slice(0, 0, length).reshape([length, 1, table.shape[1] as number]);

function block(residPre: Node, l: number, param: ParamNodes, cfg: DecoderConfig, ctx: Context): Node {
  const probe: Probe = (name, x) => ctx.probe(`blocks.${l}.${name}`, x);
  const ln = (x: Node, name: "ln1" | "ln2") => norm(x, `blocks.${l}.${name}`, param, cfg);
  probe("residPre", residPre);

  if (cfg.norm === "pre") {
    const attnOut = probe("attnOut", attention(ln(residPre, "ln1"), l, param, ctx, probe));
    const residMid = probe("residMid", residPre.add(ctx.dropout(attnOut)));
    const mlpOut = probe("mlpOut", mlp(ln(residMid, "ln2"), l, param, cfg));
    return probe("residPost", residMid.add(ctx.dropout(mlpOut)));
  }
  const attnOut = probe("attnOut", attention(residPre, l, param, ctx, probe));
  const residMid = probe("residMid", ln(residPre.add(ctx.dropout(attnOut)), "ln1"));
  const mlpOut = probe("mlpOut", mlp(residMid, l, param, cfg));
  return probe("residPost", ln(residMid.add(ctx.dropout(mlpOut)), "ln2"));
}

function attention(x: Node, l: number, param: ParamNodes, ctx: Context, probe: Probe): Node {
  const [q, k, v] = ["q", "k", "v"].map((name) => dense(x, `blocks.${l}.${name}`, param)) as [Node, Node, Node];
  const z = ctx.attend(q, k, v, l, probe); // [N, H*K]
  return dense(z, `blocks.${l}.o`, param);
}

/** Causal attention within the batch, every value by itself so that it can be looked at and derived. */
export function fullAttention(
  { nHeads: H, dModel: D }: DecoderConfig,
  { batch: B, length: T }: { readonly batch: number; readonly length: number },
  dropout: (x: Node) => Node = (x) => x,
): Context["attend"] {
  const K = D / H;
  const mask = causalMask(T);
  const heads = (x: Node) => x.reshape([T, B, H, K]).transpose(1, 2, 0, 3); // [B, H, T, K]
  return (qRows, kRows, vRows, _layer, probe) => {
    const q = probe("attn.q", heads(qRows));
    const k = probe("attn.k", heads(kRows));
    const v = probe("attn.v", heads(vRows));
    const scores = probe("attn.scores", q.matmul(k, { transB: true, alpha: 1 / Math.sqrt(K) })); // [B, H, T, T]
    const pattern = probe("attn.pattern", scores.add(mask).softmax()); // [B, H, T, T], rows sum to 1
    const z = probe("attn.z", dropout(pattern).matmul(v)); // [B, H, T, K]
    return z.transpose(2, 0, 1, 3).reshape([T * B, D]);
  };
}

/** [T (query), T (key)]: 0 where a position may look, -1e9 where it would see a later one; its softmax is exactly 0. */
export function causalMask(T: number): Node {
  const mask = new Float32Array(T * T);
  for (let query = 0; query < T; query++) mask.fill(-1e9, query * T + query + 1, (query + 1) * T);
  return constant(mask, [T, T]);
}

function mlp(x: Node, l: number, param: ParamNodes, cfg: DecoderConfig): Node {
  const [fc, proj] = [`blocks.${l}.fc`, `blocks.${l}.proj`];
  switch (cfg.activation) {
    case "relu":
      return dense(dense(x, fc, param).relu(), proj, param);
    case "geluTanh":
      return dense(dense(x, fc, param).geluTanh(), proj, param);
    case "gelu": {
      // gelu(h) = geluGate(h / √2) / √2: both factors ride along in the products.
      const gate = geluGate(dense(x, fc, param, { alpha: Math.SQRT1_2, beta: Math.SQRT1_2 }));
      return dense(gate, proj, param, { alpha: Math.SQRT1_2 });
    }
  }
}

function head(x: Node, param: ParamNodes, cfg: DecoderConfig): Node {
  if (!cfg.tiedHead) return dense(x, "head", param);
  const logits = x.matmul(param("embed.tokens.weight"), { transB: true }); // [N, V]
  return cfg.headBias ? logits.add(param("head.bias")) : logits;
}

/** A linear layer, with a bias if the model has one. */
const dense = (x: Node, name: string, param: ParamNodes, scale: { alpha?: number; beta?: number } = {}): Node =>
  linear(x, param(`${name}.weight`), param.has(`${name}.bias`) ? param(`${name}.bias`) : undefined, scale);

function norm(x: Node, name: string, param: ParamNodes, cfg: DecoderConfig): Node {
  const bias = cfg.normBias ? param(`${name}.bias`) : zeros([cfg.dModel]);
  return layerNorm(x, param(`${name}.weight`), bias, cfg.normEps);
}
