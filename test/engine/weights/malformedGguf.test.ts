import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkGguf, convertGguf } from "../../../src/engine/weights";
import { ggufFile, ggufText, info, LLAMA_DATA, llamaInfos, llamaValues, value } from "../../helpers/ggufFiles";
import { u8, u32, u64 } from "../../helpers/pickles";
import { expectRejected } from "../../helpers/rejected";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "malformed-gguf-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function convert(bytes: Uint8Array): Promise<void> {
  await writeFile(join(dir, "model.gguf"), bytes);
  await convertGguf(join(dir, "model.gguf"), join(dir, "out"));
}
const rejected = async (bytes: Uint8Array, message: RegExp) => {
  await expectRejected(() => convert(bytes), message);
  // Problems are found before anything is written.
  expect(await readdir(dir)).toEqual(["model.gguf"]);
  await expectRejected(() => checkGguf(join(dir, "model.gguf")), message);
};

const valid = { values: llamaValues, infos: llamaInfos, data: LLAMA_DATA };
const llamaWith = (values: Readonly<Record<string, string>>) =>
  ggufFile({ ...valid, values: { ...llamaValues, ...values } });
function llamaWithout(key: string): Buffer {
  const { [key]: _, ...values } = llamaValues;
  return ggufFile({ ...valid, values });
}
const graniteValues = {
  ...Object.fromEntries(
    Object.entries(llamaValues).map(([key, content]) => [key.replace("llama.", "granite."), content]),
  ),
  "general.architecture": value.text("granite"),
};
const EMBEDDING = { name: "token_embd.weight", dims: [32, 4], type: 0, offset: 0 } as const;
const embedding = (change: Partial<Parameters<typeof info>[0]>) => [info({ ...EMBEDDING, ...change })];

test("the intact file that the tests below damage is converted", async () => {
  await convert(ggufFile(valid));
  expect(await readdir(join(dir, "out"))).toContain("model.safetensors");
});

describe("an invalid header is rejected:", () => {
  const arrayOf = (type: number, count: bigint, content = "") => `${u32(9)}${u32(type)}${u64(count)}${content}`;
  test.each<[string, Buffer, RegExp]>([
    ["an empty file", Buffer.alloc(0), /is damaged: it is empty/],
    ["another format", Buffer.from("ggjt\x03\0\0\0"), /is not a GGUF file/],
    ["a web page", Buffer.from("<!doctype html><title>404</title>"), /is a web page, not the file itself/],
    ["version 1", ggufFile({ ...valid, version: u32(1) }), /its GGUF version is 1, but only 2 and 3 are supported/],
    ["version 4", ggufFile({ ...valid, version: u32(4) }), /its GGUF version is 4, but only 2 and 3 are supported/],
    ["big-endian numbers", ggufFile({ ...valid, version: u32(0x03000000) }), /it is big-endian/],
    [
      "2^64 tensors",
      ggufFile({ ...valid, infoCount: 2n ** 64n - 1n }),
      /its header claims more than 999,999,999,999,999 tensors/,
    ],
    ["a million tensors", ggufFile({ ...valid, infoCount: 1_000_000n }), /its header claims 1000000 tensors/],
    ["more tensors than fit in the file", ggufFile({ ...valid, infoCount: 90_000n }), /its header is truncated/],
    ["one tensor too many", ggufFile({ ...valid, infoCount: 2n, data: 0 }), /its header is truncated|dimensions/],
    [
      "2^64 values",
      ggufFile({ ...valid, valueCount: 2n ** 64n - 1n }),
      /its header claims more than 999,999,999,999,999 values/,
    ],
    ["more values than fit in the file", ggufFile({ ...valid, valueCount: 90_000n }), /its header is truncated/],
    [
      "one value too many",
      ggufFile({ ...valid, valueCount: 12n }),
      /its header is truncated|contains a value of unknown type/,
    ],
    [
      "a key of 2^64 bytes",
      ggufFile({ values: {}, valueCount: 1n, infos: [u64(2n ** 64n - 1n)] }),
      /its header is truncated/,
    ],
    [
      "a key of 2^53 bytes",
      ggufFile({ values: {}, valueCount: 1n, infos: [u64(2n ** 53n)] }),
      /its header is truncated/,
    ],
    [
      "a key twice",
      ggufFile({ valueCount: 2n, infos: [ggufText("a"), value.uint(1), ggufText("a"), value.uint(2)], infoCount: 0n }),
      /contains the key "a" twice/,
    ],
    ["a value of an unknown type", llamaWith({ x: u32(13) }), /contains a value of unknown type 13/],
    ["a value of type 2^32 - 1", llamaWith({ x: u32(2 ** 32 - 1) }), /contains a value of unknown type 4294967295/],
    ["a text of 2^60 bytes", llamaWith({ x: `${u32(8)}${u64(2n ** 60n)}` }), /its header is truncated/],
    [
      "a list of 2^60 numbers",
      llamaWith({ x: arrayOf(0, 2n ** 60n) }),
      /its header claims more than 999,999,999,999,999 values in an array/,
    ],
    [
      "a list of five million bytes",
      llamaWith({ x: arrayOf(0, 5_000_000n) }),
      /its header claims 5000000 values in an array/,
    ],
    ["a list longer than the file", llamaWith({ x: arrayOf(12, 1_000_000n) }), /its header is truncated/],
    ["a list of strings longer than the file", llamaWith({ x: arrayOf(8, 1_000_000n) }), /its header is truncated/],
    [
      "lists that are too long in total",
      llamaWith({ x: arrayOf(0, 3_000_000n, "\0".repeat(3e6)), y: arrayOf(0, 2_000_000n) }),
      /its header claims 2000000 values/,
    ],
    ["a list of lists", llamaWith({ x: arrayOf(9, 1n, arrayOf(9, 1n, arrayOf(0, 0n))) }), /an array of unknown type 9/],
    ["deeply nested lists", llamaWith({ x: arrayOf(9, 1n).repeat(100_000) }), /an array of unknown type 9/],
    ["a list of an unknown type", llamaWith({ x: arrayOf(77, 1n) }), /an array of unknown type 77/],
    [
      "an alignment of 0",
      llamaWith({ "general.alignment": value.uint(0) }),
      /its alignment is 0, which is not a multiple of 8/,
    ],
    ["an alignment of 1", llamaWith({ "general.alignment": value.uint(1) }), /its alignment is 1, which is not/],
    ["an alignment of 12", llamaWith({ "general.alignment": value.uint(12) }), /its alignment is 12, which is not/],
    [
      "a fractional alignment",
      llamaWith({ "general.alignment": value.float(8.5) }),
      /its alignment is 8\.5, which is not/,
    ],
    [
      "an alignment that is NaN",
      llamaWith({ "general.alignment": value.float(Number.NaN) }),
      /its alignment is not a number, which is not/,
    ],
    [
      "an alignment that is a string",
      llamaWith({ "general.alignment": value.text("32") }),
      /its alignment is "32", which is not/,
    ],
    [
      "an alignment of 2^62",
      llamaWith({ "general.alignment": value.long(2n ** 62n) }),
      /its alignment is more than 999,999,999,999,999, which/,
    ],
    [
      "an alignment beyond the file",
      llamaWith({ "general.alignment": value.uint(2 ** 31) }),
      /has the invalid offset 0/,
    ],
  ])("%s", (_, bytes, message) => rejected(bytes, message));

  test("a file truncated at any byte", async () => {
    const whole = ggufFile(valid);
    for (let length = 0; length < whole.length; length += 7) await rejected(whole.subarray(0, length), /./);
  });
});

describe("an invalid tensor is rejected:", () => {
  const tensors = (infos: string[], data = LLAMA_DATA) => ggufFile({ ...valid, infos, data });
  test.each<[string, Buffer, RegExp]>([
    ["without dimensions", tensors(embedding({ dims: [] })), /"token_embd\.weight" has 0 dimensions/],
    ["of five dimensions", tensors(embedding({ dims: [32, 4, 1, 1, 1] })), /"token_embd\.weight" has 5 dimensions/],
    ["of four billion dimensions", tensors([`${ggufText("x")}${u32(2 ** 32 - 1)}`]), /"x" has 4294967295 dimensions/],
    ["of a size of 0", tensors(embedding({ dims: [32, 0] })), /impossible shape \[32, 0\]/],
    ["of a size of 2^63", tensors(embedding({ dims: [2n ** 63n, 4n] })), /impossible shape/],
    ["whose size overflows", tensors(embedding({ dims: [2n ** 32n, 2n ** 32n] })), /impossible shape/],
    [
      "whose size overflows to a small one",
      tensors(embedding({ dims: [2n ** 33n, 2n ** 31n, 4n] })),
      /impossible shape/,
    ],
    ["of an unknown type", tensors(embedding({ type: 99 })), /has type number 99, which is not supported/],
    ["of a removed type", tensors(embedding({ type: 4 })), /has type number 4, which is not supported/],
    [
      "of IQ2_XXS",
      tensors(embedding({ type: 16 })),
      /has type IQ2_XXS, which is not supported\. Use a GGUF file with types F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, MXFP4\.$/,
    ],
    ["of Q8_K", tensors(embedding({ type: 15 })), /has type Q8_K, which is not supported/],
    ["of Q6_K with rows of 32", tensors(embedding({ type: 14 })), /of type Q6_K has the impossible shape \[32, 4\]/],
    ["of integers", tensors(embedding({ type: 26 })), /has type I32, which is not supported/],
    ["of incomplete blocks", tensors(embedding({ dims: [33, 4], type: 8 })), /Q8_0 has the impossible shape \[33, 4\]/],
    ["beyond the file", tensors(embedding({ offset: 32 })), /has the invalid offset 32/],
    [
      "beyond 2^53",
      tensors(embedding({ offset: 2n ** 60n })),
      /the tensor "token_embd.weight" has the invalid offset more than 999,999,999,999,999/,
    ],
    [
      "at the largest offset",
      tensors(embedding({ offset: 2n ** 64n - 32n })),
      /the tensor "token_embd.weight" has the invalid offset more than 999,999,999,999,999/,
    ],
    ["at a misaligned offset", tensors(embedding({ offset: 4 }), LLAMA_DATA + 64), /has the invalid offset 4/],
    ["larger than the file", tensors(embedding({ dims: [32, 5] })), /has the invalid offset 0/],
    [
      "with a repeated name",
      tensors([...llamaInfos, ...embedding({ offset: LLAMA_DATA })], 2 * LLAMA_DATA),
      /the tensor "token_embd\.weight" twice/,
    ],
    ["at the offset of another", tensors([...llamaInfos, ...embedding({ name: "output.weight" })]), /overlaps another/],
    [
      "across the end of another",
      tensors([...llamaInfos, ...embedding({ name: "output.weight", offset: 32 })], LLAMA_DATA + 32),
      /overlaps another/,
    ],
    [
      "with a very long name",
      tensors(embedding({ name: "x".repeat(100_000), type: 99 })),
      /the tensor "x{40,}…" has type/,
    ],
    ["with a line break in its name", tensors(embedding({ name: "a\nb", type: 99 })), /the tensor "a\\nb" has type/],
    [
      "with a name that is not UTF-8",
      tensors([`${u64(2n)}\xff\xfe${u32(0)}`]),
      /the tensor "\ufffd\ufffd" has 0 dimensions/,
    ],
  ])("%s", (_, bytes, message) => rejected(bytes, message));
});

describe("an unsupported or invalid model is rejected:", () => {
  const more = (name: string, dims: number[] = [32, 4]) =>
    ggufFile({
      ...valid,
      infos: [...llamaInfos, info({ name, dims, type: 0, offset: LLAMA_DATA })],
      data: 4 * LLAMA_DATA,
    });
  const is = (key: string) => new RegExp(`"${key.replaceAll(".", "\\.")}" must be `);
  test.each<[string, Buffer, RegExp]>([
    ["without an architecture", llamaWithout("general.architecture"), is("general.architecture")],
    [
      "of an architecture that is a number",
      llamaWith({ "general.architecture": value.uint(1) }),
      is("general.architecture"),
    ],
    [
      "of an unsupported architecture",
      llamaWith({ "general.architecture": value.text("mamba") }),
      /"mamba" is not supported \(only gpt2, starcoder, gptneox, llama, qwen2, qwen3, gemma, gemma2, gemma3, phi3, phi2, starcoder2, granite, olmo2, smollm3\)/,
    ],
    [
      "of an architecture named like a JavaScript property",
      llamaWith({ "general.architecture": value.text("constructor") }),
      /"constructor" is not supported/,
    ],
    ["without heads", llamaWithout("llama.attention.head_count"), is("llama.attention.head_count")],
    ["of 0 heads", llamaWith({ "llama.attention.head_count": value.uint(0) }), is("llama.attention.head_count")],
    ["of half a head", llamaWith({ "llama.attention.head_count": value.float(0.5) }), is("llama.attention.head_count")],
    [
      "of NaN heads",
      llamaWith({ "llama.attention.head_count": value.float(Number.NaN) }),
      is("llama.attention.head_count"),
    ],
    [
      "with different numbers of heads",
      llamaWith({ "llama.attention.head_count": value.ints([4, 2]) }),
      /"llama\.attention\.head_count" must be the same for every layer, but is a list/,
    ],
    [
      "of Granite without rotary positions",
      ggufFile({ ...valid, values: { ...graniteValues, "granite.rope.scaling.finetuned": value.bool(false) } }),
      /Granite without rotary positions is not supported: rope\.scaling\.finetuned is false/,
    ],
    [
      "with more layers than any model",
      llamaWith({ "llama.block_count": value.uint(1001) }),
      /"llama\.block_count" must be a number from 1 to 1000, but is 1001/,
    ],
    [
      "of 2^62 heads",
      llamaWith({ "llama.attention.head_count": value.long(2n ** 62n) }),
      is("llama.attention.head_count"),
    ],
    [
      "of four billion heads",
      llamaWith({ "llama.attention.head_count": value.uint(2 ** 32 - 1) }),
      is("llama.attention.head_count"),
    ],
    [
      "whose width is not divisible by the heads",
      llamaWith({ "llama.attention.head_count": value.uint(5) }),
      is("llama.attention.key_length"),
    ],
    ["without layers", llamaWith({ "llama.block_count": value.uint(0) }), is("llama.block_count")],
    [
      "of a context length that is a string",
      llamaWith({ "llama.context_length": value.text("8") }),
      is("llama.context_length"),
    ],
    [
      "without the epsilon of the norms",
      llamaWithout("llama.attention.layer_norm_rms_epsilon"),
      is("llama.attention.layer_norm_rms_epsilon"),
    ],
    [
      "with partial rotation",
      llamaWith({ "llama.rope.dimension_count": value.uint(4) }),
      is("llama.rope.dimension_count"),
    ],
    [
      "whose values have another size",
      llamaWith({ "llama.attention.value_length": value.uint(4) }),
      is("llama.attention.value_length"),
    ],
    [
      "with an unknown scaling",
      llamaWith({ "llama.rope.scaling.type": value.text("x"), "llama.rope.scaling.factor": value.float(2) }),
      is("llama.rope.scaling.type"),
    ],
    [
      "with a scaling without a factor",
      llamaWith({ "llama.rope.scaling.type": value.text("linear") }),
      is("llama.rope.scaling.factor"),
    ],
    [
      "whose scaling is not Llama 3's",
      more("rope_freqs.weight", [4]),
      /its scaling of rotary positions is not supported/,
    ],
    [
      "whose scaling is a matrix",
      more("rope_freqs.weight", [4, 4]),
      /its scaling of rotary positions is not supported/,
    ],
    [
      "without an embedding",
      ggufFile({ ...valid, infos: embedding({ name: "output.weight" }) }),
      /the matrix "token_embd\.weight" is missing/,
    ],
    [
      "whose embedding is a vector",
      ggufFile({ ...valid, infos: embedding({ dims: [32] }) }),
      /the matrix "token_embd\.weight" is missing/,
    ],
    [
      "with experts",
      more("blk.0.ffn_gate_exps.weight"),
      /"blk\.0\.ffn_gate_exps\.weight" is not part of a supported llama model/,
    ],
    ["with a tensor named like a JavaScript property", more("constructor"), /the tensor "constructor" is not part of/],
    [
      "with a layer number that is too large",
      more("blk.99999.attn_q.weight"),
      /"blk\.99999\.attn_q\.weight" is not part of/,
    ],
    [
      "with a three-dimensional matrix",
      more("blk.0.ffn_up.weight", [32, 2, 2]),
      /is neither an unquantized vector nor a matrix/,
    ],
    [
      "with incomplete heads",
      more("blk.0.attn_q.weight", [32, 9]),
      /the 9 rows .* are not a multiple of the head size 8/,
    ],
  ])("%s", (_, bytes, message) => rejected(bytes, message));
});

describe("an invalid vocabulary is rejected:", () => {
  const tokens = (values: Readonly<Record<string, string>>) =>
    llamaWith(Object.fromEntries(Object.entries(values).map(([key, content]) => [`tokenizer.ggml.${key}`, content])));
  const four = ["a", "b", "ab", "c"];
  const bpe = (values: Readonly<Record<string, string>>) =>
    tokens({ model: value.text("gpt2"), tokens: value.texts(four), pre: value.text("gpt-2"), ...values });
  test.each<[string, Buffer, RegExp]>([
    ["without a type", llamaWithout("tokenizer.ggml.model"), /has no tokenizer\./],
    ["of an unsupported type", tokens({ model: value.text("rwkv") }), /the tokenizer type "rwkv" is not supported/],
    ["of WordPiece", tokens({ model: value.text("bert") }), /the tokenizer type "bert" \(WordPiece\) is not supported/],
    ["of Unigram", tokens({ model: value.text("t5") }), /the tokenizer type "t5" \(Unigram\) is not supported/],
    ["without tokens", llamaWithout("tokenizer.ggml.tokens"), /it has no vocabulary/],
    ["with an empty list of tokens", tokens({ tokens: value.texts([]) }), /it has no vocabulary/],
    [
      "of numbers",
      tokens({ tokens: value.ints([1, 2, 3, 4]) }),
      /tokenizer\.ggml\.tokens is not a list of the expected type/,
    ],
    [
      "that is one string",
      tokens({ tokens: value.text("abcd") }),
      /tokenizer\.ggml\.tokens is not a list of the expected type/,
    ],
    ["with a repeated token", tokens({ tokens: value.texts(["a", "b", "a", "c"]) }), /contains the token "a" twice/],
    [
      "with repeated tokens that are not UTF-8",
      tokens({ tokens: `${u32(9)}${u32(8)}${u64(2n)}${u64(1n)}${u8(255)}${u64(1n)}${u8(254)}` }),
      /contains the token "\ufffd" twice/,
    ],
    ["with too few scores", tokens({ scores: value.floats([0]) }), /has 4 tokens but 1 scores/],
    ["without scores", llamaWithout("tokenizer.ggml.scores"), /has 4 tokens but no scores/],
    [
      "with scores that are strings",
      tokens({ scores: value.texts(four) }),
      /tokenizer\.ggml\.scores is not a list of the expected type/,
    ],
    ["with too many types", tokens({ token_type: value.ints([1, 1, 1, 1, 1]) }), /has 4 tokens but 5 token types/],
    [
      "whose EOS is a string",
      tokens({ eos_token_id: value.text("</s>") }),
      /eos_token_id is "<\/s>", which is not a token id/,
    ],
    [
      "with a token of 1 MB",
      tokens({ tokens: value.texts(["a", "b", "c".repeat(1e6), "d"]), token_type: value.ints([1, 1, 1, 1]) }),
      /the tokens of its vocabulary are too long/,
    ],
    ["of byte pairs without merges", bpe({}), /its vocabulary has no merges/],
    [
      "with merges that are numbers",
      bpe({ merges: value.ints([1]) }),
      /tokenizer\.ggml\.merges is not a list of the expected type/,
    ],
    ["with a merge of one token", bpe({ merges: value.texts(["ab"]) }), /the merge "ab" is not two tokens/],
    ["with a merge of three tokens", bpe({ merges: value.texts(["a b c"]) }), /the merge "a b c" is not two tokens/],
    ["with an empty merge", bpe({ merges: value.texts([" "]) }), /the merge " " is not two tokens/],
    [
      "with an unknown pre-tokenizer",
      bpe({ pre: value.text("x") }),
      /the pre-tokenizer "x" is not supported\. Import the original model instead\.$/,
    ],
    [
      "with a pre-tokenizer named like a JavaScript property",
      bpe({ pre: value.text("constructor") }),
      /the pre-tokenizer "constructor" is not/,
    ],
  ])("%s", (_, bytes, message) => rejected(bytes, message));
});
