/**
 * Low-rank adapters (LoRA; Hu et al., 2021): a matrix W is frozen, and the product of two thin matrices is learned beside
 * it, so that a layer computes W x + alpha / rank * B A x.
 */

import type { Node } from "../graph/node";
import { sizeOf } from "../graph/shape";
import { random } from "../random";
import type { DecoderConfig } from "./config";
import { type ParamNodes, type ParamSpec, paramSpecs } from "./params";

export interface Lora {
  /** The inner dimension of the product. */
  readonly rank: number;
  readonly alpha: number;
}

/** Adapter parameters for every matrix of attention and MLP: A [rank, in] and B [out, rank]. */
export function adapterSpecs(cfg: DecoderConfig, { rank }: Lora): readonly ParamSpec[] {
  return paramSpecs(cfg).flatMap(({ name, shape, role }): ParamSpec[] => {
    if (!name.startsWith("blocks.") || (role !== "matrix" && role !== "residualMatrix")) return [];
    const layer = name.slice(0, -".weight".length);
    const [inner, out] = (cfg.weightLayout === "inOut" ? shape : shape.toReversed()) as [number, number];
    return [
      { name: `${layer}.loraA`, shape: [rank, inner], role: "matrix" },
      { name: `${layer}.loraB`, shape: [out, rank], role: "matrix" },
    ];
  });
}

/** Returns new adapters, which change nothing: B is 0. A is uniform in ±1 / sqrt(in), as in torch.nn.Linear. */
export function initAdapters(cfg: DecoderConfig, lora: Lora, seed: number): Map<string, Float32Array> {
  return new Map(
    adapterSpecs(cfg, lora).map(({ name, shape }) => {
      const values = new Float32Array(sizeOf(shape));
      const draws = random(seed, "init", name);
      const bound = 1 / Math.sqrt(shape[1] as number);
      if (name.endsWith(".loraA"))
        for (let i = 0; i < values.length; i++) values[i] = (2 * draws.uniform() - 1) * bound;
      return [name, values];
    }),
  );
}

/** Adds adapters to a model's parameters; its layers apply them. */
export function withAdapters(param: ParamNodes, adapters: ParamNodes, { rank, alpha }: Lora): ParamNodes {
  const scaled = new Map<string, Node>();
  const get = (name: string): Node => {
    if (!adapters.has(name)) return param(name);
    if (!name.endsWith(".loraB")) return adapters(name);
    const node = scaled.get(name) ?? adapters(name).mul(alpha / rank);
    scaled.set(name, node);
    return node;
  };
  return Object.assign(get, { has: (name: string) => adapters.has(name) || param.has(name) });
}

/** Returns a layer's matrix with its adapter merged, in the model's layout; null if it has no adapter. */
export function mergedMatrix(name: string, param: ParamNodes, { weightLayout }: DecoderConfig): Node | null {
  const layer = name.slice(0, name.lastIndexOf("."));
  if (!name.endsWith(".weight") || !param.has(`${layer}.loraA`)) return null;
  const [w, a, b] = [param(name), param(`${layer}.loraA`), param(`${layer}.loraB`)];
  return w.add(weightLayout === "outIn" ? b.matmul(a) : a.matmul(b, { transA: true, transB: true }));
}
