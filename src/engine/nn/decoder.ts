/**
 * The decoder-only transformer, in one file, top to bottom.
 *
 * B batch   T position   N = T*B rows   D dModel   E dEmbed   H nHeads   G nKvHeads   K dHead   F dMlp   V vocabSize
 *
 * Activations are rows of a matrix, position by position and within it sequence by sequence: [N, D] is [T, B, D].
 * In this order a head's [B, H, T, K] can be read out of [T, B, H, K] by a product without copying it first. T may be
 * known only when the graph runs.
 */

import { constant, geluGate, layerNorm, linear, type Node, ones, rmsNorm, rotary, rows, zeros } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import type { DecoderConfig } from "./config";
import { hasHeadRows, type ParamNodes } from "./params";
import { anglesOfLayer } from "./rotary";

/** Names a value of a forward pass. The returned value replaces it; usually it is the same. */
export type Probe = (name: string, x: Node) => Node;

/** The context of the blocks: a batch of B sequences of T tokens, and their attention. */
export interface Context {
  readonly batch: number;
  readonly length: number;
  /** Returns the tokens' rows of the position table: [T, 1 or B, D]. */
  readonly positions: (table: Node) => Node;
  /** Returns the rows' angles for rotary positions, [N, `angleCount`] each; see `nn/rotary.ts`. */
  readonly rotation: () => { readonly cos: Node; readonly sin: Node };
  /** Attention of one block: q [N, H*K], k and v [N, G*K] to z [N, H*K]. */
  readonly attend: (q: Node, k: Node, v: Node, layer: number, probe: Probe) => Node;
  readonly probe: Probe;
  /** Dropout; the identity during inference. */
  readonly dropout: (x: Node) => Node;
  /** Applied between attention and MLP: see `nn/encoderDecoder.ts`. */
  readonly between?: (x: Node, layer: number, probe: Probe) => Node;
  /** Selects the rows to compute logits for; all by default. */
  readonly readout?: (x: Node) => Node;
  /** Selects the rows that the last block computes after its attention, if the others are not needed. */
  readonly onward?: (x: Node) => Node;
}

/** Returns logits [N, V] for token ids [T, B]. */
export function decoder(ids: Node, param: ParamNodes, cfg: DecoderConfig, ctx: Context): Node {
  const x = blocks(ids, param, cfg, ctx);
  return ctx.probe("logits", head(ctx.readout ? ctx.readout(x) : x, param, cfg));
}

/** Returns the output of embedding and blocks, [N, D]. */
export function blocks(ids: Node, param: ParamNodes, cfg: DecoderConfig, ctx: Context): Node {
  let x = ctx.dropout(embedding(ids, param, cfg, ctx)); // [N, D]
  for (let l = 0; l < cfg.nLayers; l++) x = block(x, l, param, cfg, ctx);
  return cfg.finalNorm ? ctx.probe("lnFinal", norm(x, "lnFinal", param, cfg)) : x;
}

function embedding(
  ids: Node,
  param: ParamNodes,
  cfg: DecoderConfig,
  { batch: B, length: T, positions, probe }: Context,
) {
  const D = cfg.dModel;
  const N = T === UNKNOWN ? UNKNOWN : T * B;
  let tokens = rows(param("embed.tokens.weight"), ids.reshape([N])); // [N, E]
  if (cfg.embedScale !== 1) tokens = tokens.mul(cfg.embedScale);
  if (cfg.dEmbed !== D) tokens = dense(tokens, "embed.in", param, cfg); // [N, D]
  const embed = probe("embed", tokens);
  const { kind } = cfg.positions;
  if (kind !== "learned" && kind !== "sinusoidal") return embed;

  const table = kind === "learned" ? param("embed.positions.weight") : constant(sinusoids(cfg), [cfg.nCtx, D]);
  const posEmbed = positions(table); // [T, 1 or B, D]
  probe("posEmbed", posEmbed.broadcast([T, B, D]).reshape([N, D]));
  return embed.reshape([T, B, D]).add(posEmbed).reshape([N, D]);
}

/** [nCtx, D]: row t has the sine and the cosine of t / 10000^(2i / D) in columns 2i and 2i + 1. */
function sinusoids({ nCtx, dModel: D }: DecoderConfig): Float32Array {
  return Float32Array.from({ length: nCtx * D }, (_, at) => {
    const [t, column] = [Math.floor(at / D), at % D];
    const angle = t / 10000 ** ((column - (column % 2)) / D);
    return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
}

/** Selects positions 0 to T - 1 for every sequence. */
export const firstPositions =
  (length: number, offset = 0) =>
  (table: Node) =>
    table.slice(0, offset, offset + length).reshape([length, 1, table.shape[1] as number]);

function block(x: Node, l: number, param: ParamNodes, cfg: DecoderConfig, ctx: Context): Node {
  const probe: Probe = (name, x) => ctx.probe(`blocks.${l}.${name}`, x);
  const ln = (y: Node, name: string) => norm(y, `blocks.${l}.${name}`, param, cfg);
  const scaled = (y: Node) => (cfg.residualScale === 1 ? y : y.mul(cfg.residualScale));
  const attentionOf = (y: Node) => scaled(attention(y, l, param, cfg, ctx, probe));
  const mlpOf = (y: Node) => scaled(mlp(y, l, param, cfg));
  const onward = onwardOf(l, cfg, ctx);
  const between = (y: Node) => ctx.between?.(y, l, probe) ?? y;
  const residPre = probe("residPre", x);

  switch (cfg.norm) {
    case "post": {
      const attnOut = probe("attnOut", attentionOf(residPre));
      const residMid = between(probe("residMid", ln(onward(residPre).add(ctx.dropout(attnOut)), "ln1")));
      const mlpOut = probe("mlpOut", mlpOf(residMid));
      return probe("residPost", ln(residMid.add(ctx.dropout(mlpOut)), "ln2"));
    }
    case "parallel":
    case "shared": {
      const normed = ln(residPre, "ln1");
      const attnOut = probe("attnOut", attentionOf(normed));
      const mlpOut = probe("mlpOut", mlpOf(onward(cfg.norm === "shared" ? normed : ln(residPre, "ln2"))));
      return probe("residPost", onward(residPre).add(ctx.dropout(attnOut)).add(ctx.dropout(mlpOut)));
    }
    case "pre":
    case "output":
    case "sandwich": {
      const before = (y: Node, name: string) => (cfg.norm === "output" ? y : ln(y, name));
      const after = (y: Node, name: string) => (cfg.norm === "pre" ? y : ln(y, name));
      const attnOut = probe("attnOut", after(attentionOf(before(residPre, "ln1")), "ln1Out"));
      const residMid = between(probe("residMid", onward(residPre).add(ctx.dropout(attnOut))));
      const mlpOut = probe("mlpOut", after(mlpOf(before(residMid, "ln2")), "ln2Out"));
      return probe("residPost", residMid.add(ctx.dropout(mlpOut)));
    }
  }
}

/** Selects the rows that a block computes after its attention. */
const onwardOf = (l: number, cfg: DecoderConfig, { onward }: Context): ((x: Node) => Node) =>
  onward && l === cfg.nLayers - 1 ? onward : (x) => x;

function attention(x: Node, l: number, param: ParamNodes, cfg: DecoderConfig, ctx: Context, probe: Probe): Node {
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  let [q, k, v] = queriesKeysValues(x, `blocks.${l}`, param, cfg); // [N, H*K], [N, G*K], [N, G*K]
  if (cfg.qkNorm !== "none") {
    const normed = (y: Node, name: string, heads: number) => {
      const byHead = cfg.qkNorm === "head" ? y.reshape([y.shape[0] as number, heads, K]) : y;
      return norm(byHead, `blocks.${l}.${name}`, param, cfg).reshape(y.shape);
    };
    [q, k] = [normed(q, "lnQ", H), normed(k, "lnK", G)];
  }
  if (cfg.positions.kind === "rotary" && !cfg.positions.unrotatedLayers.includes(l)) {
    const { cos, sin } = anglesOfLayer(ctx.rotation(), l, cfg.positions);
    [q, k] = [rotary(q, cos, sin, H), rotary(k, cos, sin, G)];
  }
  const z = onwardOf(l, cfg, ctx)(ctx.attend(q, k, v, l, probe));
  return dense(z, `blocks.${l}.o`, param, cfg);
}

function queriesKeysValues(x: Node, block: string, param: ParamNodes, cfg: DecoderConfig): [Node, Node, Node] {
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  if (cfg.qkv === "separate") {
    return ["q", "k", "v"].map((name) => dense(x, `${block}.${name}`, param, cfg)) as [Node, Node, Node];
  }
  const all = dense(x, `${block}.qkv`, param, cfg); // [N, (H + 2 G) K]
  const N = all.shape[0] as number;
  if (cfg.qkv === "fused") {
    const [qEnd, kEnd, vEnd] = [H * K, (H + G) * K, (H + 2 * G) * K];
    return [all.slice(1, 0, qEnd), all.slice(1, qEnd, kEnd), all.slice(1, kEnd, vEnd)];
  }
  const byHead = all.reshape([N, H, 3, K]);
  return [0, 1, 2].map((i) => byHead.slice(2, i, i + 1).reshape([N, H * K])) as [Node, Node, Node];
}

/** The factor of a layer's attention scores. */
export const scoreScale = (cfg: DecoderConfig, l: number): number =>
  cfg.attentionScale / (cfg.scaleByLayer ? l + 1 : 1);

export const windowOfLayer = (cfg: DecoderConfig, l: number): number | null => cfg.windows[l] ?? null;

export const softcapped = (x: Node, cap: number | null): Node => (cap === null ? x : x.div(cap).tanh().mul(cap));

/**
 * Attention within the batch, with every intermediate value as a node, for traces and gradients. `mask` returns the mask
 * that is added to the scores of a layer with this window, [T (query), S (key)], optionally with a batch dimension. Keys
 * have S positions, T by default. Values are named `attn.q` and so on, with the prefix `name`.
 */
export function fullAttention(
  cfg: DecoderConfig,
  { batch: B, length: T, keys: S = T }: { readonly batch: number; readonly length: number; readonly keys?: number },
  mask: (window: number | null) => Node,
  dropout: (x: Node) => Node = (x) => x,
  name = "attn",
): Context["attend"] {
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  const rowsOf = (length: number) => (length === UNKNOWN ? UNKNOWN : length * B);
  const byHead = (x: Node, length: number, heads: number) => x.reshape([length, B, heads, K]).transpose(1, 2, 0, 3); // [B, heads, length, K]
  /** Repeats each head of keys and values for the query heads that share it. */
  const repeated = (x: Node) =>
    x
      .reshape([S, B, G, 1, K])
      .broadcast([S, B, G, H / G, K])
      .reshape([rowsOf(S), H * K]);
  const shared = (x: Node) => byHead(H === G ? x : repeated(x), S, H); // [B, H, S, K]
  return (qRows, kRows, vRows, l, probe) => {
    const q = probe(`${name}.q`, byHead(qRows, T, H));
    probe(`${name}.k`, byHead(kRows, S, G));
    probe(`${name}.v`, byHead(vRows, S, G));
    const products = q.matmul(shared(kRows), { transB: true, alpha: scoreScale(cfg, l) });
    const scores = probe(`${name}.scores`, softcapped(products, cfg.attentionSoftcap)); // [B, H, T, S]
    const pattern = probe(`${name}.pattern`, scores.add(mask(windowOfLayer(cfg, l))).softmax()); // rows sum to 1
    const z = probe(`${name}.z`, dropout(pattern).matmul(shared(vRows))); // [B, H, T, K]
    return z.transpose(2, 0, 1, 3).reshape([rowsOf(T), H * K]);
  };
}

/** The masks of a graph with a known length, each created once. */
export function constantMasks(cfg: DecoderConfig, T: number): (window: number | null) => Node {
  const masks = new Map<number | null, Node>();
  return (window) => {
    const mask = masks.get(window) ?? constant(attentionMask(cfg, T, window), [T, T]);
    masks.set(window, mask);
    return mask;
  };
}

/** The mask that a layer with this window adds to its scores, [T (query), T (key)]. */
export const attentionMask = ({ causal }: DecoderConfig, T: number, window: number | null): Float32Array =>
  causal ? causalMask(T, window) : new Float32Array(T * T);

/** [T (query), T (key)]: 0 for visible positions, -1e9 for hidden ones, whose softmax is exactly 0. */
export function causalMask(T: number, window: number | null = null): Float32Array {
  const mask = new Float32Array(T * T);
  for (let query = 0; query < T; query++) {
    mask.fill(-1e9, query * T + query + 1, (query + 1) * T);
    if (window !== null) mask.fill(-1e9, query * T, query * T + Math.max(0, query + 1 - window));
  }
  return mask;
}

function mlp(x: Node, l: number, param: ParamNodes, cfg: DecoderConfig): Node {
  const [gate, fc, proj] = ["gate", "fc", "proj"].map((name) => `blocks.${l}.${name}`) as [string, string, string];
  if (cfg.gatedMlp) {
    const [before, up] = cfg.fusedGate
      ? halves(x, l, param, cfg)
      : [gate, fc].map((name) => dense(x, name, param, cfg));
    return dense(activated(before as Node, cfg).mul(up as Node), proj, param, cfg);
  }
  if (cfg.activation !== "gelu") return dense(activated(dense(x, fc, param, cfg), cfg), proj, param, cfg);
  // gelu(h) = geluGate(h / √2) / √2: both factors are folded into the products.
  const gelu = geluGate(dense(x, fc, param, cfg, { alpha: Math.SQRT1_2, beta: Math.SQRT1_2 }));
  return dense(gelu, proj, param, cfg, { alpha: Math.SQRT1_2 });
}

/** Both inputs of a gated MLP from their common matrix, [N, F] each. */
function halves(x: Node, l: number, param: ParamNodes, cfg: DecoderConfig): readonly [Node, Node] {
  const both = dense(x, `blocks.${l}.gateFc`, param, cfg); // [N, 2 F]
  return [both.slice(1, 0, cfg.dMlp), both.slice(1, cfg.dMlp, 2 * cfg.dMlp)];
}

function activated(x: Node, { activation }: DecoderConfig): Node {
  switch (activation) {
    case "relu":
      return x.relu();
    case "geluTanh":
      return x.geluTanh();
    case "silu":
      return x.mul(x.sigmoid());
    case "gelu":
      return geluGate(x.mul(Math.SQRT1_2)).mul(Math.SQRT1_2);
  }
}

/** Returns the logits [N, V] of rows after the final norm. */
export function head(x: Node, param: ParamNodes, cfg: DecoderConfig): Node {
  const read = cfg.dEmbed === cfg.dModel ? x : dense(x, "head.in", param, cfg); // [N, E]
  const weight = param(cfg.tiedHead ? "embed.tokens.weight" : "head.weight");
  const bias = cfg.headBias ? param("head.bias") : undefined;
  const logits = linear(read, weight, bias, { transW: hasHeadRows(cfg) }); // [N, V]
  return softcapped(cfg.logitScale === 1 ? logits : logits.mul(cfg.logitScale), cfg.logitSoftcap);
}

/** A linear layer, with a bias and an adapter (see `nn/adapters.ts`) if the model has them. */
export function dense(
  x: Node,
  name: string,
  param: ParamNodes,
  cfg: DecoderConfig,
  scale: { alpha?: number; beta?: number } = {},
): Node {
  const bias = param.has(`${name}.bias`) ? param(`${name}.bias`) : undefined;
  const y = linear(x, param(`${name}.weight`), bias, { ...scale, transW: cfg.weightLayout === "outIn" });
  if (!param.has(`${name}.loraA`)) return y;
  const inner = x.matmul(param(`${name}.loraA`), { transB: true }); // [N, rank]
  return y.add(inner.matmul(param(`${name}.loraB`), { transB: true, alpha: scale.alpha ?? 1 }));
}

/** The model's norm over the last axis. */
export function norm(x: Node, name: string, param: ParamNodes, cfg: DecoderConfig): Node {
  const width = x.shape.at(-1) as number;
  const weight = cfg.normScale ? param(`${name}.weight`) : ones([width]);
  switch (cfg.normKind) {
    case "layer":
      return layerNorm(x, weight, cfg.normBias ? param(`${name}.bias`) : zeros([width]), cfg.normEps);
    case "rms":
      return rmsNorm(x, weight, cfg.normEps);
    case "rmsPlusOne":
      return rmsNorm(x, weight.add(1), cfg.normEps);
  }
}
