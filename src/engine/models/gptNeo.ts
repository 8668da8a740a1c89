/** GPT-Neo (Black et al., 2021): GPT-2 with a local attention window in every other layer. */

import { PLAIN } from "../nn/config";
import { activationOf, type Fields, layers } from "./config";
import { defineFamily } from "./family";

export const gptNeo = defineFamily({
  modelType: "gpt_neo",
  className: "GPTNeo",

  config(hf) {
    const [dModel, nHeads] = [hf.count("hidden_size", 2048), hf.count("num_heads", 16)];
    const nLayers = hf.layerCount("num_layers", 24);
    const window = hf.count("window_size", 256);
    return {
      ...PLAIN,
      vocabSize: hf.count("vocab_size", 50257),
      nCtx: hf.count("max_position_embeddings", 2048),
      nLayers,
      nHeads,
      nKvHeads: nHeads,
      dModel,
      dHead: dModel / nHeads,
      dMlp: hf.countOrNull("intermediate_size", null) ?? 4 * dModel,
      dEmbed: dModel,
      weightLayout: "outIn",
      qkv: "separate",
      positions: { kind: "learned", offset: 0 },
      norm: "pre",
      normKind: "layer",
      normEps: hf.number("layer_norm_epsilon", 1e-5, [0, 1]),
      normScale: true,
      normBias: true,
      finalNorm: true,
      activation: activationOf(hf, "activation_function", "gelu_new"),
      gatedMlp: false,
      attentionBias: false,
      outBias: true,
      mlpBias: true,
      // Scores are not divided by sqrt(dHead); the initialization accounted for that.
      attentionScale: 1,
      windows: attentionTypes(hf, nLayers).map((type) => (type === "local" ? window : null)),
      tiedHead: hf.flag("tie_word_embeddings", true),
      headBias: false,
    };
  },

  prefix: "transformer.",
  otherPrefixes: [""],
  names: {
    "embed.tokens": "wte",
    "embed.positions": "wpe",
    "blocks.{l}.ln1": "h.{l}.ln_1",
    "blocks.{l}.k": "h.{l}.attn.attention.k_proj",
    "blocks.{l}.v": "h.{l}.attn.attention.v_proj",
    "blocks.{l}.q": "h.{l}.attn.attention.q_proj",
    "blocks.{l}.o": "h.{l}.attn.attention.out_proj",
    "blocks.{l}.ln2": "h.{l}.ln_2",
    "blocks.{l}.fc": "h.{l}.mlp.c_fc",
    "blocks.{l}.proj": "h.{l}.mlp.c_proj",
    "blocks.{l}.activation": "h.{l}.mlp.act",
    lnFinal: "ln_f",
    head: "lm_head",
  },
  buffers: {
    "h.{l}.attn.attention.bias": "the causal mask",
    "h.{l}.attn.attention.masked_bias": "the score of masked positions",
  },
  classes: {
    transformer: "Model",
    h: "ModuleList",
    "{l}": "Block",
    attn: "Attention",
    attention: "SelfAttention",
    mlp: "MLP",
  },
});

type AttentionType = "global" | "local";
const isAttentionType = (value: unknown): value is AttentionType => value === "global" || value === "local";

/** Attention type of each layer. `[[["global", "local"], 12]]` expands to 24 layers. */
function attentionTypes(hf: Fields, nLayers: number): readonly AttentionType[] {
  const given = hf.raw("attention_types");
  if (given === undefined) {
    const types = hf.list("attention_layers", nLayers, 'one of "global", "local"', isAttentionType);
    return types ?? layers(nLayers).map((l) => (l % 2 === 0 ? "global" : "local"));
  }
  const wrong = () =>
    hf.reject("attention_types", `but must expand to "global" or "local" for ${nLayers} layers. Choose another model`);
  if (!Array.isArray(given)) return wrong();
  const types = given.flatMap((entry: unknown) => {
    const [pattern, times] = Array.isArray(entry) ? entry : [];
    const fits =
      Array.isArray(pattern) &&
      pattern.every(isAttentionType) &&
      Number.isInteger(times) &&
      times >= 0 &&
      times <= nLayers;
    return fits ? Array.from({ length: times }, () => pattern as AttentionType[]).flat() : wrong();
  });
  return types.length === nLayers ? types : wrong();
}
