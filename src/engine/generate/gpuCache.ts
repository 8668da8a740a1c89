/**
 * Attention on WebGPU over a cache of keys and values in GPU buffers, which each pass extends in place.
 *
 * Two ways share one cache, [B, G, nCtx, K] for each layer: plain products work for every model and any number of new
 * positions, and the fused operator is faster. Which of them a GPU computes correctly, `gpuCheck.ts` finds out.
 *
 * B batch   T new positions   S positions   R = H / G   H nHeads   G nKvHeads   K dHead
 */

import { cachedAttention, input, type Node, replaceAt, take } from "../graph/node";
import { UNKNOWN } from "../graph/shape";
import { maskName } from "../inspect/masks";
import type { DecoderConfig } from "../nn/config";
import { type Context, scoreScale, softcapped, windowOfLayer } from "../nn/decoder";
import { type DeviceTensor, type HostArray, hostTensor } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";

/** Receives the nodes of the updated caches. */
export type Cached = (name: string, node: Node) => void;

export interface CacheRun {
  readonly feeds: Record<string, HostArray | DeviceTensor>;
  readonly fetches: Readonly<Record<string, Float32Array | DeviceTensor>>;
}

export interface Cache {
  /** Returns the inputs and outputs for T new positions; sequence b has lengths[b] and gets counts[b] more. */
  feeds(T: number, lengths: Int32Array, counts: readonly number[]): Promise<CacheRun>;
  rewind(length: number): void;
  release(): void;
}

export type GpuAttention = "plain" | "fused";

/** Returns why the fused operator does not support a model; null if it does. */
export function fusedProblem(cfg: DecoderConfig): string | null {
  if (!cfg.causal) return "positions attend to later ones";
  if (cfg.attentionSoftcap !== null) return "attention is soft-capped";
  return cfg.dHead % 8 === 0 ? null : `heads have ${cfg.dHead} dimensions, which is not a multiple of 8`;
}

/** Attention from products, a mask and a softmax, for any number of sequences and new positions. */
export function attendPlain(cfg: DecoderConfig, B: number, cached: Cached): Context["attend"] {
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  const cells = input("cells", [B, G, UNKNOWN, 3], "i64");
  const end = input("end", [1], "i64");
  const hidden = hiddenColumns(cfg, B);
  const heads = (x: Node, n: number) => x.reshape([UNKNOWN, B, n, K]).transpose(1, 2, 0, 3); // [B, n, T, K]
  return (q, k, v, l) => {
    const all = (name: "k" | "v", rows: Node) => {
      const extended = replaceAt(input(`cache.${l}.${name}`, [B, G, UNKNOWN, K]), cells, heads(rows, G));
      cached(`cache.${l}.${name}`, extended);
      return take(extended, end, 2); // [B, G, S, K]
    };
    // Query heads that share keys become additional rows of one head.
    const queries = heads(q, H).reshape([B, G, UNKNOWN, K]).mul(scoreScale(cfg, l)); // [B, G, R*T, K]
    const scores = softcapped(queries.matmul(all("k", k), { transB: true }), cfg.attentionSoftcap);
    const z = scores
      .add(hidden(windowOfLayer(cfg, l)))
      .softmax()
      .matmul(all("v", v)); // [B, G, R*T, K]
    return z
      .reshape([B, H, UNKNOWN, K])
      .transpose(2, 0, 1, 3)
      .reshape([UNKNOWN, H * K]);
  };
}

/** Returns the masks [B, 1, R*T, S] of layers with a window, from positions: 0 where a query sees a column. */
function hiddenColumns({ causal }: DecoderConfig, B: number): (window: number | null) => Node {
  const columns = input("columns", [UNKNOWN]);
  const last = input("lastVisible", [B, 1, UNKNOWN, 1]);
  const masks = new Map<string, Node>();
  return (window) => {
    const mask = () => {
      const later = columns.sub(last).relu();
      const beyond =
        causal && window
          ? later.add(
              last
                .sub(columns)
                .sub(window - 1)
                .relu(),
            )
          : later;
      return beyond.mul(-1e9);
    };
    const name = maskName(causal ? window : null);
    const known = masks.get(name) ?? mask();
    masks.set(name, known);
    return known;
  };
}

/** Attention of one sequence by the operator that updates its cache in place. */
export function attendFused(cfg: DecoderConfig, B: number, cached: Cached): Context["attend"] {
  if (B !== 1) throw new Error("attendFused: one sequence only");
  const { nHeads: H, nKvHeads: G, dHead: K } = cfg;
  const lastIndex = input("lastIndex", [1], "i32");
  const total = input("total", [], "i32");
  const sequence = (x: Node, width: number) => x.reshape([1, UNKNOWN, width]);
  return (q, k, v, l) => {
    const past = (name: "k" | "v") => input(`cache.${l}.${name}`, [1, G, UNKNOWN, K]);
    const attention = cachedAttention(
      [sequence(q, H * K), sequence(k, G * K), sequence(v, G * K), past("k"), past("v"), lastIndex, total],
      { nHeads: H, nKvHeads: G, scale: scoreScale(cfg, l), window: windowOfLayer(cfg, l) },
    );
    cached(`cache.${l}.k`, attention.k);
    cached(`cache.${l}.v`, attention.v);
    return attention.z.reshape([UNKNOWN, H * K]);
  };
}

/** The inputs of both ways of attention, except the cache: T new positions after lengths[b], of which counts[b] are real. */
export function attentionFeeds(
  cfg: DecoderConfig,
  T: number,
  lengths: Int32Array,
  counts: readonly number[],
): Record<string, DeviceTensor> {
  const [B, G, R] = [lengths.length, cfg.nKvHeads, cfg.nHeads / cfg.nKvHeads];
  const S = Math.max(...lengths) + T;
  const cells = new BigInt64Array(B * G * T * 3);
  const lastVisible = new Float32Array(B * R * T);
  for (let b = 0; b < B; b++) {
    const [length, end] = [lengths[b] as number, (lengths[b] as number) + (counts[b] as number)];
    for (let g = 0; g < G; g++) {
      for (let t = 0; t < T; t++) cells.set([BigInt(b), BigInt(g), BigInt(length + t)], ((b * G + g) * T + t) * 3);
    }
    for (let i = 0; i < R * T; i++) lastVisible[b * R * T + i] = cfg.causal ? length + (i % T) : end - 1;
  }
  return {
    cells: hostTensor(cells, [B, G, T, 3]),
    lastVisible: hostTensor(lastVisible, [B, 1, R * T, 1]),
    columns: hostTensor(
      Float32Array.from({ length: S }, (_, column) => column),
      [S],
    ),
    end: hostTensor(BigInt64Array.of(BigInt(S)), [1]),
    lastIndex: hostTensor(
      lengths.map((length, b) => length + (counts[b] as number) - 1),
      [B],
    ),
    total: hostTensor(Int32Array.of(S), []),
  };
}

/** Bytes of one layer's attention scores: WebGPU guarantees buffers of 128 MiB. */
const MOST_SCORE_BYTES = 2 ** 27;
/** Longest piece of a prompt: longer ones gain no speed, and a canceled prompt ends after the current piece. */
const MOST_POSITIONS = 512;

/** Returns the number of new positions whose attention scores over `past` and the new positions fit in memory. */
export function positionsPerRun({ nHeads }: Pick<DecoderConfig, "nHeads">, B: number, past: number): number {
  const most = MOST_SCORE_BYTES / (4 * B * nHeads);
  // T (past + T) <= most
  const fitting = Math.floor((Math.sqrt(past * past + 4 * most) - past) / 2);
  return Math.max(1, Math.min(MOST_POSITIONS, fitting));
}

/** Keys and values of every layer in GPU buffers, [B, G, nCtx, K]. */
export class GpuCache implements Cache {
  #buffers: Record<string, DeviceTensor> | undefined;

  constructor(
    readonly cfg: DecoderConfig,
    readonly batch: number,
    readonly weights: DeviceWeights,
  ) {}

  async feeds(T: number, lengths: Int32Array, counts: readonly number[]): Promise<CacheRun> {
    this.#buffers ??= await this.#makeBuffers();
    const fetches = Object.fromEntries(Object.entries(this.#buffers).map(([name, buffer]) => [`${name}'`, buffer]));
    return { feeds: { ...this.#buffers, ...attentionFeeds(this.cfg, T, lengths, counts) }, fetches };
  }

  rewind(): void {}

  release(): void {
    for (const buffer of Object.values(this.#buffers ?? {})) buffer.dispose();
    this.#buffers = undefined;
  }

  async #makeBuffers(): Promise<Record<string, DeviceTensor>> {
    const { nLayers, nKvHeads, nCtx, dHead } = this.cfg;
    const shape = [this.batch, nKvHeads, nCtx, dHead];
    const buffers: Record<string, DeviceTensor> = {};
    for (let l = 0; l < nLayers; l++) {
      for (const name of [`cache.${l}.k`, `cache.${l}.v`]) {
        buffers[name] = await this.weights.memory.upload(new Float32Array(this.batch * nKvHeads * nCtx * dHead), shape);
      }
    }
    return buffers;
  }
}
