import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeModel } from "../../../src/engine/models/describe";
import { loadTokenizer } from "../../../src/engine/tokenizers";
import {
  checkGguf,
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
import { expectRejected } from "../../helpers/rejected";

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

test("a file is checked without converting it", async () => {
  const { parameters, bytes, isQuantized } = await checkGguf(golden("llama.gguf"));
  const { tensors } = await readGguf(golden("llama.gguf"));
  expect(bytes).toBe([...tensors.values()].reduce((sum, { length }) => sum + length, 0));
  expect(isQuantized).toBe(true);
  await convertGguf(golden("llama.gguf"), dir);
  expect((await describeModel(dir)).parameters).toBe(parameters);
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
async function convertBytes(bytes: Uint8Array): ReturnType<typeof convertGguf> {
  await writeFile(join(dir, "model.gguf"), bytes);
  return convertGguf(join(dir, "model.gguf"), dir);
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
    // The names of the same pattern, and those of others: see ggufPreTokenizers.test.ts.
    ["llama3", ["a", "123", "4", "Ġ", "123", "4"]],
    ["llama-v3", ["a", "123", "4", "Ġ", "123", "4"]],
    ["deepseek-llm", ["a", "1234", "Ġ", "1234"]],
    ["deepseek-coder", ["a", "1", "2", "3", "4", "Ġ", "1", "2", "3", "4"]],
    ["tekken", ["a", "1", "2", "3", "4", "Ġ", "1", "2", "3", "4"]],
    ["falcon", ["a", "123", "4", "Ġ", "123", "4"]],
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

  test.each([
    ["the older key of linear scaling", { "llama.rope.scale_linear": value.float(4) }],
    ["a factor without a type", { [scaling("factor")]: value.float(4) }],
  ])("%s", async (_, values) => {
    expect(await scalingOf(values)).toEqual({ rope_type: "linear", factor: 4 });
  });

  test.each([
    ["a factor of 1", { "llama.rope.scale_linear": value.float(1) }],
    ["a factor of 0, which stands for none", { "llama.rope.scale_linear": value.float(0) }],
    ["type none", { [scaling("type")]: value.text("none"), [scaling("factor")]: value.float(4) }],
  ])("none with %s", async (_, values) => {
    expect(await scalingOf(values)).toBeNull();
  });

  test("the newer key wins over the older one", async () => {
    const values = { "llama.rope.scale_linear": value.float(4), [scaling("factor")]: value.float(2) };
    expect(await scalingOf(values)).toEqual({ rope_type: "linear", factor: 2 });
  });

  test("yarn of the trained context, with its own limits and attention", async () => {
    const values = {
      [scaling("type")]: value.text("yarn"),
      [scaling("factor")]: value.float(8),
      [scaling("yarn_beta_fast")]: value.float(16),
      [scaling("yarn_beta_slow")]: value.float(2),
      [scaling("attn_factor")]: value.float(0.5),
    };
    expect(await scalingOf(values)).toEqual({
      rope_type: "yarn",
      factor: 8,
      original_max_position_embeddings: 8,
      beta_fast: 16,
      beta_slow: 2,
      attention_factor: 0.5 * (1 + 0.1 * Math.log(8)),
    });
  });

  test("factors of each frequency, which are not Llama 3's", async () => {
    expect(await scalingOf({ "llama.rope.scale_linear": value.float(2) }, [1, 2, 3, 4])).toEqual({
      rope_type: "longrope",
      short_factor: [2, 4, 6, 8],
      long_factor: [2, 4, 6, 8],
      original_max_position_embeddings: 8,
      attention_factor: 1,
    });
  });

  test("longrope with its short and long factors", async () => {
    const names = ["rope_factors_long.weight", "rope_factors_short.weight"];
    const bytes = ggufFile({
      values: {
        ...llamaValues,
        [scaling("type")]: value.text("longrope"),
        [scaling("original_context_length")]: value.uint(4),
        [scaling("attn_factor")]: value.float(1.5),
      },
      infos: [
        ...llamaInfos,
        ...names.map((name, i) => info({ name, dims: [4], type: 0, offset: LLAMA_DATA + 32 * i })),
      ],
      data: LLAMA_DATA + 64,
    });
    for (let i = 0; i < 4; i++) {
      bytes.writeFloatLE(i + 5, bytes.length - 64 + 4 * i);
      bytes.writeFloatLE(i + 1, bytes.length - 32 + 4 * i);
    }
    await convertBytes(bytes);
    expect((await readJson("config.json")).rope_scaling).toEqual({
      rope_type: "longrope",
      short_factor: [1, 2, 3, 4],
      long_factor: [5, 6, 7, 8],
      original_max_position_embeddings: 4,
      attention_factor: 1.5,
    });
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

const tokenizerValues = (values: Readonly<Record<string, string>>) => ({
  ...llamaValues,
  ...Object.fromEntries(Object.entries(values).map(([key, content]) => [`tokenizer.ggml.${key}`, content])),
});
const convertVocabulary = (values: Readonly<Record<string, string>>) =>
  convertBytes(ggufFile({ values: tokenizerValues(values), infos: llamaInfos, data: LLAMA_DATA }));

describe("a special token that is not in the vocabulary is ignored, with a note:", () => {
  test.each([
    ["padding_token_id", value.uint(4), "4"],
    ["padding_token_id", value.uint(2 ** 32 - 1), "4294967295"],
    ["padding_token_id", value.int(-1), "-1"],
    ["padding_token_id", value.long(2n ** 64n - 1n), "more than 999,999,999,999,999"],
    ["bos_token_id", value.uint(32000), "32000"],
    ["eos_token_id", value.uint(32000), "32000"],
    ["eos_token_id", value.float(1.5), "1.5"],
    ["unknown_token_id", value.uint(5), "5"],
    ["eot_token_id", value.uint(9), "9"],
    ["eom_token_id", value.int(-1), "-1"],
    ["fim_sep_token_id", value.uint(9), "9"],
    ["fim_pre_token_id", value.uint(9), "9"],
    ["mask_token_id", value.uint(2 ** 32 - 1), "4294967295"],
  ])("%s %s", async (key, id, shown) => {
    const { notes } = await convertVocabulary({ [key]: id });
    expect(notes).toEqual([`${key} ${shown} is ignored, because the vocabulary has 4 tokens.`]);
    // The defaults of SentencePiece apply.
    expect(await readJson("config.json")).toMatchObject({ bos_token_id: 1, eos_token_id: 2 });
    const files = await readJson("tokenizer_config.json");
    expect(files).toMatchObject({ bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" });
    expect(files).not.toHaveProperty("pad_token");
  });
});

describe("a generation ends", () => {
  const four = (...tokens: string[]) => ({ tokens: value.texts(["<unk>", ...tokens]) });
  const endsOf = async (values: Readonly<Record<string, string>>): Promise<unknown> => {
    await convertVocabulary(values);
    const names = await readdir(dir);
    if (!names.includes("generation_config.json")) return [(await readJson("config.json")).eos_token_id];
    return (await readJson("generation_config.json")).eos_token_id;
  };
  test.each<[string, Readonly<Record<string, string>>, number[]]>([
    ["at EOS alone", {}, [2]],
    ["at the end of a turn", { eot_token_id: value.uint(3) }, [2, 3]],
    ["at the end of a message", { eom_token_id: value.uint(3) }, [2, 3]],
    ["between files", { fim_sep_token_id: value.uint(3) }, [2, 3]],
    ["at padding of code", { fim_pad_token_id: value.uint(3) }, [2, 3]],
    ["before another repository", { fim_rep_token_id: value.uint(3) }, [2, 3]],
    ["at <|eot_id|>, which only the vocabulary names", four("a", "b", "<|eot_id|>"), [2, 3]],
    ["at <|im_end|>", four("a", "</s>", "<|im_end|>"), [2, 3]],
    ["at <end_of_turn>", four("a", "b", "<end_of_turn>"), [2, 3]],
    ["at <|end|>", four("a", "b", "<|end|>"), [2, 3]],
    ["at </s> beside another EOS", { ...four("</s>", "<|im_end|>", "a"), eos_token_id: value.uint(2) }, [1, 2]],
    ["at <|file_sep|>", four("a", "b", "<|file_sep|>"), [2, 3]],
    ["after all messages of gpt-oss", { ...four("<|end|>", "<|return|>", "<|call|>") }, [2, 3]],
    ["at <|tool_response>, but not at </s>", { ...four("a", "</s>", "<|tool_response>") }, [3]],
  ])("%s", async (_, values, expected) => {
    expect(await endsOf(values)).toEqual(expected);
  });

  test("at a token that the file does not mark as special, which is special then", async () => {
    await convertVocabulary({ ...four("a", "b", "<|im_end|>"), token_type: value.ints([2, 1, 1, 1]) });
    const { added_tokens } = await readJson("tokenizer.json");
    expect(added_tokens).toMatchObject([{ id: 0 }, { id: 3, content: "<|im_end|>", special: true }]);
  });
});

test("a token that begins with a byte order mark keeps it", async () => {
  await convertVocabulary({ tokens: value.texts(["<unk>", "a", "\ufeffa", "b"]) });
  expect((await readJson("tokenizer.json")).model.vocab).toEqual({ "<unk>": 0, a: 1, "\ufeffa": 2, b: 3 });
});

test("empty tokens get names, as in llama.cpp", async () => {
  await convertVocabulary({ tokens: value.texts(["", "<s>", "</s>", ""].slice(0, 3).concat("a")) });
  expect((await readJson("tokenizer.json")).model.vocab).toMatchObject({ "[EMPTY_0]": 0, a: 3 });
});

describe("tensors that the model does not use are ignored, with a note:", () => {
  test.each([
    ["blk.1.attn_q.weight", "the model has 1 layers"],
    ["blk.0.attn_rot_embd.weight", "rotary frequencies follow from the metadata"],
  ])("%s", async (name, reason) => {
    const extra = info({ name, dims: [32, 4], type: 0, offset: LLAMA_DATA });
    const file = ggufFile({ values: llamaValues, infos: [...llamaInfos, extra], data: 2 * LLAMA_DATA });
    expect((await convertBytes(file)).notes).toEqual([`The tensor "${name}" is ignored: ${reason}.`]);
    expect([...(await openStored(dir)).keys()]).toEqual(["model.embed_tokens.weight"]);
  });
});

describe("a split model", () => {
  const norm = info({ name: "output_norm.weight", dims: [32], type: 0, offset: 0 });
  const split = (no: number, count = 2, total = 2) => ({
    "split.no": value.short(no),
    "split.count": value.short(count),
    "split.tensors.count": value.int(total),
  });
  const first = { values: { ...llamaValues, ...split(0) }, infos: llamaInfos, data: LLAMA_DATA };
  const second = { values: split(1), infos: [norm], data: 128 };
  const write = (name: string, content: Parameters<typeof ggufFile>[0]) =>
    writeFile(join(dir, name), ggufFile(content));
  const [one, two] = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"] as const;
  const convert = (name: string) => convertGguf(join(dir, name), join(dir, "out"));

  test.each([one, two])("is opened from %s", async (name) => {
    await write(one, first);
    await write(two, second);
    await convert(name);
    expect([...(await openStored(join(dir, "out"))).keys()].sort()).toEqual([
      "model.embed_tokens.weight",
      "model.norm.weight",
    ]);
  });

  test("of one part is opened under any name", async () => {
    await write("any", { ...first, values: { ...llamaValues, ...split(0, 1, 1) } });
    await convert("any");
    expect(await readdir(join(dir, "out"))).toContain("model.safetensors");
  });

  test.each<[string, string, () => Promise<unknown>, RegExp]>([
    [
      "without its second part",
      one,
      () => write(one, first),
      /is part 1 of 2, and "m-00002-of-00002\.gguf" is missing/,
    ],
    [
      "without its first part",
      two,
      () => write(two, second),
      /is part 2 of 2, and "m-00001-of-00002\.gguf" is missing/,
    ],
    [
      "of five parts without four",
      "m-00001-of-00005.gguf",
      () => write("m-00001-of-00005.gguf", { ...first, values: { ...llamaValues, ...split(0, 5) } }),
      /part 1 of 5, and "m-00002-of-00005\.gguf", "m-00003-of-00005\.gguf", "m-00004-of-00005\.gguf" and 1 more are missing/,
    ],
    ["under another name", "m.gguf", () => write("m.gguf", first), /is part 1 of 2, but its name does not end in /],
    ["under the name of another part", two, () => write(two, first), /is part 1 of 2, but its name does not end in /],
    [
      "of 65,535 parts",
      "m.gguf",
      () => write("m.gguf", { ...first, values: { ...llamaValues, ...split(0, 65_535) } }),
      /is part 1 of 65535, but its name/,
    ],
  ])("%s is refused", async (_, name, make, message) => {
    await make();
    await expectRejected(() => convert(name), message);
  });

  test.each<[string, Partial<Parameters<typeof ggufFile>[0]>, RegExp]>([
    ["is the first part of another", { values: split(0) }, /"m-00002-of-00002\.gguf" belongs to another model/],
    ["has another number of parts", { values: split(1, 3) }, /"m-00002-of-00002\.gguf" belongs to another model/],
    ["has another number of tensors", { values: split(1, 2, 9) }, /"m-00002-of-00002\.gguf" belongs to another model/],
    ["is not split", { values: {} }, /"m-00002-of-00002\.gguf" belongs to another model/],
    [
      "has another architecture",
      { values: { ...split(1), "general.architecture": value.text("gpt2") } },
      /"m-00002-of-00002\.gguf" belongs to another model/,
    ],
    ["repeats a tensor", { infos: llamaInfos, data: LLAMA_DATA }, /two parts contain the tensor "token_embd\.weight"/],
    ["lacks a tensor", { infos: [], data: 0 }, /its parts have 1 tensors, but 2 belong to the model/],
    ["is another format", { magic: "GGML" }, /m-00002-of-00002\.gguf is damaged: it is not a GGUF file/],
  ])("whose second part %s is refused", async (_, change, message) => {
    await write(one, first);
    await write(two, { ...second, ...change });
    await expectRejected(() => convert(one), message);
  });
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
