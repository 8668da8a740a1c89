/**
 * The parameters of a decoder: their names and shapes, how they are initialized, and how they are packed for training.
 *
 * D dModel   E dEmbed   H nHeads   G nKvHeads   K dHead   F dMlp   V vocabSize
 */

import type { Node } from "../graph/node";
import { type Shape, sizeOf } from "../graph/shape";
import { random } from "../random";
import { type DecoderConfig, decoderOf, isEncoderDecoder, type ModelConfig } from "./config";

export interface ParamSpec {
  readonly name: string;
  readonly shape: Shape;
  /** Decides the parameter's initialization and weight decay. */
  readonly role: "embedding" | "matrix" | "residualMatrix" | "bias" | "normScale" | "normBias";
}

/** Every parameter, in the order of the computation. Matrices are stored in `weightLayout`. */
export function paramSpecs(cfg: ModelConfig): readonly ParamSpec[] {
  if (!isEncoderDecoder(cfg)) return stackSpecs(cfg);
  const encoder = stackSpecs(cfg.encoder).map((spec) => ({ ...spec, name: ENCODER + spec.name }));
  return [...encoder, ...stackSpecs(cfg.decoder, true)];
}

/** Prefix of the names of an encoder's parameters and values. */
export const ENCODER = "enc.";

/** The parameters of one stack. With `crosses`, each block also attends to an encoder's output. */
export function stackSpecs(cfg: DecoderConfig, crosses = false): readonly ParamSpec[] {
  const { dModel: D, dEmbed: E, dHead: K, dMlp: F, vocabSize: V, nHeads: H, nKvHeads: G } = cfg;
  const specs: ParamSpec[] = [];
  const add = (name: string, role: ParamSpec["role"], ...shape: number[]) => specs.push({ name, role, shape });
  const norm = (name: string, width = D) => {
    if (cfg.normScale) add(`${name}.weight`, "normScale", width);
    if (cfg.normBias) add(`${name}.bias`, "normBias", width);
  };
  const layer = (name: string, role: ParamSpec["role"], bias: boolean, width: number, out: number) => {
    add(`${name}.weight`, role, ...(cfg.weightLayout === "inOut" ? [width, out] : [out, width]));
    if (bias) add(`${name}.bias`, "bias", out);
  };

  add("embed.tokens.weight", "embedding", V, E);
  if (E !== D) layer("embed.in", "matrix", false, E, D);
  if (cfg.positions.kind === "learned") add("embed.positions.weight", "embedding", cfg.nCtx + cfg.positions.offset, D);
  for (let l = 0; l < cfg.nLayers; l++) {
    const block = `blocks.${l}`;
    if (cfg.norm !== "output") norm(`${block}.ln1`);
    if (cfg.qkv === "separate") {
      layer(`${block}.q`, "matrix", cfg.attentionBias, D, H * K);
      for (const name of ["k", "v"]) layer(`${block}.${name}`, "matrix", cfg.attentionBias, D, G * K);
    } else {
      layer(`${block}.qkv`, "matrix", cfg.attentionBias, D, (H + 2 * G) * K);
    }
    if (cfg.qkNorm !== "none") {
      norm(`${block}.lnQ`, cfg.qkNorm === "head" ? K : H * K);
      norm(`${block}.lnK`, cfg.qkNorm === "head" ? K : G * K);
    }
    layer(`${block}.o`, "residualMatrix", cfg.outBias, H * K, D);
    if (cfg.norm === "output" || cfg.norm === "sandwich") norm(`${block}.ln1Out`);
    if (crosses) {
      norm(`${block}.lnCross`);
      for (const name of ["q", "k", "v"]) layer(`${block}.cross.${name}`, "matrix", cfg.attentionBias, D, H * K);
      layer(`${block}.cross.o`, "residualMatrix", cfg.outBias, H * K, D);
    }
    if (cfg.norm !== "output" && cfg.norm !== "shared") norm(`${block}.ln2`);
    if (cfg.fusedGate) layer(`${block}.gateFc`, "matrix", cfg.mlpBias, D, 2 * F);
    else {
      if (cfg.gatedMlp) layer(`${block}.gate`, "matrix", cfg.mlpBias, D, F);
      layer(`${block}.fc`, "matrix", cfg.mlpBias, D, F);
    }
    layer(`${block}.proj`, "residualMatrix", cfg.mlpBias, F, D);
    if (cfg.norm === "output" || cfg.norm === "sandwich") norm(`${block}.ln2Out`);
  }
  if (cfg.finalNorm) norm("lnFinal");
  if (E !== D) layer("head.in", "matrix", false, D, E);
  if (!cfg.tiedHead && !isTable(cfg)) layer("head", "matrix", cfg.headBias, E, V);
  else {
    if (!cfg.tiedHead) add("head.weight", "embedding", V, E);
    if (cfg.headBias) add("head.bias", "bias", V);
  }
  return specs;
}

/** Returns true if the head is stored like a token embedding, [V, E], among matrices that are stored [in, out]. */
const isTable = ({ headLayout, weightLayout }: DecoderConfig): boolean =>
  headLayout === "outIn" && weightLayout === "inOut";

/** Returns true if the head's matrix is stored [V, E]. A quantized one always is. */
export const hasHeadRows = (cfg: DecoderConfig): boolean =>
  cfg.tiedHead || cfg.weightLayout === "outIn" || isTable(cfg);

/** Number of parameters; a tied head counts once. */
export const countParameters = (cfg: ModelConfig): number =>
  paramSpecs(cfg).reduce((n, { shape }) => n + sizeOf(shape), 0);

export type Params = ReadonlyMap<string, Float32Array>;
/** The parameters inside a graph, by name. */
export type ParamNodes = ((name: string) => Node) & { readonly has: (name: string) => boolean };

export function paramNodes(nodes: ReadonlyMap<string, Node>): ParamNodes {
  const get = (name: string): Node => {
    const node = nodes.get(name);
    if (!node) throw new Error(`the model has no parameter ${name}`);
    return node;
  };
  return Object.assign(get, { has: (name: string) => nodes.has(name) });
}

/**
 * Returns newly initialized parameters.
 *
 * "xavier": every matrix and embedding uniform in ±sqrt(6 / (rows + columns)) (Glorot and Bengio, 2010), as the
 * Annotated Transformer does; biases as in torch.nn.Linear, uniform in ±1 / sqrt(rows).
 * "gpt2": normal with deviation 0.02, the projections into the residual stream 0.02 / sqrt(2 nLayers), biases 0.
 */
export function initParams(cfg: ModelConfig, init: "xavier" | "gpt2", seed: number): Map<string, Float32Array> {
  const { weightLayout, nLayers } = decoderOf(cfg);
  const params = new Map<string, Float32Array>();
  let fanIn = 0;
  for (const { name, shape, role } of paramSpecs(cfg)) {
    const values = new Float32Array(sizeOf(shape));
    const draws = random(seed, "init", name);
    const fill = (draw: () => number) => {
      for (let i = 0; i < values.length; i++) values[i] = draw();
    };
    const uniform = (bound: number) => fill(() => (2 * draws.uniform() - 1) * bound);
    const normal = (deviation: number) => fill(() => draws.normal() * deviation);
    if (shape.length === 2) fanIn = shape[weightLayout === "inOut" ? 0 : 1] as number;

    if (role === "normScale") values.fill(1);
    else if (role === "bias" && init === "xavier") uniform(1 / Math.sqrt(fanIn));
    else if (shape.length === 2 && init === "xavier")
      uniform(Math.sqrt(6 / ((shape[0] as number) + (shape[1] as number))));
    else if (shape.length === 2) normal(role === "residualMatrix" ? 0.02 / Math.sqrt(2 * nLayers) : 0.02);
    params.set(name, values);
  }
  return params;
}
