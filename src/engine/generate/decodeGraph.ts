/** The graph of a forward pass over a cache, and its inputs for the tokens' positions. */

import { after, input, type Node, rows } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import { maskName } from "../inspect/masks";
import type { DecoderConfig } from "../nn/config";
import { type Context, decoder, scoreScale, softcapped, windowOfLayer } from "../nn/decoder";
import { countParameters } from "../nn/params";
import { angleCount, rotaryTables } from "../nn/rotary";
import type { SessionOptions } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { attendFused, attendPlain, type Cached, type GpuAttention } from "./gpuCache";

/** Returns the position inputs of a decoder's graph: rows of the table, or angles. */
export function positionFeeds(
  cfg: DecoderConfig,
  positions: Int32Array,
  length: number,
): Record<string, Int32Array | Float32Array> {
  switch (cfg.positions.kind) {
    case "none":
      return {};
    case "learned": {
      const { offset } = cfg.positions;
      return { positions: positions.map((p) => p + offset) };
    }
    case "sinusoidal":
      return { positions };
    case "rotary":
      return { ...rotaryTables(cfg, positions, length) };
  }
}

/** Returns the position inputs as nodes. */
export function positionInputs(cfg: DecoderConfig, B: number): Pick<Context, "positions" | "rotation"> {
  const angles = cfg.positions.kind === "rotary" ? angleCount(cfg.positions) : 0;
  const [cos, sin] = ["cos", "sin"].map((name) => input(name, [UNKNOWN, angles])) as [Node, Node];
  return {
    positions: (table) => rows(table, input("positions", [UNKNOWN, B], "i32")),
    rotation: () => ({ cos, sin }),
  };
}

/** Threads of a forward pass: a small model's products end before a second thread has woken up. */
export const threadsFor = (cfg: DecoderConfig): SessionOptions =>
  countParameters(cfg) < FEWEST_FOR_THREADS ? { threads: 1 } : { spin: true };

const FEWEST_FOR_THREADS = 2e6;

/** Returns the prediction after the rows `lastRow`, and the cache with T more positions. */
export function decodeGraph(
  cfg: DecoderConfig,
  { param }: Pick<DeviceWeights, "param">,
  B: number,
  attention: "host" | GpuAttention,
): Record<string, Node> {
  const outputs: Record<string, Node> = {};
  const cached = (name: string, node: Node) => {
    outputs[`${name}'`] = node;
  };
  const logits = decoder(input("ids", [UNKNOWN, B], "i32"), param, cfg, {
    batch: B,
    length: UNKNOWN,
    ...positionInputs(cfg, B),
    attend: attend[attention](cfg, B, cached),
    probe: (_name, x) => x,
    dropout: (x) => x,
    onward: (x) => rows(x, input("lastRow", [B], "i32")), // [B, D] of [N, D]
  }); // [B, V]
  const V = cfg.vocabSize;
  const best = logits.argMax();
  const probabilities = logits.softmax();
  const bestLogProbability = probabilities.max().log();
  // -Σ p log p with log p = x - log Z, and log Z from the most likely token.
  const expected = probabilities
    .reshape([B, 1, V])
    .matmul(logits.reshape([B, V, 1]))
    .reshape([B]);
  const entropy = logits.max().sub(bestLogProbability).sub(expected);
  return { logits, best, bestLogProbability, entropy, ...outputs };
}

const attend = { host: attendHost, plain: attendPlain, fused: attendFused };

/** Attention over host memory, to which this pass writes its own keys and values. */
function attendHost(cfg: DecoderConfig, B: number, cached: Cached): Context["attend"] {
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  const heads = (x: Node, n: number) => x.reshape([UNKNOWN, B, n, K]).transpose(1, 2, 0, 3); // [B, n, T or S, K]
  return (q, k, v, l) => {
    cached(`cache.${l}.k`, k);
    cached(`cache.${l}.v`, v);
    const all = (name: "k" | "v") => heads(input(`cache.${l}.${name}`, [UNKNOWN, B, G, K]), G); // [B, G, S, K]
    const byHead = heads(after(q, [k, v]), H);
    /** Query heads that share keys become additional rows of one head. */
    const queries = H === G ? byHead : byHead.reshape([B, G, UNKNOWN, K]); // [B, G, R*T, K]
    const scores = queries.matmul(all("k"), { transB: true, alpha: scoreScale(cfg, l) }); // [B, G, R*T, S]
    const visible = input(maskName(windowOfLayer(cfg, l)), [B, 1, UNKNOWN, UNKNOWN]);
    const z = softcapped(scores, cfg.attentionSoftcap).add(visible).softmax().matmul(all("v")); // [B, G, R*T, K]
    const zByHead = H === G ? z : z.reshape([B, H, UNKNOWN, K]);
    return zByHead.transpose(2, 0, 1, 3).reshape([UNKNOWN, H * K]);
  };
}
