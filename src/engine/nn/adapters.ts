/**
 * Low-rank adapters (LoRA; Hu et al., 2021): a matrix W stays as it is, and what is learned beside it is the product of
 * two thin ones, so that a layer gives W x + alpha / rank * B A x.
 */

import type { Node } from "../graph/node";
import { sizeOf } from "../graph/shape";
import { random } from "../random";
import type { DecoderConfig } from "./config";
import { type ParamNodes, type ParamSpec, paramSpecs } from "./params";

export interface Lora {
  /** The width of the product's inside. */
  readonly rank: number;
  readonly alpha: number;
}

/** The layers that get adapters: every matrix of attention and MLP. Each has A [rank, in] and B [out, rank]. */
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

/** Fresh adapters change nothing: B is 0. A is uniform in ±1 / sqrt(in), as torch.nn.Linear begins. */
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

/** A model's parameters with adapters beside them, which its layers then add. */
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

/** The matrix that gives what a layer and its adapter do, in the layout of the model; null of what has no adapter. */
export function mergedMatrix(name: string, param: ParamNodes, { weightLayout }: DecoderConfig): Node | null {
  const layer = name.slice(0, name.lastIndexOf("."));
  if (!name.endsWith(".weight") || !param.has(`${layer}.loraA`)) return null;
  const [w, a, b] = [param(name), param(`${layer}.loraA`), param(`${layer}.loraB`)];
  return w.add(weightLayout === "outIn" ? b.matmul(a) : a.matmul(b, { transA: true, transB: true }));
}
