/** Complete graphs of a decoder. */

import { grad } from "../../src/engine/autodiff/grad";
import { input, type Node } from "../../src/engine/graph/node";
import type { DecoderConfig, ModelConfig } from "../../src/engine/nn/config";
import { constantMasks, decoder, firstPositions, fullAttention } from "../../src/engine/nn/decoder";
import { type ParamNodes, paramNodes, paramSpecs } from "../../src/engine/nn/params";
import { lossOf } from "../../src/engine/train/step";

/** Parameters as inputs of a graph with the same names. */
export const paramInputs = (cfg: ModelConfig): ParamNodes =>
  paramNodes(new Map(paramSpecs(cfg).map(({ name, shape }) => [name, input(name, shape)])));

/** A forward pass with every named value as an output. */
export function probedForward(cfg: DecoderConfig, batch: number, length: number): Record<string, Node> {
  const outputs: Record<string, Node> = {};
  const size = { batch, length };
  decoder(input("ids", [length, batch], "i32"), paramInputs(cfg), cfg, {
    ...size,
    positions: firstPositions(length),
    rotation: () => {
      throw new Error("these graphs have no rotary positions");
    },
    attend: fullAttention(cfg, size, constantMasks(cfg, length)),
    probe: (name, x) => {
      outputs[name] = x;
      return x;
    },
    dropout: (x) => x,
  });
  return outputs;
}

/** The loss, and the gradient of each parameter as `grad.{name}`. */
export function lossAndGrads(cfg: DecoderConfig, batchSize: number, blockSize: number): Record<string, Node> {
  const param = paramInputs(cfg);
  const loss = lossOf(cfg, { batchSize, blockSize }, param);
  const names = paramSpecs(cfg).map(({ name }) => name);
  const grads = grad(loss, names.map(param));
  return { loss, ...Object.fromEntries(names.map((name, i) => [`grad.${name}`, grads[i] as Node])) };
}
