import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { sameShape } from "../../../src/engine/graph/shape";
import { checkpointTensors } from "../../../src/engine/models/checkpointTensors";
import { toConfigJson } from "../../../src/engine/models/decoderLab";
import { familyOf } from "../../../src/engine/models/families";
import { exportNames } from "../../../src/engine/models/family";
import { classicDecoder, type DecoderConfig } from "../../../src/engine/nn/config";
import { countParameters, paramSpecs } from "../../../src/engine/nn/params";
import { readJson } from "../../../src/engine/weights";
import { openStored, type StoredTensors } from "../../../src/engine/weights/stored";
import { ARCHITECTURES } from "../../helpers/architectures";
import { tinyConfig } from "../../helpers/tinyModel";

const read = (json: object): DecoderConfig => familyOf(json, "config.json").config(json, "config.json");

test("the first Phi-3 files call longrope su or yarn", () => {
  const file = (type: string) => ({
    ...{ model_type: "phi3", hidden_size: 32, num_attention_heads: 4, max_position_embeddings: 64 },
    original_max_position_embeddings: 16,
    rope_scaling: { type, short_factor: [1, 1, 1, 1], long_factor: [1, 2, 3, 4] },
  });
  const { positions } = read(file("longrope"));
  expect(positions.kind === "rotary" && positions.scaling).toEqual({
    ...{ kind: "longrope", originalCtx: 16, shortFactors: [1, 1, 1, 1], longFactors: [1, 2, 3, 4] },
    attentionFactor: Math.sqrt(1.5),
  });
  expect(read(file("su")).positions).toEqual(positions);
  expect(read(file("yarn")).positions).toEqual(positions);
});

test("layers with a window have their own angles even if the window is as long as the context", () => {
  const file = {
    ...{ model_type: "gemma3_text", num_hidden_layers: 7 },
    max_position_embeddings: 512,
    sliding_window: 512,
  };
  const { windows, positions } = read(file);
  expect(windows).toEqual([]);
  expect(positions).toMatchObject({ theta: 1e6, local: { layers: [0, 1, 2, 3, 4, 6], theta: 10000, scaling: null } });
});

test("a Qwen model that does not use its window has none, whatever its layer types are", () => {
  const types = ["sliding_attention", "full_attention"];
  const file = { ...{ model_type: "qwen2", num_hidden_layers: 2, layer_types: types }, use_sliding_window: false };
  expect(read(file).windows).toEqual([]);
  expect(read({ ...file, use_sliding_window: true, sliding_window: 8 }).windows).toEqual([8, null]);
});

/** The sizes in the config.json of published models, and their published numbers of parameters. */
const PUBLISHED: Readonly<Record<string, readonly [config: object, parameters: number]>> = {
  "google/gemma-3-270m": [
    {
      ...{ model_type: "gemma3_text", hidden_size: 640, intermediate_size: 2048, num_hidden_layers: 18 },
      ...{ num_attention_heads: 4, num_key_value_heads: 1, vocab_size: 262144 },
    },
    268_098_176,
  ],
  "google/gemma-3-1b-pt": [
    {
      ...{ model_type: "gemma3_text", hidden_size: 1152, intermediate_size: 6912, num_hidden_layers: 26 },
      ...{ num_attention_heads: 4, num_key_value_heads: 1, vocab_size: 262144 },
    },
    999_885_952,
  ],
  "microsoft/Phi-3-mini-4k-instruct": [{ model_type: "phi3", sliding_window: 2047 }, 3_821_079_552],
  "microsoft/Phi-4-mini-instruct": [
    {
      ...{ model_type: "phi3", vocab_size: 200064, num_attention_heads: 24, num_key_value_heads: 8 },
      ...{ partial_rotary_factor: 0.75, tie_word_embeddings: true },
    },
    3_836_021_760,
  ],
  "microsoft/phi-4": [
    {
      ...{ model_type: "phi3", hidden_size: 5120, intermediate_size: 17920, num_hidden_layers: 40, vocab_size: 100352 },
      ...{ num_attention_heads: 40, num_key_value_heads: 10 },
    },
    14_659_507_200,
  ],
  "bigcode/tiny_starcoder_py": [
    {
      model_type: "gpt_bigcode",
      n_embd: 768,
      n_head: 12,
      n_inner: 3072,
      n_layer: 20,
      n_positions: 8192,
      vocab_size: 49152,
    },
    164_144_128,
  ],
  "bigcode/starcoder2-3b": [{ model_type: "starcoder2" }, 3_030_371_328],
  "allenai/Olmo-3-1025-7B": [{ model_type: "olmo3", vocab_size: 100278 }, 7_298_011_136],
  "openai-community/gpt2": [{ model_type: "gpt2", n_ctx: 1024, n_embd: 768, n_head: 12, n_layer: 12 }, 124_439_808],
  "facebook/opt-350m": [
    {
      model_type: "opt",
      do_layer_norm_before: false,
      ffn_dim: 4096,
      hidden_size: 1024,
      num_attention_heads: 16,
      num_hidden_layers: 24,
      word_embed_proj_dim: 512,
    },
    331_196_416,
  ],
  "EleutherAI/gpt-neo-125m": [
    {
      model_type: "gpt_neo",
      attention_types: [[["global", "local"], 6]],
      hidden_size: 768,
      num_heads: 12,
      num_layers: 12,
      intermediate_size: null,
    },
    125_198_592,
  ],
  "EleutherAI/pythia-160m": [
    {
      model_type: "gpt_neox",
      hidden_size: 768,
      intermediate_size: 3072,
      num_attention_heads: 12,
      num_hidden_layers: 12,
      vocab_size: 50304,
    },
    162_322_944,
  ],
  "meta-llama/Llama-3.2-1B": [
    {
      model_type: "llama",
      head_dim: 64,
      hidden_size: 2048,
      intermediate_size: 8192,
      max_position_embeddings: 131072,
      num_attention_heads: 32,
      num_hidden_layers: 16,
      num_key_value_heads: 8,
      rope_scaling: {
        factor: 32.0,
        high_freq_factor: 4.0,
        low_freq_factor: 1.0,
        original_max_position_embeddings: 8192,
        rope_type: "llama3",
      },
      rope_theta: 500000.0,
      tie_word_embeddings: true,
      vocab_size: 128256,
    },
    1_235_814_400,
  ],
  "mistralai/Mistral-7B-v0.1": [{ model_type: "mistral", max_position_embeddings: 32768 }, 7_241_732_096],
  "Qwen/Qwen2-0.5B": [
    {
      model_type: "qwen2",
      hidden_size: 896,
      intermediate_size: 4864,
      num_attention_heads: 14,
      num_hidden_layers: 24,
      num_key_value_heads: 2,
      tie_word_embeddings: true,
    },
    494_032_768,
  ],
  "Qwen/Qwen3-0.6B": [
    {
      model_type: "qwen3",
      head_dim: 128,
      hidden_size: 1024,
      intermediate_size: 3072,
      num_attention_heads: 16,
      num_hidden_layers: 28,
      num_key_value_heads: 8,
      sliding_window: null,
      tie_word_embeddings: true,
    },
    596_049_920,
  ],
  "google/gemma-2b": [
    {
      model_type: "gemma",
      hidden_act: "gelu",
      hidden_size: 2048,
      intermediate_size: 16384,
      num_attention_heads: 8,
      num_hidden_layers: 18,
      num_key_value_heads: 1,
    },
    2_506_172_416,
  ],
  "google/gemma-2-2b": [{ model_type: "gemma2" }, 2_614_341_888],
  "microsoft/phi-2": [
    {
      model_type: "phi",
      hidden_size: 2560,
      intermediate_size: 10240,
      num_hidden_layers: 32,
      partial_rotary_factor: 0.4,
    },
    2_779_683_840,
  ],
  "allenai/OLMo-2-0425-1B": [
    {
      model_type: "olmo2",
      hidden_size: 2048,
      intermediate_size: 8192,
      num_attention_heads: 16,
      num_hidden_layers: 16,
      vocab_size: 100352,
    },
    1_484_916_736,
  ],
  "HuggingFaceTB/SmolLM3-3B": [{ model_type: "smollm3" }, 3_075_098_624],
};

test.each(Object.entries(PUBLISHED))("%s has its published number of parameters", (_, [config, parameters]) => {
  expect(countParameters(read(config))).toBe(parameters);
});

describe("a config.json of transformers 5 is equivalent to an older one", () => {
  const scaling = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };
  const older = { model_type: "llama", rope_theta: 5e5, rope_scaling: { rope_type: "llama3", ...scaling } };
  const newer = { model_type: "llama", rope_parameters: { rope_theta: 5e5, rope_type: "llama3", ...scaling } };
  test("rope and its scaling", () => expect(read(newer)).toEqual(read(older)));

  test("the rotated fraction", () => {
    const share = { rope_theta: 10000, partial_rotary_factor: 0.5, rope_type: "default" };
    expect(read({ model_type: "gpt_neox", rope_parameters: share })).toEqual(
      read({ model_type: "gpt_neox", rotary_pct: 0.5 }),
    );
    expect(read({ model_type: "phi", rope_parameters: { ...share, partial_rotary_factor: 0.25 } })).toEqual(
      read({ model_type: "phi", partial_rotary_factor: 0.25 }),
    );
  });

  test("the layers with windows", () => {
    const older = { model_type: "qwen2", num_hidden_layers: 3, use_sliding_window: true, max_window_layers: 1 };
    const layer_types = ["full_attention", "sliding_attention", "sliding_attention"];
    expect(read({ ...older, layer_types, max_window_layers: undefined })).toEqual(read(older));
    expect(read(older).windows).toEqual([null, 4096, 4096]);
  });
});

test("a scaling extends the context length", () => {
  const context = (nCtx: number, rope_scaling: object) =>
    read({ model_type: "llama", max_position_embeddings: nCtx, rope_scaling }).nCtx;
  expect(context(4096, { type: "dynamic", factor: 2 })).toBe(8192);
  expect(context(4096, { type: "yarn", factor: 4, original_max_position_embeddings: 4096 })).toBe(16384);
  expect(context(16384, { type: "yarn", factor: 4, original_max_position_embeddings: 4096 })).toBe(16384);
  expect(context(16384, { type: "linear", factor: 4 })).toBe(16384);
});

test("the config.json of a trained model is read back unchanged", () => {
  for (const changes of [
    {},
    { positions: "none", causal: false } as const,
    { norm: "post", finalNorm: false, tiedHead: true, activation: "relu" } as const,
  ]) {
    const cfg = classicDecoder({ ...tinyConfig, positions: "learned", norm: "pre", activation: "gelu", ...changes });
    expect(read(JSON.parse(JSON.stringify(toConfigJson(cfg))))).toEqual(cfg);
  }
});

describe("the names in a checkpoint", () => {
  const config = { model_type: "llama", num_hidden_layers: 1, hidden_size: 32, num_attention_heads: 4 };
  const names = (changes: object, ...extra: string[]) => {
    const json = { ...config, ...changes };
    const family = familyOf(json, "config.json");
    const cfg = family.config(json, "config.json");
    const written = [...exportNames(family, cfg).values()];
    return { family, cfg, written: [...written, ...extra] };
  };
  /** Tensors at the same place, so that all of them are equal. */
  const stored = (written: readonly string[]): StoredTensors =>
    new Map(written.map((name) => [name, { name, dtype: "F32", shape: [1], file: "", offset: 0, length: 4 }]));
  const opened = ({ family, cfg, written }: ReturnType<typeof names>) =>
    checkpointTensors(family, cfg, stored(written), "/model");

  test.each(readdirSync(ARCHITECTURES, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? [e.name] : [])))(
    "match the parameters and shapes of %s",
    async (variant) => {
      const dir = join(ARCHITECTURES, variant);
      const json = await readJson(join(dir, "config.json"));
      const family = familyOf(json, dir);
      const cfg = family.config(json, dir);
      const stored = await openStored(dir);
      const { names: found } = await checkpointTensors(family, cfg, stored, dir);
      for (const { name, shape } of paramSpecs(cfg)) {
        const tensor = stored.get(found.get(name) ?? "");
        expect(tensor && sameShape(tensor.shape, shape), `${name} [${shape}] is [${tensor?.shape}]`).toBe(true);
      }
      expect(new Set(found.values()).size).toBe(found.size);
    },
  );

  test("may lack the prefix", async () => {
    const { family, cfg, written } = names({});
    const bare = written.map((name) => name.replace(/^model\./, ""));
    const { names: found, notes } = await checkpointTensors(family, cfg, stored(bare), "/model");
    expect(notes).toEqual([]);
    expect([...found.values()]).toEqual(bare);
    expect([...found.keys()]).toEqual(paramSpecs(cfg).map(({ name }) => name));
  });

  test("may include buffers, scales and the weight of a tied head", async () => {
    const inverse = "model.layers.0.self_attn.rotary_emb.inv_freq";
    const scales = "model.layers.0.mlp.up_proj.weight.scales";
    const found = await opened(names({ tie_word_embeddings: true }, inverse, scales, "lm_head.weight"));
    expect([...found.names.values()]).not.toContain("lm_head.weight");
    expect([...found.names.values()]).not.toContain(inverse);
    expect(found.ignored).toEqual([
      { name: inverse, reason: "the rotary frequencies, which follow from config.json" },
      { name: "lm_head.weight", reason: "the head, equal to the token embedding" },
    ]);
  });

  test("are reported if missing", async () => {
    const { family, cfg, written } = names({});
    const missing = written.filter((name) => name !== "model.norm.weight");
    await expect(opened({ family, cfg, written: missing })).rejects.toThrow(
      'The weights in /model do not match its config.json: the tensor "model.norm.weight" is missing. Choose another model folder.',
    );
    const more = missing.filter((name) => !name.includes("mlp"));
    await expect(opened({ family, cfg, written: more })).rejects.toThrow(
      'the tensor "model.layers.0.mlp.gate_proj.weight" and 3 others are missing.',
    );
  });

  test.each([
    ["model.layers.1.mlp.up_proj.weight", "layers beyond the 1 of config.json"],
    ["model.layers.0.self_attn.q_proj.bias", null],
    ["model.layers.0.self_attn.rotary_emb.inv_freq.more", null],
    ["model.rotary_emb.original_inv_freq", "the rotary frequencies, which follow from config.json"],
    ["unknown.scales", null],
    ["classifier.weight", "a head for another task"],
    ["v_head.summary.weight", "a value head"],
    ["vision_tower.encoder.layers.0.mlp.fc1.weight", "the part that reads images, which is not used"],
    ["model.layers.0.mlp.up_proj.lora_A.default.weight", "an adapter, which is not applied"],
    ["optimizer.state.0.exp_avg", "the state of an optimizer"],
    ["__proto__", null],
  ])("are listed if ignored: %s", async (extra, reason) => {
    const { ignored, notes } = await opened(names({}, extra));
    expect(ignored).toEqual([{ name: extra, reason }]);
    expect(notes).toEqual([`Ignored the tensor "${extra}" (${reason ?? "not in config.json"}).`]);
  });
});
