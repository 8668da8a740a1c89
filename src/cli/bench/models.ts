/** Models of known shapes with random weights, which do not affect the speed. */

import { join } from "node:path";
import { importModel } from "../../engine";
import { familyOf } from "../../engine/models/families";
import { exportNames } from "../../engine/models/family";
import { type ParamSpec, paramSpecs } from "../../engine/nn/params";
import { random } from "../../engine/random";
import { makeFolder, writeFileWhole } from "../../engine/weights";
import { writeSafetensorsInParts } from "../../engine/weights/safetensors";
import { toFloat16 } from "./float16";

const SHAPES = {
  gpt2: {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: 50257,
    n_positions: 1024,
    n_layer: 12,
    n_head: 12,
    n_embd: 768,
    layer_norm_epsilon: 1e-5,
    activation_function: "gelu_new",
  },
  /** For tests. */
  tiny: {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    vocab_size: 320,
    n_positions: 256,
    n_layer: 2,
    n_head: 2,
    n_embd: 64,
    layer_norm_epsilon: 1e-5,
    activation_function: "gelu_new",
  },
  opt1_3b: {
    model_type: "opt",
    architectures: ["OPTForCausalLM"],
    vocab_size: 50272,
    max_position_embeddings: 2048,
    num_hidden_layers: 24,
    num_attention_heads: 32,
    hidden_size: 2048,
    word_embed_proj_dim: 2048,
    ffn_dim: 8192,
    do_layer_norm_before: true,
    activation_function: "relu",
  },
} as const;

export type ShapeName = keyof typeof SHAPES;

/** Writes a model folder without a tokenizer, one tensor at a time. */
export async function writeRandomModel(dir: string, shape: ShapeName, dtype: "F32" | "F16"): Promise<void> {
  const config = SHAPES[shape];
  const family = familyOf(config, shape);
  const cfg = family.config(config, shape);
  const names = exportNames(family, cfg);
  const named = paramSpecs(cfg).map((spec) => [names.get(spec.name) as string, spec] as const);
  await makeFolder(dir);
  await writeSafetensorsInParts(
    join(dir, "model.safetensors"),
    new Map(named.map(([name, { shape }]) => [name, { dtype, shape }])),
    async (write) => {
      for (const [name, spec] of named) {
        const values = randomValues(spec);
        await write(name, 0, new Uint8Array((dtype === "F16" ? toFloat16(values) : values).buffer));
      }
    },
    { format: "pt" },
  );
  await writeFileWhole(join(dir, "config.json"), JSON.stringify(config));
}

/** Initialized like GPT-2. */
function randomValues({ name, shape, role }: ParamSpec): Float32Array<ArrayBuffer> {
  const values = new Float32Array(shape.reduce((n, d) => n * d, 1));
  const draws = random(1, "bench", name);
  if (role === "normScale") values.fill(1);
  else if (shape.length === 2) for (let i = 0; i < values.length; i++) values[i] = 0.02 * draws.normal();
  return values;
}

export type Precision = "f32" | "8-bit" | "4-bit";

/** Imports the model in another precision, as a user would. */
export async function importQuantized(dir: string, out: string, precision: "8-bit" | "4-bit"): Promise<void> {
  await importModel(dir, { out, quantize: precision === "8-bit" ? "int8" : "int4" });
}
