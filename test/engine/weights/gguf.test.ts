import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadTokenizer } from "../../../src/engine/tokenizers";
import {
  convertGguf,
  dequantize,
  openStored,
  readGguf,
  readStored,
  readStoredBytes,
  readTensors,
  type StoredTensor,
  type StoredTensors,
} from "../../../src/engine/weights";
import { ggufFile, info, LLAMA_DATA, llamaInfos, llamaValues, value } from "../../helpers/ggufFiles";
import { u32 } from "../../helpers/pickles";

// Files written by llama.cpp's Python package, with their expected content: test/golden/make_gguf.py.
const golden = (name: string) => fileURLToPath(new URL(`../../golden/checkpoints/${name}`, import.meta.url));

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "gguf-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const readJson = async (name: string) => JSON.parse(await readFile(join(dir, name), "utf8"));

/** The values of a tensor in the layout of the Hub: inputs first if `inputsFirst`, unlike in quantized blocks. */
async function valuesOf(tensors: StoredTensors, tensor: StoredTensor, inputsFirst: boolean): Promise<Float32Array> {
  const scales = tensors.get(`${tensor.name}.scales`);
  if (!scales) return readStored(tensor);
  const [rows, blocks, bytes] = tensor.shape as [number, number, number];
  const quantized = { codes: await readStoredBytes(tensor), scales: await readStored(scales) };
  const values = dequantize(quantized, bytes === 32 ? 8 : 4);
  const width = blocks * 32;
  return inputsFirst ? values.map((_, i) => values[(i % rows) * width + Math.floor(i / rows)]!) : values;
}

describe.each(["llama", "gpt2"])("%s.gguf", (name) => {
  test("becomes a folder with every tensor of the Hub, bit for bit", async () => {
    await convertGguf(golden(`${name}.gguf`), dir);
    const tensors = await openStored(dir);
    const expected = await readTensors(golden(`${name}-expected.safetensors`));
    const names = [...tensors.keys()].filter((key) => !key.endsWith(".scales"));
    expect(new Set(names)).toEqual(new Set(expected.keys()));
    for (const [key, { shape, data }] of expected) {
      const tensor = tensors.get(key)!;
      if (tensor.dtype !== "U8") expect(tensor.shape, key).toEqual(shape);
      const values = await valuesOf(tensors, tensor, name === "gpt2" && /c_\w+\.weight$/.test(key));
      expect(values, key).toEqual(data);
    }
    expect((await readdir(dir)).sort()).toEqual([
      "config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
  });
});

test("quantized tensors stay quantized, and others keep their type", async () => {
  await convertGguf(golden("llama.gguf"), dir);
  const tensors = await openStored(dir);
  expect(tensors.get("model.embed_tokens.weight")).toMatchObject({ dtype: "U8", shape: [20, 1, 32] });
  expect(tensors.get("model.layers.0.self_attn.q_proj.weight")).toMatchObject({ dtype: "U8", shape: [32, 1, 16] });
  expect(tensors.get("model.layers.0.mlp.up_proj.weight")).toMatchObject({ dtype: "BF16", shape: [64, 32] });
  expect(tensors.get("lm_head.weight")).toMatchObject({ dtype: "F16", shape: [20, 32] });
});

test("a llama gets its configuration", async () => {
  await convertGguf(golden("llama.gguf"), dir);
  expect(await readJson("config.json")).toEqual({
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: 32,
    intermediate_size: 64,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 16,
    vocab_size: 20,
    max_position_embeddings: 16,
    rms_norm_eps: expect.closeTo(1e-5, 10),
    rope_theta: 10000,
    rope_scaling: null,
    hidden_act: "silu",
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: false,
    bos_token_id: 1,
    eos_token_id: 2,
    quantization_config: { quant_method: "decoder_lab", bits: 4 },
  });
});

test("a GPT-2 gets its configuration", async () => {
  await convertGguf(golden("gpt2.gguf"), dir);
  expect(await readJson("config.json")).toMatchObject({
    model_type: "gpt2",
    n_embd: 32,
    n_inner: 64,
    n_layer: 1,
    n_head: 2,
    n_positions: 16,
    vocab_size: 15,
    activation_function: "gelu_new",
    tie_word_embeddings: true,
  });
});

test("a SentencePiece vocabulary gets merges from its scores, byte fallback and BOS", async () => {
  await convertGguf(golden("llama.gguf"), dir);
  const { model, added_tokens, post_processor } = await readJson("tokenizer.json");
  expect(model.merges).toEqual([
    ["▁", "t"],
    ["h", "e"],
    ["▁t", "he"],
    ["▁", "the"],
    ["▁", "a"],
    ["o", "n"],
    ["▁", "on"],
    ["t", "he"],
  ]);
  expect(model).toMatchObject({ type: "BPE", byte_fallback: true, unk_token: "<unk>" });
  expect(added_tokens.map(({ content }: { content: string }) => content)).toEqual(["<unk>", "<s>", "</s>"]);
  expect(post_processor.single[0]).toEqual({ SpecialToken: { id: "<s>", type_id: 0 } });
  expect(await readJson("tokenizer_config.json")).toMatchObject({ bos_token: "<s>", eos_token: "</s>" });
});

test("a byte-pair vocabulary keeps its merges", async () => {
  await convertGguf(golden("gpt2.gguf"), dir);
  const { model, pre_tokenizer, post_processor } = await readJson("tokenizer.json");
  expect(model.merges.slice(0, 3)).toEqual([
    ["h", "e"],
    ["Ġ", "t"],
    ["Ġt", "he"],
  ]);
  expect(pre_tokenizer).toMatchObject({ type: "ByteLevel", add_prefix_space: false, use_regex: true });
  expect(post_processor).toBeNull();
});

/** Converts the bytes of a handwritten file. */
async function convertBytes(bytes: Uint8Array): Promise<void> {
  await writeFile(join(dir, "model.gguf"), bytes);
  await convertGguf(join(dir, "model.gguf"), dir);
}

describe("the pre-tokenizer of the file is used:", () => {
  // All printable ASCII bytes, and merges that would join digits and a space.
  const bytes = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i));
  const tokens = [...bytes, "Ġ", "12", "123", "1234", "Ġ1"];
  const merges = ["Ġ 1", "1 2", "12 3", "123 4"];
  const cut = async (pre: string): Promise<string[]> => {
    const values = {
      ...llamaValues,
      "tokenizer.ggml.model": value.text("gpt2"),
      "tokenizer.ggml.pre": value.text(pre),
      "tokenizer.ggml.tokens": value.texts(tokens),
      "tokenizer.ggml.token_type": value.ints(tokens.map(() => 1)),
      "tokenizer.ggml.merges": value.texts(merges),
    };
    await convertBytes(ggufFile({ values, infos: llamaInfos, data: LLAMA_DATA }));
    return (await loadTokenizer(dir)).spans("a1234 1234").map(({ token }) => token);
  };

  test.each([
    ["gpt-2", ["a", "1234", "Ġ1", "2", "3", "4"]],
    ["default", ["a", "1234", "Ġ1", "2", "3", "4"]],
    ["llama-bpe", ["a", "123", "4", "Ġ", "123", "4"]],
    ["qwen2", ["a", "1", "2", "3", "4", "Ġ", "1", "2", "3", "4"]],
    ["smollm", ["a", "1", "2", "3", "4", "Ġ", "1", "2", "3", "4"]],
  ])("%s", async (pre, expected) => {
    expect(await cut(pre)).toEqual(expected);
  });
});

test("a SentencePiece vocabulary without a space prefix adds none", async () => {
  const values = { ...llamaValues, "tokenizer.ggml.add_space_prefix": value.bool(false) };
  await convertBytes(ggufFile({ values, infos: llamaInfos, data: LLAMA_DATA }));
  const tokenizer = await loadTokenizer(dir);
  expect(tokenizer.spans("a").map(({ token }) => token)).toEqual(["a"]);
});

describe("the scaling of positions becomes part of the configuration:", () => {
  const scalingOf = async (values: Readonly<Record<string, string>>, factors: readonly number[] = []) => {
    const freqs = info({ name: "rope_freqs.weight", dims: [factors.length], type: 0, offset: LLAMA_DATA });
    const file = ggufFile({
      values: { ...llamaValues, ...values },
      infos: factors.length > 0 ? [...llamaInfos, freqs] : llamaInfos,
      data: LLAMA_DATA + 4 * factors.length,
    });
    factors.forEach((factor, i) => {
      file.writeFloatLE(factor, file.length - 4 * (factors.length - i));
    });
    await convertBytes(file);
    return (await readJson("config.json")).rope_scaling;
  };
  const scaling = (key: string) => `llama.rope.scaling.${key}`;

  test("linear", async () => {
    const values = { [scaling("type")]: value.text("linear"), [scaling("factor")]: value.float(4) };
    expect(await scalingOf(values)).toEqual({ rope_type: "linear", factor: 4 });
  });

  test("yarn", async () => {
    const values = {
      [scaling("type")]: value.text("yarn"),
      [scaling("factor")]: value.float(8),
      [scaling("original_context_length")]: value.uint(4),
    };
    expect(await scalingOf(values)).toEqual({ rope_type: "yarn", factor: 8, original_max_position_embeddings: 4 });
  });

  test("Llama 3's, recovered from its factors, which do not become weights", async () => {
    // As computed by transformers for a head size of 64, in three ranges of wavelengths.
    const factors = Array.from({ length: 32 }, (_, i) => {
      const wavelength = 2 * Math.PI * 500_000 ** (i / 32);
      if (wavelength < 8192 / 4) return 1;
      if (wavelength > 8192 / 1) return 32;
      const smooth = (8192 / wavelength - 1) / (4 - 1);
      return 1 / ((1 - smooth) / 32 + smooth);
    });
    const values = { "llama.attention.head_count": value.uint(4), "llama.rope.freq_base": value.float(500_000) };
    const heads = Object.fromEntries(
      ["attention.key_length", "attention.value_length", "rope.dimension_count"].map((key) => [
        `llama.${key}`,
        value.uint(64),
      ]),
    );
    expect(await scalingOf({ ...values, ...heads }, factors)).toEqual({
      rope_type: "llama3",
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    });
    expect([...(await openStored(dir)).keys()]).toEqual(["model.embed_tokens.weight"]);
  });
});

test("a head that equals the embedding is dropped", async () => {
  const head = info({ name: "output.weight", dims: [32, 4], type: 0, offset: LLAMA_DATA });
  await convertBytes(ggufFile({ values: llamaValues, infos: [...llamaInfos, head], data: 2 * LLAMA_DATA }));
  expect((await readJson("config.json")).tie_word_embeddings).toBe(true);
  expect([...(await openStored(dir)).keys()]).toEqual(["model.embed_tokens.weight"]);
});

test("version 2, which has the same layout, is read", async () => {
  await convertBytes(ggufFile({ version: u32(2), values: llamaValues, infos: llamaInfos, data: LLAMA_DATA }));
  expect([...(await openStored(dir)).keys()]).toEqual(["model.embed_tokens.weight"]);
});

test("the header has the location of every tensor", async () => {
  const { tensors, values } = await readGguf(golden("llama.gguf"));
  expect(values.get("general.architecture")).toBe("llama");
  expect(tensors.get("blk.0.ffn_down.weight")).toMatchObject({ type: "Q8_0", shape: [32, 64], length: 32 * 2 * 34 });
});

test("a canceled conversion leaves nothing behind", async () => {
  const converted = convertGguf(golden("llama.gguf"), dir, { signal: AbortSignal.abort(new Error("enough")) });
  await expect(converted).rejects.toThrow("enough");
  expect(await readdir(dir)).toEqual([]);
});
