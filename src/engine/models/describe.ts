/** The module tree of a decoder, as PyTorch's `print(model)` shows one. */

import { sizeOf } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import { type ParamSpec, paramSpecs } from "../nn/params";

/** A module with the parameters it holds itself. */
export interface ModuleTree {
  readonly name: string;
  /** Such as `Linear(128, 512, bias=True)`. */
  readonly kind: string;
  /** Of the module and everything in it; a tied head counts once. */
  readonly parameters: number;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly dtype: string }[];
  readonly children: readonly ModuleTree[];
}

export function describeModel(cfg: DecoderConfig): ModuleTree {
  const specs = paramSpecs(cfg);
  const leaf = (path: string, kind: string): ModuleTree => {
    const own = specs.filter(({ name }) => name.slice(0, name.lastIndexOf(".")) === path);
    return module(path.slice(path.lastIndexOf(".") + 1), kind, [], own);
  };
  const linear = (path: string): ModuleTree => {
    const [weight, bias] = ["weight", "bias"].map((kind) => specs.find(({ name }) => name === `${path}.${kind}`));
    const [rows, columns] = weight?.shape ?? [cfg.dModel, cfg.vocabSize];
    return leaf(path, `Linear(${rows}, ${columns}, bias=${bias ? "True" : "False"})`);
  };
  const norm = (path: string) =>
    leaf(path, `LayerNorm(${cfg.dModel}, eps=${cfg.normEps}, bias=${cfg.normBias ? "True" : "False"})`);
  const activation = { relu: "ReLU()", gelu: "GELU()", geluTanh: "GELU(approximate='tanh')" }[cfg.activation];

  const block = (l: number) => {
    const at = (name: string) => `blocks.${l}.${name}`;
    const attention = module(
      "attention",
      `Attention(heads=${cfg.nHeads}, causal)`,
      ["q", "k", "v", "o"].map((n) => linear(at(n))),
    );
    const mlp = module("mlp", "MLP", [linear(at("fc")), module("activation", activation, []), linear(at("proj"))]);
    const children =
      cfg.norm === "pre"
        ? [norm(at("ln1")), attention, norm(at("ln2")), mlp]
        : [attention, norm(at("ln1")), mlp, norm(at("ln2"))];
    return module(String(l), `Block(norm=${cfg.norm})`, children);
  };
  return module("decoder", "Decoder", [
    module("embed", "Embedding", [
      leaf("embed.tokens", `Embedding(${cfg.vocabSize}, ${cfg.dModel})`),
      leaf("embed.positions", `Embedding(${cfg.nCtx}, ${cfg.dModel})`),
    ]),
    module(
      "blocks",
      "ModuleList",
      Array.from({ length: cfg.nLayers }, (_, l) => block(l)),
    ),
    ...(cfg.finalNorm ? [norm("lnFinal")] : []),
    cfg.tiedHead
      ? {
          ...linear("head"),
          kind: `Linear(${cfg.dModel}, ${cfg.vocabSize}, bias=${cfg.headBias ? "True" : "False"}), weight tied to embed.tokens`,
        }
      : linear("head"),
  ]);
}

function module(
  name: string,
  kind: string,
  children: readonly ModuleTree[],
  own: readonly ParamSpec[] = [],
): ModuleTree {
  const inside = children.reduce((n, child) => n + child.parameters, 0);
  return {
    name,
    kind,
    parameters: own.reduce((n, { shape }) => n + sizeOf(shape), inside),
    tensors: own.map((spec) => ({ name: spec.name, shape: spec.shape, dtype: "float32" })),
    children,
  };
}
