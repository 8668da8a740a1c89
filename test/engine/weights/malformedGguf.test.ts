import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { convertGguf } from "../../../src/engine/weights";
import { ggufFile, ggufText, info, LLAMA_DATA, llamaInfos, llamaValues, value } from "../../helpers/ggufFiles";
import { u8, u32, u64 } from "../../helpers/pickles";
import { expectRefused } from "../../helpers/refused";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "malformed-gguf-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function convert(bytes: Uint8Array): Promise<void> {
  await writeFile(join(dir, "model.gguf"), bytes);
  await convertGguf(join(dir, "model.gguf"), join(dir, "out"));
}
const refused = async (bytes: Uint8Array, message: RegExp) => {
  await expectRefused(() => convert(bytes), message);
  // What is wrong is seen before anything is written.
  expect(await readdir(dir)).toEqual(["model.gguf"]);
};

const honest = { values: llamaValues, infos: llamaInfos, data: LLAMA_DATA };
const llamaWith = (values: Readonly<Record<string, string>>) =>
  ggufFile({ ...honest, values: { ...llamaValues, ...values } });
function llamaWithout(key: string): Buffer {
  const { [key]: _, ...values } = llamaValues;
  return ggufFile({ ...honest, values });
}
const EMBEDDING = { name: "token_embd.weight", dims: [32, 4], type: 0, offset: 0 } as const;
const embedding = (change: Partial<Parameters<typeof info>[0]>) => [info({ ...EMBEDDING, ...change })];

test("what the files below are spoiled from is converted", async () => {
  await convert(ggufFile(honest));
  expect(await readdir(join(dir, "out"))).toContain("model.safetensors");
});

describe("a header that lies is refused:", () => {
  const arrayOf = (type: number, count: bigint, content = "") => `${u32(9)}${u32(type)}${u64(count)}${content}`;
  test.each<[string, Buffer, RegExp]>([
    ["an empty file", Buffer.alloc(0), /its header ends too early/],
    ["another format", Buffer.from("ggjt\x03\0\0\0"), /is not a GGUF file/],
    ["a page of the web", Buffer.from("<!doctype html><title>404</title>"), /is not a GGUF file/],
    ["version 1", ggufFile({ ...honest, version: u32(1) }), /of GGUF version 1, not 2 or 3/],
    ["version 4", ggufFile({ ...honest, version: u32(4) }), /of GGUF version 4, not 2 or 3/],
    ["big-endian numbers", ggufFile({ ...honest, version: u32(0x03000000) }), /its numbers are not little endian/],
    [
      "2^64 tensors",
      ggufFile({ ...honest, infoCount: 2n ** 64n - 1n }),
      /says that it has 18446744073709552000 tensors/,
    ],
    ["a million tensors", ggufFile({ ...honest, infoCount: 1_000_000n }), /says that it has 1000000 tensors/],
    ["more tensors than there is room for", ggufFile({ ...honest, infoCount: 90_000n }), /its header ends too early/],
    ["one tensor too many", ggufFile({ ...honest, infoCount: 2n, data: 0 }), /its header ends too early|dimensions/],
    [
      "2^64 values",
      ggufFile({ ...honest, valueCount: 2n ** 64n - 1n }),
      /says that it has 18446744073709552000 values/,
    ],
    ["more values than there is room for", ggufFile({ ...honest, valueCount: 90_000n }), /its header ends too early/],
    [
      "one value too many",
      ggufFile({ ...honest, valueCount: 12n }),
      /its header ends too early|has a value of the unknown type/,
    ],
    [
      "a key of 2^64 bytes",
      ggufFile({ values: {}, valueCount: 1n, infos: [u64(2n ** 64n - 1n)] }),
      /its header ends too early/,
    ],
    [
      "a key of 2^53 bytes",
      ggufFile({ values: {}, valueCount: 1n, infos: [u64(2n ** 53n)] }),
      /its header ends too early/,
    ],
    [
      "a key twice",
      ggufFile({ valueCount: 2n, infos: [ggufText("a"), value.uint(1), ggufText("a"), value.uint(2)], infoCount: 0n }),
      /has the key "a" twice/,
    ],
    ["a value of an unknown type", llamaWith({ x: u32(13) }), /has a value of the unknown type 13/],
    ["a value of type 2^32 - 1", llamaWith({ x: u32(2 ** 32 - 1) }), /has a value of the unknown type 4294967295/],
    ["a text of 2^60 bytes", llamaWith({ x: `${u32(8)}${u64(2n ** 60n)}` }), /its header ends too early/],
    ["a list of 2^60 numbers", llamaWith({ x: arrayOf(0, 2n ** 60n) }), /says that it has \d+ values in an array/],
    [
      "a list of five million bytes",
      llamaWith({ x: arrayOf(0, 5_000_000n) }),
      /says that it has 5000000 values in an array/,
    ],
    ["a list longer than the file", llamaWith({ x: arrayOf(12, 1_000_000n) }), /its header ends too early/],
    ["a list of texts longer than the file", llamaWith({ x: arrayOf(8, 1_000_000n) }), /its header ends too early/],
    [
      "lists that together are too long",
      llamaWith({ x: arrayOf(0, 3_000_000n, "\0".repeat(3e6)), y: arrayOf(0, 2_000_000n) }),
      /says that it has 2000000 values/,
    ],
    [
      "a list of lists",
      llamaWith({ x: arrayOf(9, 1n, arrayOf(9, 1n, arrayOf(0, 0n))) }),
      /an array of the unknown type 9/,
    ],
    ["lists in lists, deep", llamaWith({ x: arrayOf(9, 1n).repeat(100_000) }), /an array of the unknown type 9/],
    ["a list of an unknown type", llamaWith({ x: arrayOf(77, 1n) }), /an array of the unknown type 77/],
    [
      "an alignment of 0",
      llamaWith({ "general.alignment": value.uint(0) }),
      /its alignment is 0, which is not a multiple of 8/,
    ],
    ["an alignment of 1", llamaWith({ "general.alignment": value.uint(1) }), /its alignment is 1, which is not/],
    ["an alignment of 12", llamaWith({ "general.alignment": value.uint(12) }), /its alignment is 12, which is not/],
    [
      "an alignment of a fraction",
      llamaWith({ "general.alignment": value.float(8.5) }),
      /its alignment is 8\.5, which is not/,
    ],
    [
      "an alignment that is NaN",
      llamaWith({ "general.alignment": value.float(Number.NaN) }),
      /its alignment is NaN, which is not/,
    ],
    [
      "an alignment in words",
      llamaWith({ "general.alignment": value.text("32") }),
      /its alignment is 32, which is not/,
    ],
    [
      "an alignment of 2^62",
      llamaWith({ "general.alignment": value.long(2n ** 62n) }),
      /its alignment is 4611686018427387904, which/,
    ],
    [
      "an alignment beyond the file",
      llamaWith({ "general.alignment": value.uint(2 ** 31) }),
      /lies at 0, where it cannot/,
    ],
  ])("%s", (_, bytes, message) => refused(bytes, message));

  test("one that was cut off anywhere", async () => {
    const whole = ggufFile(honest);
    for (let length = 0; length < whole.length; length += 7) await refused(whole.subarray(0, length), /./);
  });
});

describe("a tensor that cannot be is refused:", () => {
  const tensors = (infos: string[], data = LLAMA_DATA) => ggufFile({ ...honest, infos, data });
  test.each<[string, Buffer, RegExp]>([
    ["of no dimensions", tensors(embedding({ dims: [] })), /"token_embd\.weight" has 0 dimensions/],
    ["of five dimensions", tensors(embedding({ dims: [32, 4, 1, 1, 1] })), /"token_embd\.weight" has 5 dimensions/],
    ["of four billion dimensions", tensors([`${ggufText("x")}${u32(2 ** 32 - 1)}`]), /"x" has 4294967295 dimensions/],
    ["of a size of 0", tensors(embedding({ dims: [32, 0] })), /impossible shape \[32, 0\]/],
    ["of a size of 2^63", tensors(embedding({ dims: [2n ** 63n, 4n] })), /impossible shape/],
    ["whose size overflows", tensors(embedding({ dims: [2n ** 32n, 2n ** 32n] })), /impossible shape/],
    [
      "whose size wraps around to a small one",
      tensors(embedding({ dims: [2n ** 33n, 2n ** 31n, 4n] })),
      /impossible shape/,
    ],
    ["of a type that is not there", tensors(embedding({ type: 99 })), /is of type number 99, which is not supported/],
    ["of a type that was removed", tensors(embedding({ type: 4 })), /is of type number 4, which is not supported/],
    [
      "of Q4_K",
      tensors(embedding({ type: 12 })),
      /of type Q4_K, which is not supported; use a GGUF file of F32, F16, BF16, Q8_0, Q4_0\.$/,
    ],
    ["of Q6_K", tensors(embedding({ type: 14 })), /is of type Q6_K, which is not supported/],
    ["of integers", tensors(embedding({ type: 26 })), /is of type I32, which is not supported/],
    [
      "of blocks that are not whole",
      tensors(embedding({ dims: [33, 4], type: 8 })),
      /Q8_0 has the impossible shape \[33, 4\]/,
    ],
    ["beyond the file", tensors(embedding({ offset: 32 })), /lies at 32, where it cannot/],
    ["beyond 2^53", tensors(embedding({ offset: 2n ** 60n })), /lies at 1152921504606847000, where it cannot/],
    ["at the end of numbers", tensors(embedding({ offset: 2n ** 64n - 32n })), /lies at \d+, where it cannot/],
    ["between two places", tensors(embedding({ offset: 4 }), LLAMA_DATA + 64), /lies at 4, where it cannot/],
    ["larger than the file", tensors(embedding({ dims: [32, 5] })), /lies at 0, where it cannot/],
    [
      "twice",
      tensors([...llamaInfos, ...embedding({ offset: LLAMA_DATA })], 2 * LLAMA_DATA),
      /the tensor "token_embd\.weight" twice/,
    ],
    ["in another's place", tensors([...llamaInfos, ...embedding({ name: "output.weight" })]), /overlaps another/],
    [
      "across another's end",
      tensors([...llamaInfos, ...embedding({ name: "output.weight", offset: 32 })], LLAMA_DATA + 32),
      /overlaps another/,
    ],
    [
      "with an endless name",
      tensors(embedding({ name: "x".repeat(100_000), type: 99 })),
      /the tensor "x{100}…" is of type/,
    ],
    [
      "with a line's end in its name",
      tensors(embedding({ name: "a\nb", type: 99 })),
      /the tensor "a\ufffdb" is of type/,
    ],
    [
      "of bytes that are no name",
      tensors([`${u64(2n)}\xff\xfe${u32(0)}`]),
      /the tensor "\ufffd\ufffd" has 0 dimensions/,
    ],
  ])("%s", (_, bytes, message) => refused(bytes, message));
});

describe("a model that is not supported, or none, is refused:", () => {
  const more = (name: string, dims: number[] = [32, 4]) =>
    ggufFile({
      ...honest,
      infos: [...llamaInfos, info({ name, dims, type: 0, offset: LLAMA_DATA })],
      data: 4 * LLAMA_DATA,
    });
  const is = (key: string) => new RegExp(`its "${key.replaceAll(".", "\\.")}" should be `);
  test.each<[string, Buffer, RegExp]>([
    ["of no architecture", llamaWithout("general.architecture"), is("general.architecture")],
    [
      "of an architecture that is a number",
      llamaWith({ "general.architecture": value.uint(1) }),
      is("general.architecture"),
    ],
    [
      "of another architecture",
      llamaWith({ "general.architecture": value.text("mamba") }),
      /"mamba" are not supported, only of llama and gpt2/,
    ],
    [
      "of JavaScript's own",
      llamaWith({ "general.architecture": value.text("constructor") }),
      /"constructor" are not supported/,
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
      "of heads for each layer",
      llamaWith({ "llama.attention.head_count": value.ints([4]) }),
      is("llama.attention.head_count"),
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
      "whose heads do not divide its width",
      llamaWith({ "llama.attention.head_count": value.uint(5) }),
      is("llama.attention.key_length"),
    ],
    ["of no layers", llamaWith({ "llama.block_count": value.uint(0) }), is("llama.block_count")],
    ["of a context in words", llamaWith({ "llama.context_length": value.text("8") }), is("llama.context_length")],
    [
      "without a norm's epsilon",
      llamaWithout("llama.attention.layer_norm_rms_epsilon"),
      is("llama.attention.layer_norm_rms_epsilon"),
    ],
    [
      "whose rotation is of a part",
      llamaWith({ "llama.rope.dimension_count": value.uint(4) }),
      is("llama.rope.dimension_count"),
    ],
    [
      "whose values are of another size",
      llamaWith({ "llama.attention.value_length": value.uint(4) }),
      is("llama.attention.value_length"),
    ],
    [
      "of an unknown scaling",
      llamaWith({ "llama.rope.scaling.type": value.text("x"), "llama.rope.scaling.factor": value.float(2) }),
      is("llama.rope.scaling.type"),
    ],
    [
      "of a scaling without a factor",
      llamaWith({ "llama.rope.scaling.type": value.text("linear") }),
      is("llama.rope.scaling.factor"),
    ],
    [
      "whose scaling is not Llama 3's",
      more("rope_freqs.weight", [4]),
      /scales its positions in a way that is not Llama 3's/,
    ],
    [
      "whose scaling is a matrix",
      more("rope_freqs.weight", [4, 4]),
      /scales its positions in a way that is not Llama 3's/,
    ],
    [
      "without an embedding",
      ggufFile({ ...honest, infos: embedding({ name: "output.weight" }) }),
      /has no matrix "token_embd\.weight"/,
    ],
    [
      "whose embedding is a row",
      ggufFile({ ...honest, infos: embedding({ dims: [32] }) }),
      /has no matrix "token_embd\.weight"/,
    ],
    [
      "of experts",
      more("blk.0.ffn_gate_exps.weight"),
      /"blk\.0\.ffn_gate_exps\.weight", which is not part of the llama models/,
    ],
    ["of a tensor of JavaScript's own", more("constructor"), /has the tensor "constructor", which is not part of/],
    [
      "of a layer beyond numbers",
      more("blk.99999.attn_q.weight"),
      /"blk\.99999\.attn_q\.weight", which is not part of/,
    ],
    [
      "of a matrix in three dimensions",
      more("blk.0.ffn_up.weight", [32, 2, 2]),
      /is not a vector of numbers or a matrix/,
    ],
    ["of heads that are not whole", more("blk.0.attn_q.weight", [32, 9]), /has 9 rows, which are not whole heads of 8/],
  ])("%s", (_, bytes, message) => refused(bytes, message));
});

describe("a vocabulary that is none is refused:", () => {
  const tokens = (values: Readonly<Record<string, string>>) =>
    llamaWith(Object.fromEntries(Object.entries(values).map(([key, content]) => [`tokenizer.ggml.${key}`, content])));
  const four = ["a", "b", "ab", "c"];
  const bpe = (values: Readonly<Record<string, string>>) =>
    tokens({ model: value.text("gpt2"), tokens: value.texts(four), pre: value.text("gpt-2"), ...values });
  test.each<[string, Buffer, RegExp]>([
    [
      "of no kind",
      llamaWithout("tokenizer.ggml.model"),
      /its tokenizer is of the kind "undefined", which is not supported/,
    ],
    [
      "of another kind",
      tokens({ model: value.text("rwkv") }),
      /its tokenizer is of the kind "rwkv", which is not supported/,
    ],
    ["of no tokens", llamaWithout("tokenizer.ggml.tokens"), /it has no vocabulary/],
    ["of an empty list", tokens({ tokens: value.texts([]) }), /it has no vocabulary/],
    ["of numbers", tokens({ tokens: value.ints([1, 2, 3, 4]) }), /its tokenizer\.ggml\.tokens is not a list of them/],
    ["of one text", tokens({ tokens: value.text("abcd") }), /its tokenizer\.ggml\.tokens is not a list of them/],
    ["of a token twice", tokens({ tokens: value.texts(["a", "b", "a", "c"]) }), /has the token "a" twice/],
    [
      "of tokens that are not UTF-8, and alike",
      tokens({ tokens: `${u32(9)}${u32(8)}${u64(2n)}${u64(1n)}${u8(255)}${u64(1n)}${u8(254)}` }),
      /has the token "\ufffd" twice/,
    ],
    ["of too few scores", tokens({ scores: value.floats([0]) }), /has 4 tokens and 1 scores of them/],
    ["of no scores", llamaWithout("tokenizer.ggml.scores"), /has 4 tokens and no scores of them/],
    ["of scores in words", tokens({ scores: value.texts(four) }), /its tokenizer\.ggml\.scores is not a list of them/],
    ["of too many types", tokens({ token_type: value.ints([1, 1, 1, 1, 1]) }), /has 4 tokens and 5 types of them/],
    [
      "whose beginning is not a token",
      tokens({ bos_token_id: value.uint(4) }),
      /its bos_token_id is "4", which is not a token/,
    ],
    [
      "whose end is 2^32 - 1",
      tokens({ eos_token_id: value.uint(2 ** 32 - 1) }),
      /its eos_token_id is "4294967295", which is not/,
    ],
    [
      "whose end is in words",
      tokens({ eos_token_id: value.text("</s>") }),
      /its eos_token_id is "<\/s>", which is not a token/,
    ],
    [
      "of a token of a megabyte",
      tokens({ tokens: value.texts(["a", "b", "c".repeat(1e6), "d"]), token_type: value.ints([1, 1, 1, 1]) }),
      /its tokens are too long/,
    ],
    ["of byte pairs without merges", bpe({}), /its vocabulary has no merges/],
    [
      "of merges that are numbers",
      bpe({ merges: value.ints([1]) }),
      /its tokenizer\.ggml\.merges is not a list of them/,
    ],
    ["of a merge of one token", bpe({ merges: value.texts(["ab"]) }), /its merge "ab" is not of two tokens/],
    ["of a merge of three tokens", bpe({ merges: value.texts(["a b c"]) }), /its merge "a b c" is not of two tokens/],
    ["of a merge of nothing", bpe({ merges: value.texts([" "]) }), /its merge " " is not of two tokens/],
    [
      "that cuts text in an unknown way",
      bpe({ pre: value.text("tekken") }),
      /cuts text as "tekken", which is not supported, only default, /,
    ],
    [
      "that cuts text in JavaScript's way",
      bpe({ pre: value.text("constructor") }),
      /cuts text as "constructor", which is not/,
    ],
  ])("%s", (_, bytes, message) => refused(bytes, message));
});
