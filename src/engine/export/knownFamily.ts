/**
 * Converts models trained in Decoder Lab to a family of transformers: GPT-2 or OPT, if one computes the same. Biases that
 * the model lacks are zeros.
 */

import { type Shape, sizeOf } from "../graph/shape";
import { exportNames, type Family } from "../models/family";
import type { ModelWeights } from "../models/folder";
import { ACTIVATIONS, gpt2, gpt2Config } from "../models/gpt2";
import { opt } from "../models/opt";
import type { DecoderConfig } from "../nn/config";
import { type ParamSpec, paramSpecs } from "../nn/params";
import { type Outgoing, readWhole, transposed } from "./values";

export interface KnownFamily {
  readonly family: Family;
  /** Its config.json. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Returns the family that computes the same as a model trained in Decoder Lab; null if there is none. */
export function knownFamilyOf(cfg: DecoderConfig): KnownFamily | null {
  const isPre = cfg.norm === "pre" && cfg.finalNorm;
  if (cfg.headBias || cfg.positions.kind !== "learned" || !cfg.causal) return null;
  if (isPre && cfg.tiedHead) {
    return {
      family: gpt2,
      config: gpt2Config(cfg),
    };
  }
  // OPT's config.json has no epsilon; its norms always use 1e-5.
  const isPost = cfg.norm === "post" && !cfg.finalNorm;
  if (!(isPre || isPost) || cfg.normEps !== 1e-5) return null;
  return {
    family: opt,
    config: {
      ...headOf(opt, cfg),
      max_position_embeddings: cfg.nCtx,
      hidden_size: cfg.dModel,
      word_embed_proj_dim: cfg.dModel,
      num_hidden_layers: cfg.nLayers,
      num_attention_heads: cfg.nHeads,
      ffn_dim: cfg.dMlp,
      activation_function: ACTIVATIONS[cfg.activation],
      do_layer_norm_before: isPre,
      tie_word_embeddings: cfg.tiedHead,
    },
  };
}

const headOf = ({ modelType, architecture }: Family, { vocabSize }: DecoderConfig) => ({
  model_type: modelType,
  architectures: [architecture],
  vocab_size: vocabSize,
});

/** Returns a model's tensors with another family's names and layout. */
export function inFamily(model: ModelWeights, { family, config }: KnownFamily): readonly Outgoing[] {
  const cfg = family.config(config, "config.json");
  const names = exportNames(family, cfg);
  const own = new Map(paramSpecs(model.cfg).map((spec) => [spec.name, spec]));
  const read = async (name: string, shape: Shape): Promise<Float32Array<ArrayBuffer>> => {
    const [spec, source] = [own.get(name), model.weights.get(name)];
    if (spec && source) return readWhole(spec, source, model.cfg);
    if (!name.endsWith(".bias")) throw new Error(`inFamily: ${name} is missing`);
    return new Float32Array(sizeOf(shape));
  };
  const converted = async ({ name, shape, role }: ParamSpec): Promise<Float32Array<ArrayBuffer>> => {
    if (name.includes(".qkv.")) {
      const thirds = ["q", "k", "v"].map((part) =>
        read(name.replace(".qkv.", `.${part}.`), [...shape.slice(0, -1), cfg.dModel]),
      );
      return interleaved(await Promise.all(thirds), cfg.dModel);
    }
    const values = await read(name, shape);
    if (name === "embed.positions.weight") return paddedInFront(values, sizeOf(shape));
    const isTransposed =
      cfg.weightLayout !== model.cfg.weightLayout && (role === "matrix" || role === "residualMatrix");
    return isTransposed && shape.length === 2 ? transposed(values, shape[1] as number) : values;
  };
  return paramSpecs(cfg).map((spec) => ({
    name: names.get(spec.name) as string,
    dtype: "F32",
    shape: spec.shape,
    async *pieces() {
      yield new Uint8Array((await converted(spec)).buffer);
    },
  }));
}

/** Concatenates matrices of equal width along their columns, or vectors. */
function interleaved(parts: readonly Float32Array[], width: number): Float32Array<ArrayBuffer> {
  const joint = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  parts.forEach((part, i) => {
    for (let row = 0; row * width < part.length; row++) {
      joint.set(part.subarray(row * width, (row + 1) * width), (row * parts.length + i) * width);
    }
  });
  return joint;
}

/** Pads values in front to `size`: rows before the first position are never read. */
function paddedInFront(values: Float32Array, size: number): Float32Array<ArrayBuffer> {
  const padded = new Float32Array(size);
  padded.set(values, size - values.length);
  return padded;
}
