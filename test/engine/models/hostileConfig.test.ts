import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EngineError } from "../../../src/engine/errors";
import { describeModel } from "../../../src/engine/models/describe";
import { familyOf, knownModelTypes } from "../../../src/engine/models/families";
import { exportNames } from "../../../src/engine/models/family";
import { paramSpecs } from "../../../src/engine/nn/params";
import { random } from "../../../src/engine/random";
import { ARCHITECTURES, VARIANTS } from "../../helpers/architectures";

/** Small valid models, to be damaged field by field. */
const GOOD = {
  gpt2: { model_type: "gpt2", vocab_size: 99, n_positions: 64, n_embd: 32, n_layer: 2, n_head: 4 },
  opt: {
    model_type: "opt",
    vocab_size: 99,
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    ffn_dim: 64,
  },
  gpt_neo: { model_type: "gpt_neo", vocab_size: 99, hidden_size: 32, num_layers: 2, num_heads: 4 },
  gpt_neox: {
    model_type: "gpt_neox",
    vocab_size: 99,
    hidden_size: 64,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
  },
  llama: {
    model_type: "llama",
    vocab_size: 99,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
  },
  gemma2: {
    model_type: "gemma2",
    vocab_size: 99,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 8,
  },
  gemma3_text: { model_type: "gemma3_text", num_hidden_layers: 2 },
  gemma3: { model_type: "gemma3", text_config: { num_hidden_layers: 2 } },
  granitemoehybrid: {
    model_type: "granitemoehybrid",
    num_hidden_layers: 2,
    layer_types: ["attention", "attention"],
    num_local_experts: 0,
  },
  phi: {
    model_type: "phi",
    vocab_size: 99,
    hidden_size: 64,
    intermediate_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 4,
  },
  smollm3: {
    model_type: "smollm3",
    vocab_size: 99,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
  },
  decoder_lab: {
    model_type: "decoder_lab",
    vocabSize: 99,
    nCtx: 64,
    nLayers: 2,
    nHeads: 4,
    dModel: 32,
    dMlp: 64,
    norm: "pre",
    finalNorm: true,
    normEps: 1e-5,
    normBias: true,
    activation: "gelu",
    attentionBias: true,
    mlpBias: true,
    tiedHead: true,
    headBias: false,
  },
} as const;

type Malformed = readonly [family: keyof typeof GOOD, changes: object, message: RegExp];

const MALFORMED: Readonly<Record<string, Malformed>> = {
  "no layers": ["gpt2", { n_layer: 0 }, /n_layer must be an integer from 1 to.* but is 0/],
  "a negative number of layers": ["llama", { num_hidden_layers: -2 }, /num_hidden_layers must be.* but is -2/],
  "half a layer": ["llama", { num_hidden_layers: 2.5 }, /num_hidden_layers must be an integer.* but is 2.5/],
  "a million layers": [
    "llama",
    { num_hidden_layers: 1_000_000 },
    /layers must be an integer from 1 to 1000 but is 1000000/,
  ],
  "a million layers with windows": [
    "gemma2",
    { num_hidden_layers: 1_000_000 },
    /layers must be an integer from 1 to 1000 but is 1000000/,
  ],
  "a million layers without rotation": [
    "smollm3",
    { num_hidden_layers: 1_000_000 },
    /layers must be an integer from 1 to 1000 but is 1000000/,
  ],
  "a million layers that alternate": [
    "gpt_neo",
    { num_layers: 1_000_000 },
    /layers must be an integer from 1 to 1000 but is 1000000/,
  ],
  "a million layers in a pattern": [
    "gpt_neo",
    { num_layers: 1_000_000, attention_types: [[["global"], 1_000_000]] },
    /layers must be an integer from 1 to 1000 but is 1000000/,
  ],
  "a width beyond memory": ["gpt2", { n_embd: 1e12 }, /n_embd must be an integer.* but is 1000000000000/],
  "a width beyond exact integers": [
    "llama",
    { hidden_size: 1e300 },
    /hidden_size must be.* but is more than 999,999,999,999,999/,
  ],
  "too many parameters": [
    "llama",
    { hidden_size: 1 << 23, num_hidden_layers: 999, intermediate_size: 1 << 24 },
    /more than a trillion parameters/,
  ],
  "heads that are too wide in total": [
    "llama",
    { head_dim: 1 << 20, num_attention_heads: 1 << 20, num_key_value_heads: 1 },
    /the total width of its heads is 1099511627776/,
  ],
  "a width that is a string": ["opt", { hidden_size: "768" }, /hidden_size must be.* but is "768"/],
  "a width that is a list": ["opt", { hidden_size: [768] }, /hidden_size must be.* but is \[768\]/],
  "a width that is null": ["opt", { hidden_size: null }, /hidden_size must be.* but is empty/],
  "a vocabulary size of 0": ["gpt2", { vocab_size: 0 }, /vocab_size must be .* but is 0/],
  "a vocabulary size that is true": ["gpt2", { vocab_size: true }, /vocab_size must be .* but is true/],
  "a context length of 0": ["gpt2", { n_positions: 0 }, /n_positions must be .* but is 0/],
  "a context length that is an object": [
    "llama",
    { max_position_embeddings: {} },
    /max_position_embeddings must be .* but is \{\}/,
  ],
  "a negative MLP width": ["gpt2", { n_inner: -1 }, /n_inner must be .* but is -1/],
  "a projection width of 0": ["opt", { word_embed_proj_dim: 0 }, /word_embed_proj_dim must be .* but is 0/],
  "a width that is not divisible by the heads": ["gpt2", { n_head: 5 }, /32 is not divisible by 5 heads/],
  "more heads than dimensions": ["llama", { num_attention_heads: 64 }, /32 is not divisible by 64 heads/],
  "query heads that are not divisible by key heads": [
    "llama",
    { num_key_value_heads: 3 },
    /4 query heads are not divisible by 3/,
  ],
  "more key heads than query heads": ["llama", { num_key_value_heads: 8 }, /4 query heads are not divisible by 8/],
  "no key heads": ["llama", { num_key_value_heads: 0 }, /num_key_value_heads must be .* but is 0/],
  "a head size of 0": ["llama", { head_dim: 0 }, /head_dim must be .* but is 0/],
  "an odd number of rotated dimensions": ["phi", { partial_rotary_factor: 0.2 }, /even and from 2 to 16, got 3/],
  "no rotated dimensions": ["gpt_neox", { rotary_pct: 0 }, /even and from 2 to 16, got 0/],
  "more rotated dimensions than exist": [
    "phi",
    { partial_rotary_factor: 1.5 },
    /partial_rotary_factor must be .* but is 1.5/,
  ],
  "an unknown activation": ["llama", { hidden_act: "mish" }, /hidden_act must be one of relu, gelu.* but is "mish"/],
  "an activation named like a JavaScript property": [
    "llama",
    { hidden_act: "constructor" },
    /hidden_act must be .* but is "constructor"/,
  ],
  "an activation that is a number": ["gpt2", { activation_function: 7 }, /activation_function must be .* but is 7/],
  "an epsilon that is a string": ["llama", { rms_norm_eps: "1e-5" }, /rms_norm_eps must be .* but is "1e-5"/],
  "a negative epsilon": ["gpt2", { layer_norm_epsilon: -1 }, /layer_norm_epsilon must be .* but is -1/],
  "a flag that is a string": [
    "llama",
    { tie_word_embeddings: "yes" },
    /tie_word_embeddings must be true or.* but is "yes"/,
  ],
  "a flag that is a number": ["opt", { do_layer_norm_before: 1 }, /do_layer_norm_before must be .* but is 1/],
  "a theta of 0": ["llama", { rope_theta: 0 }, /rope_theta must be .* but is 0/],
  "an unknown rope type": [
    "llama",
    { rope_scaling: { rope_type: "mrope" } },
    /rope_scaling.rope_type must be .* but is "mrope"/,
  ],
  "a rope type named like a JavaScript property": [
    "llama",
    { rope_scaling: { type: "toString" } },
    /rope_scaling.type must be/,
  ],
  "a rope scaling that is a string": ["llama", { rope_scaling: "linear" }, /rope_scaling is not a JSON object/],
  "a rope scaling that is a list": ["llama", { rope_scaling: [] }, /rope_scaling is not a JSON object/],
  "a rope scaling without a factor": [
    "llama",
    { rope_scaling: { type: "linear" } },
    /rope_scaling.factor is missing, but rope type "linear" needs it/,
  ],
  "a rope factor of 0": [
    "llama",
    { rope_scaling: { type: "dynamic", factor: 0 } },
    /rope_scaling.factor must be .* but is 0/,
  ],
  "llama3 scaling without frequency bands": [
    "llama",
    { rope_scaling: { rope_type: "llama3", factor: 8 } },
    /low_freq_factor is missing/,
  ],
  "an original context length of 0": [
    "llama",
    { rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 0 } },
    /original_max_position_embeddings must be .* but is 0/,
  ],
  "longrope without factors": [
    "llama",
    { rope_scaling: { rope_type: "longrope", factor: 4 } },
    /short_factor is missing, but rope type longrope needs it/,
  ],
  "longrope with too few factors": [
    "llama",
    { rope_parameters: { rope_type: "longrope", factor: 4, short_factor: [1], long_factor: [1, 1, 1, 1] } },
    /short_factor must be a list of 4.* but is \[1\]/,
  ],
  "longrope with a factor of 0": [
    "llama",
    { rope_parameters: { rope_type: "longrope", factor: 4, short_factor: [1, 1, 1, 0], long_factor: [1, 1, 1, 1] } },
    /short_factor must be a list of 4, each a number above 0.* but is \[1, 1, 1, 0\]/,
  ],
  "rope parameters per layer type": [
    "llama",
    { rope_parameters: { full_attention: { rope_type: "default" }, sliding_attention: { rope_type: "default" } } },
    /rope_parameters.full_attention is .*, but this family has the same rope parameters in all layers/,
  ],
  "Granite 4 with Mamba layers": [
    "granitemoehybrid",
    { layer_types: ["attention", "mamba"] },
    /layer_types is \["attention", ?"mamba"\], but Mamba layers are not supported\. Choose a Granite 4 model without h/,
  ],
  "Granite 4 without layer types": [
    "granitemoehybrid",
    { layer_types: undefined },
    /layer_types is missing, but Mamba/,
  ],
  "Granite 4 with experts": ["granitemoehybrid", { num_local_experts: 8 }, /num_local_experts is 8, but mixtures of/],
  "Granite 4 without a number of experts": [
    "granitemoehybrid",
    { num_local_experts: undefined },
    /num_local_experts is missing, but mixtures of experts are not supported/,
  ],
  "Gemma 3 with images and no decoder": ["gemma3", { text_config: undefined }, /text_config is missing/],
  "an encoder inside Gemma 3": [
    "gemma3",
    { text_config: { use_bidirectional_attention: true } },
    /text_config.use_bidirectional_attention is true, but attention to later positions/,
  ],
  "Gemma 3 with local angles of a theta of 0": [
    "gemma3_text",
    { rope_local_base_freq: 0 },
    /rope_local_base_freq must/,
  ],
  "layer types for another number of layers": [
    "gemma2",
    { layer_types: ["full_attention"] },
    /layer_types must be a list of 2.* but is \["full_attention"\]/,
  ],
  "an unknown layer type": [
    "gemma2",
    { layer_types: ["full_attention", "linear_attention"] },
    /layer_types must be a list of 2, each one of.* but is .*/,
  ],
  "windows without a size": [
    "smollm3",
    { layer_types: ["full_attention", "sliding_attention"] },
    /layer_types is .*, but sliding_window is missing/,
  ],
  "a window of 0": ["gemma2", { sliding_window: 0 }, /sliding_window must be .* but is 0/],
  "a soft cap of 0": ["gemma2", { attn_logit_softcapping: 0 }, /attn_logit_softcapping must be .* but is 0/],
  "rope layers for another number of layers": [
    "smollm3",
    { no_rope_layers: [1, 1, 0] },
    /must be a list of 2, each 0 or 1/,
  ],
  "rope layers that are neither 0 nor 1": ["smollm3", { no_rope_layers: [1, 2] }, /must be a list of 2, each 0 or 1/],
  "an interval of rope layers of 0": [
    "smollm3",
    { no_rope_layer_interval: 0 },
    /no_rope_layer_interval must be .* but is 0/,
  ],
  "attention types for another number of layers": [
    "gpt_neo",
    { attention_types: [[["global"], 5]] },
    /attention_types is .*, but must expand to .* for 2 layers/,
  ],
  "attention types repeated a billion times": [
    "gpt_neo",
    { attention_types: [[["global"], 1e9]] },
    /attention_types is .*, but must expand to .* for 2 layers/,
  ],
  "unknown attention types": ["gpt_neo", { attention_types: [[["far"], 2]] }, /must expand to .* for 2 layers/],
  "attention types that are a string": ["gpt_neo", { attention_types: "global" }, /must expand to .* for 2 layers/],
  "cross-attention": ["gpt2", { add_cross_attention: true }, /add_cross_attention is true, but cross-attention/],
  "an encoder": ["llama", { is_encoder_decoder: true }, /encoder-decoder models are not supported/],
  ALiBi: ["llama", { alibi: true }, /ALiBi positions are not supported/],
  "a mixture of experts": ["llama", { num_local_experts: 8 }, /mixtures of experts are not supported/],
  "attention to later positions": ["gemma2", { use_bidirectional_attention: true }, /attention to later positions/],
  "attention sinks": ["llama", { attention_sinks: 4 }, /attention sinks are not supported/],
  "an unsupported quantization method": [
    "llama",
    { quantization_config: { quant_method: "gptq", bits: 4 } },
    /quantization_config\.quant_method is "gptq", and such weights are not supported\. Choose the unquantized model/,
  ],
  "a quantization config that is a string": [
    "llama",
    { quantization_config: "int8" },
    /quantization_config is not a JSON object/,
  ],
  "a missing field of a Decoder Lab model": ["decoder_lab", { dMlp: undefined }, /dMlp must be .* but is missing/],
  "a missing flag of a Decoder Lab model": [
    "decoder_lab",
    { tiedHead: undefined },
    /tiedHead must be .* but is missing/,
  ],
  "an unknown norm of a Decoder Lab model": [
    "decoder_lab",
    { norm: "sandwich" },
    /norm must be one of pre.* but is "sandwich"/,
  ],
  "a null epsilon of a Decoder Lab model": ["decoder_lab", { normEps: null }, /normEps must be .* but is empty/],
};

/** One line that starts with the file and says what to do. */
const oneLine = /^config\.json: [^\n]{10,420}\. [A-Z][^\n]*\.$/;

describe("an invalid config.json is rejected with advice", () => {
  test.each(Object.entries(MALFORMED))("%s", (_, [family, changes, message]) => {
    const read = (json: unknown) => familyOf(json, "config.json").config(json, "config.json");
    expect(() => read(GOOD[family])).not.toThrow();
    const error = errorOf(() => read(JSON.parse(JSON.stringify({ ...GOOD[family], ...changes }))));
    expect(error).toBeInstanceOf(EngineError);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(oneLine);
  });

  test.each([
    null,
    [],
    "gpt2",
    7,
    {},
    { model_type: null },
    { model_type: ["gpt2"] },
    { model_type: "t5" },
    { model_type: "toString" },
    { model_type: "x".repeat(100_000) },
  ])("an unknown model: %#", (json) => {
    const error = errorOf(() => familyOf(json, "config.json"));
    expect(error).toBeInstanceOf(EngineError);
    expect(error.message.length).toBeLessThan(400);
    expect(error.message).toMatch(oneLine);
    for (const modelType of knownModelTypes) expect(error.message).toContain(modelType);
  });
});

/** Values that may replace any other. */
const STRANGE: readonly unknown[] = [
  null,
  0,
  -1,
  3,
  1e9,
  1e300,
  0.5,
  true,
  false,
  "",
  "silu",
  "\u0000\n",
  [],
  [[]],
  [null],
  {},
  { rope_type: "yarn", factor: 1e6 },
  { rope_type: "linear", factor: "4" },
  { full_attention: 1 },
];

test("a randomly changed config.json is either read or rejected with advice", () => {
  const variants = Object.values(VARIANTS).flat();
  let rejected = 0;
  for (let i = 0; i < 4000; i++) {
    const draws = random(1, "config", i);
    const among = <T>(values: readonly T[]) => values[draws.below(values.length)] as T;
    const json = JSON.parse(readFileSync(join(ARCHITECTURES, among(variants), "config.json"), "utf8"));
    for (let changes = 1 + draws.below(2); changes > 0; changes--) {
      const [name, value] = [among(Object.keys(json)), among(STRANGE)];
      if (draws.below(4) === 0) delete json[name];
      else json[name] = value;
    }
    try {
      const family = familyOf(json, "config.json");
      const cfg = family.config(json, "config.json");
      // Everything that was read can be described, and every parameter has a size.
      for (const { name, shape } of paramSpecs(cfg)) {
        if (!shape.every((n) => Number.isInteger(n) && n > 0)) throw new Error(`${name} is [${shape}]`);
      }
      expect(exportNames(family, cfg).size).toBe(paramSpecs(cfg).length);
    } catch (error) {
      rejected++;
      expect(error, JSON.stringify(json)).toBeInstanceOf(EngineError);
      expect((error as Error).message).toMatch(oneLine);
    }
  }
  expect(rejected).toBeGreaterThan(1000);
  expect(rejected).toBeLessThan(3500);
}, 60_000);

describe("a config.json that is not valid JSON is rejected with advice", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "decoder-lab-config-"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test.each([
    ["an empty file", "", /config\.json is damaged: it is empty\./],
    ["half a file", '{"model_type": "gpt2", "n_em'],
    ["a web page", "<!doctype html><title>404</title>", /config\.json is a web page, not the file itself\./],
    ["bytes that are not UTF-8", Buffer.from([0xff, 0xfe, 0x00, 0x80])],
    ["a word that only JavaScript knows", '{"model_type": "gpt2", "n_embd": undefined}'],
  ] as const)("%s", async (_, content, message = /^[^\n]*config\.json is damaged: it is not valid JSON\.[^\n]*\.$/) => {
    await writeFile(join(dir, "config.json"), content);
    await expect(describeModel(dir)).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(message),
    });
  });

  test("unlimited nesting", async () => {
    await writeFile(join(dir, "config.json"), "[".repeat(100_000));
    await expect(describeModel(dir)).rejects.toThrow(/is damaged: it is nested more than 200 levels deep\./);
  });

  test("a field that is NaN, as Python writes it", async () => {
    await writeFile(join(dir, "config.json"), '{"model_type": "gpt2", "n_embd": NaN}');
    await expect(describeModel(dir)).rejects.toThrow(/n_embd must be an integer from 1 to \d+ but is not a number\./);
  });
});

function errorOf(run: () => unknown): Error {
  try {
    run();
  } catch (error) {
    return error as Error;
  }
  throw new Error("nothing was thrown");
}
