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

/** Small models that are well, to be spoilt field by field. */
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

type Spoilt = readonly [family: keyof typeof GOOD, changes: object, message: RegExp];

const MALFORMED: Readonly<Record<string, Spoilt>> = {
  "no layers": ["gpt2", { n_layer: 0 }, /n_layer is 0, which is not a whole number from 1 to/],
  "fewer than no layers": ["llama", { num_hidden_layers: -2 }, /num_hidden_layers is -2, which is not/],
  "half a layer": ["llama", { num_hidden_layers: 2.5 }, /num_hidden_layers is 2.5, which is not a whole number/],
  "a million layers": [
    "llama",
    { num_hidden_layers: 1_000_000 },
    /layers is 1000000, which is not a whole number from 1 to 1000;/,
  ],
  "a million layers with windows": [
    "gemma2",
    { num_hidden_layers: 1_000_000 },
    /layers is 1000000, which is not a whole number from 1 to 1000;/,
  ],
  "a million layers without rotation": [
    "smollm3",
    { num_hidden_layers: 1_000_000 },
    /layers is 1000000, which is not a whole number from 1 to 1000;/,
  ],
  "a million layers by turns": [
    "gpt_neo",
    { num_layers: 1_000_000 },
    /layers is 1000000, which is not a whole number from 1 to 1000;/,
  ],
  "a million layers in a pattern": [
    "gpt_neo",
    { num_layers: 1_000_000, attention_types: [[["global"], 1_000_000]] },
    /layers is 1000000, which is not a whole number from 1 to 1000;/,
  ],
  "a width beyond all memory": ["gpt2", { n_embd: 1e12 }, /n_embd is 1000000000000, which is not a whole number/],
  "a width beyond all numbers": ["llama", { hidden_size: 1e300 }, /hidden_size is 1e\+300, which is not/],
  "more parameters than can be": [
    "llama",
    { hidden_size: 1 << 23, num_hidden_layers: 999, intermediate_size: 1 << 24 },
    /more than a million million parameters/,
  ],
  "heads wider than all memory together": [
    "llama",
    { head_dim: 1 << 20, num_attention_heads: 1 << 20, num_key_value_heads: 1 },
    /heads are 1099511627776 wide together/,
  ],
  "a width in words": ["opt", { hidden_size: "768" }, /hidden_size is "768", which is not/],
  "a width in a list": ["opt", { hidden_size: [768] }, /hidden_size is \[768\], which is not/],
  "a width that is null": ["opt", { hidden_size: null }, /hidden_size is null, which is not/],
  "a vocabulary of nothing": ["gpt2", { vocab_size: 0 }, /vocab_size is 0/],
  "a vocabulary that is true": ["gpt2", { vocab_size: true }, /vocab_size is true/],
  "a context of nothing": ["gpt2", { n_positions: 0 }, /n_positions is 0/],
  "a context that is an object": ["llama", { max_position_embeddings: {} }, /max_position_embeddings is \{\}/],
  "an MLP of negative width": ["gpt2", { n_inner: -1 }, /n_inner is -1/],
  "a projection of no width": ["opt", { word_embed_proj_dim: 0 }, /word_embed_proj_dim is 0/],
  "heads that do not share the width": ["gpt2", { n_head: 5 }, /32 cannot be divided among 5 heads/],
  "more heads than width": ["llama", { num_attention_heads: 64 }, /32 cannot be divided among 64 heads/],
  "keys that queries cannot share": ["llama", { num_key_value_heads: 3 }, /4 heads of queries cannot share 3/],
  "more keys than queries": ["llama", { num_key_value_heads: 8 }, /4 heads of queries cannot share 8/],
  "no heads of keys": ["llama", { num_key_value_heads: 0 }, /num_key_value_heads is 0/],
  "a head of no width": ["llama", { head_dim: 0 }, /head_dim is 0/],
  "an odd number of rotated dimensions": ["phi", { partial_rotary_factor: 0.2 }, /3 of each head's 16 dimensions/],
  "no rotated dimensions": ["gpt_neox", { rotary_pct: 0 }, /0 of each head's 16 dimensions/],
  "more rotated dimensions than there are": ["phi", { partial_rotary_factor: 1.5 }, /partial_rotary_factor is 1.5/],
  "an unknown activation": ["llama", { hidden_act: "mish" }, /hidden_act is "mish", which is not one of relu, gelu/],
  "an activation that every object has": ["llama", { hidden_act: "constructor" }, /hidden_act is "constructor"/],
  "an activation that is a number": ["gpt2", { activation_function: 7 }, /activation_function is 7/],
  "an epsilon in words": ["llama", { rms_norm_eps: "1e-5" }, /rms_norm_eps is "1e-5"/],
  "a negative epsilon": ["gpt2", { layer_norm_epsilon: -1 }, /layer_norm_epsilon is -1/],
  "a flag in words": ["llama", { tie_word_embeddings: "yes" }, /tie_word_embeddings is "yes", which is not true or/],
  "a flag that is a number": ["opt", { do_layer_norm_before: 1 }, /do_layer_norm_before is 1/],
  "GPT-2 with a head of its own": ["gpt2", { tie_word_embeddings: false }, /a head of its own is not supported/],
  "a theta of nothing": ["llama", { rope_theta: 0 }, /rope_theta is 0/],
  "an unknown rope type": ["llama", { rope_scaling: { rope_type: "mrope" } }, /rope_scaling.rope_type is "mrope"/],
  "a rope type that every object has": ["llama", { rope_scaling: { type: "toString" } }, /rope_scaling.type is/],
  "a rope scaling in words": ["llama", { rope_scaling: "linear" }, /rope_scaling is not a JSON object/],
  "a rope scaling in a list": ["llama", { rope_scaling: [] }, /rope_scaling is not a JSON object/],
  "a rope scaling without its factor": [
    "llama",
    { rope_scaling: { type: "linear" } },
    /rope_scaling.factor is missing, which rope type linear needs/,
  ],
  "a rope factor of nothing": ["llama", { rope_scaling: { type: "dynamic", factor: 0 } }, /rope_scaling.factor is 0/],
  "llama3 scaling without its bands": [
    "llama",
    { rope_scaling: { rope_type: "llama3", factor: 8 } },
    /low_freq_factor is missing/,
  ],
  "an original context of nothing": [
    "llama",
    { rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 0 } },
    /original_max_position_embeddings is 0/,
  ],
  "longrope without its factors": [
    "llama",
    { rope_scaling: { rope_type: "longrope", factor: 4 } },
    /short_factor is missing, which rope type longrope needs/,
  ],
  "longrope with too few factors": [
    "llama",
    { rope_parameters: { rope_type: "longrope", factor: 4, short_factor: [1], long_factor: [1, 1, 1, 1] } },
    /short_factor is \[1\], which is not a list of 4/,
  ],
  "longrope with factors of nothing": [
    "llama",
    { rope_parameters: { rope_type: "longrope", factor: 4, short_factor: [1, 1, 1, 0], long_factor: [1, 1, 1, 1] } },
    /short_factor is \[1,1,1,0\], which is not a list of 4, each a number above 0/,
  ],
  "rope by type of layer": [
    "llama",
    { rope_parameters: { full_attention: { rope_type: "default" }, sliding_attention: { rope_type: "default" } } },
    /rope_parameters.full_attention is .*, but rope that differs by layer is not supported/,
  ],
  "layer types for another number of layers": [
    "gemma2",
    { layer_types: ["full_attention"] },
    /layer_types is \["full_attention"\], which is not a list of 2/,
  ],
  "an unknown layer type": [
    "gemma2",
    { layer_types: ["full_attention", "linear_attention"] },
    /layer_types is .*, which is not a list of 2, each one of/,
  ],
  "windows without a width": [
    "smollm3",
    { layer_types: ["full_attention", "sliding_attention"] },
    /layer_types is .*, but no sliding_window is given/,
  ],
  "a window of nothing": ["gemma2", { sliding_window: 0 }, /sliding_window is 0/],
  "a soft cap of nothing": ["gemma2", { attn_logit_softcapping: 0 }, /attn_logit_softcapping is 0/],
  "rope layers for another number of layers": [
    "smollm3",
    { no_rope_layers: [1, 1, 0] },
    /not a list of 2, each 0 or 1/,
  ],
  "rope layers that are neither": ["smollm3", { no_rope_layers: [1, 2] }, /not a list of 2, each 0 or 1/],
  "no interval of rope layers": ["smollm3", { no_rope_layer_interval: 0 }, /no_rope_layer_interval is 0/],
  "attention types for another number of layers": [
    "gpt_neo",
    { attention_types: [[["global"], 5]] },
    /attention_types is .*, which does not give 2 layers/,
  ],
  "attention types a billion times": [
    "gpt_neo",
    { attention_types: [[["global"], 1e9]] },
    /attention_types is .*, which does not give 2 layers/,
  ],
  "attention types that are none": ["gpt_neo", { attention_types: [[["far"], 2]] }, /does not give 2 layers/],
  "attention types in words": ["gpt_neo", { attention_types: "global" }, /does not give 2 layers/],
  "cross-attention": ["gpt2", { add_cross_attention: true }, /add_cross_attention is true, but cross-attention/],
  "an encoder": ["llama", { is_encoder_decoder: true }, /encoder-decoder models are not supported/],
  ALiBi: ["llama", { alibi: true }, /ALiBi positions are not supported/],
  "a mixture of experts": ["llama", { num_local_experts: 8 }, /mixtures of experts are not supported/],
  "attention to later positions": ["gemma2", { use_bidirectional_attention: true }, /attention to later positions/],
  "attention sinks": ["llama", { attention_sinks: 4 }, /attention sinks are not supported/],
  "weights quantized by other means": [
    "llama",
    { quantization_config: { quant_method: "gptq", bits: 4 } },
    /quantization_config is .*gptq.*, which is not supported; choose the model's unquantized files/,
  ],
  "a quantization in words": ["llama", { quantization_config: "int8" }, /quantization_config is not a JSON object/],
  "a field of ours missing": ["decoder_lab", { dMlp: undefined }, /dMlp is missing/],
  "a flag of ours missing": ["decoder_lab", { tiedHead: undefined }, /tiedHead is missing/],
  "a norm that is none of ours": ["decoder_lab", { norm: "sandwich" }, /norm is "sandwich", which is not one of pre/],
  "an epsilon of ours that is null": ["decoder_lab", { normEps: null }, /normEps is null/],
};

/** One sentence in one line, which begins with the file. */
const oneSentence = /^config\.json: [^\n]{10,420}\.$/;

describe("a config.json that makes no sense is refused in one sentence", () => {
  test.each(Object.entries(MALFORMED))("%s", (_, [family, changes, message]) => {
    const read = (json: unknown) => familyOf(json, "config.json").config(json, "config.json");
    expect(() => read(GOOD[family])).not.toThrow();
    const error = errorOf(() => read(JSON.parse(JSON.stringify({ ...GOOD[family], ...changes }))));
    expect(error).toBeInstanceOf(EngineError);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(oneSentence);
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
  ])("a model that is none of the known: %#", (json) => {
    const error = errorOf(() => familyOf(json, "config.json"));
    expect(error).toBeInstanceOf(EngineError);
    expect(error.message.length).toBeLessThan(400);
    expect(error.message).toMatch(oneSentence);
    for (const modelType of knownModelTypes) expect(error.message).toContain(modelType);
  });
});

/** What may stand in the place of any value. */
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

test("a config.json that was changed at random is read, or refused in one sentence", () => {
  const variants = Object.values(VARIANTS).flat();
  let refused = 0;
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
      // What was read can be described, and a parameter is never without a size.
      for (const { name, shape } of paramSpecs(cfg)) {
        if (!shape.every((n) => Number.isInteger(n) && n > 0)) throw new Error(`${name} is [${shape}]`);
      }
      expect(exportNames(family, cfg).size).toBe(paramSpecs(cfg).length);
    } catch (error) {
      refused++;
      expect(error, JSON.stringify(json)).toBeInstanceOf(EngineError);
      expect((error as Error).message).toMatch(oneSentence);
    }
  }
  expect(refused).toBeGreaterThan(1000);
  expect(refused).toBeLessThan(3500);
}, 60_000);

describe("a config.json that is not JSON is refused in one sentence", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "decoder-lab-config-"));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  test.each([
    ["an empty file", ""],
    ["half a file", '{"model_type": "gpt2", "n_em'],
    ["a page", "<!doctype html><title>404</title>"],
    ["nesting without end", "[".repeat(100_000)],
    ["bytes that are no text", Buffer.from([0xff, 0xfe, 0x00, 0x80])],
    ["NaN, as Python writes it", '{"model_type": "gpt2", "n_embd": NaN}'],
  ])("%s", async (_, content) => {
    await writeFile(join(dir, "config.json"), content);
    await expect(describeModel(dir)).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(/^[^\n]*config\.json is damaged \(it is not JSON\)[^\n]*\.$/),
    });
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
