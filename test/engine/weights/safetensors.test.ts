import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import { readHeader, readTensor, readTensors, type TensorToWrite, writeSafetensors } from "../../../src/engine/weights";
import { testData } from "../../helpers/testData";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "safetensors-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const f32 = (shape: number[], ...values: number[]): TensorToWrite => ({
  shape,
  dtype: "F32",
  data: Float32Array.from(values),
});

/** Writes a file with a given header and number of data bytes. */
async function fileOf(header: unknown, dataBytes: number, length?: bigint): Promise<string> {
  const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(length ?? BigInt(json.length));
  const path = join(dir, "crafted.safetensors");
  await writeFile(path, Buffer.concat([prefix, json, Buffer.alloc(dataBytes)]));
  return path;
}

const tensor = (shape: unknown, start: unknown, end: unknown, dtype: unknown = "F32") => ({
  dtype,
  shape,
  data_offsets: [start, end],
});

describe("a written file", () => {
  test("is read back unchanged, with its metadata", async () => {
    const path = join(dir, "a.safetensors");
    const { normal } = random(1, "weights");
    const values = Array.from({ length: 6 }, normal);
    const tensors = new Map([
      ["w", f32([2, 3], ...values)],
      ["scalar", f32([], 7)],
      ["nothing", f32([0, 4])],
      ["müll/\u0000", f32([1], 1)],
    ]);
    await writeSafetensors(path, tensors, { format: "pt", step: "12" });
    expect((await readHeader(path)).metadata).toEqual({ format: "pt", step: "12" });
    const read = await readTensors(path);
    expect(new Set(read.keys())).toEqual(new Set(tensors.keys()));
    for (const [name, { shape, data }] of tensors) expect(read.get(name)).toEqual({ shape, data });
    expect(await readTensor(path, "scalar")).toEqual({ shape: [], data: Float32Array.of(7) });
  });

  test("has aligned tensors in the order of the reference implementation", async () => {
    const path = join(dir, "order.safetensors");
    const bytes: TensorToWrite = { shape: [3], dtype: "U8", data: Uint8Array.of(1, 2, 3) };
    await writeSafetensors(
      path,
      new Map([
        ["z", bytes],
        ["b", f32([1], 1)],
        ["a", f32([1], 2)],
      ]),
    );
    const { tensors } = await readHeader(path);
    const start = (name: string) => tensors.get(name)?.start ?? Number.NaN;
    expect(start("a") % 8).toBe(0);
    expect([start("b") - start("a"), start("z") - start("a")]).toEqual([4, 8]);
  });

  test("is rejected if data and shape do not match, and nothing is left behind", async () => {
    const path = join(dir, "wrong.safetensors");
    await expect(writeSafetensors(path, new Map([["w", f32([2, 2], 1)]]))).rejects.toThrow(
      "w [2, 2] of F32 must have 16 bytes, got 4",
    );
    await expect(readFile(path)).rejects.toThrow("ENOENT");
  });
});

describe("half precision", () => {
  test.each([
    [
      "F16",
      [0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x8000, 0x7c00, 0xfc00],
      [1, -2, 65504, 2 ** -24, 2 ** -14, -0, Infinity, -Infinity],
    ],
    ["BF16", [0x3f80, 0xc000, 0x3eab, 0x8000, 0x7f80], [1, -2, 0.333984375, -0, Infinity]],
  ] as const)("%s is converted", async (dtype, bits, values) => {
    const path = join(dir, "half.safetensors");
    await writeSafetensors(path, new Map([["w", { dtype, shape: [bits.length], data: Uint16Array.from(bits) }]]));
    expect([...(await readTensor(path, "w")).data]).toEqual([...values]);
  });

  test("NaN stays NaN, and integers are not weights", async () => {
    const path = join(dir, "nan.safetensors");
    await writeSafetensors(
      path,
      new Map<string, TensorToWrite>([
        ["nan", { dtype: "F16", shape: [1], data: Uint16Array.of(0x7e00) }],
        ["ids", { dtype: "I32", shape: [1], data: Int32Array.of(1) }],
      ]),
    );
    expect((await readTensor(path, "nan")).data[0]).toBeNaN();
    await expect(readTensor(path, "ids")).rejects.toThrow('the tensor "ids" has type I32, which is not supported');
  });
});

describe("a damaged file is rejected:", () => {
  const good = { a: tensor([2], 0, 8), b: tensor([1], 8, 12) };
  test.each<[string, unknown, number, RegExp, bigint?]>([
    ["a header longer than the file", good, 12, /its header claims 5000/, 5000n],
    ["a header of more than 100 MB", good, 12, /its header claims 200000000/, 200_000_000n],
    ["a header length beyond exact integers", good, 12, /its header claims/, 2n ** 64n - 1n],
    ["a header that is not JSON", "{nonsense", 0, /its header is not valid JSON/],
    ["a header that is not an object", "[]", 0, /its header is not a JSON object/],
    ["a header that starts with a space", " {}", 0, /its header is not a JSON object/],
    [
      "a key twice",
      `{"a":${JSON.stringify(good.a)},"\\u0061":${JSON.stringify(good.a)}}`,
      8,
      /its header contains "a" twice/,
    ],
    ["a key twice inside", '{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4, /"dtype" twice/],
    ["an unknown type", { a: tensor([1], 0, 4, "F33") }, 4, /the tensor "a" has the unknown type "F33"/],
    ["a type from the prototype", { a: tensor([1], 0, 4, "toString") }, 4, /unknown type/],
    ["a negative dimension", { a: tensor([-2], 0, 8) }, 8, /has the invalid shape \[-2\]/],
    ["a fractional dimension", { a: tensor([0.5], 0, 2) }, 2, /has the invalid shape/],
    [
      "dimensions whose product overflows",
      { a: tensor([2 ** 40, 2 ** 40], 0, 8) },
      8,
      /has 8 bytes, which does not match/,
    ],
    ["no offsets", { a: { dtype: "F32", shape: [1] } }, 4, /has the invalid byte range missing/],
    ["offsets in reverse order", { a: tensor([1], 4, 0) }, 4, /has -4 bytes, which does not match/],
    [
      "offsets beyond the file",
      { a: tensor([4], 0, 16) },
      8,
      /its tensors end at byte \d+, but the file has \d+ bytes/,
    ],
    [
      "a size that does not match the shape",
      { a: tensor([3], 0, 8) },
      8,
      /has 8 bytes, which does not match its shape \[3\] and type F32/,
    ],
    ["an overlap", { a: tensor([2], 0, 8), b: tensor([2], 4, 12) }, 12, /the tensor "b" overlaps another/],
    ["a gap", { a: tensor([1], 0, 4), b: tensor([1], 8, 12) }, 12, /the tensor "b" comes after a gap/],
    ["bytes that belong to no tensor", good, 20, /but the file has/],
    [
      "metadata that is not a string",
      { __metadata__: { a: 1 } },
      0,
      /its metadata contains values that are not strings/,
    ],
  ])("%s", async (_, header, dataBytes, message, length) => {
    await expect(readHeader(await fileOf(header, dataBytes, length))).rejects.toMatchObject({
      code: "weights",
      message: expect.stringMatching(message),
    });
  });

  test("a file truncated at any byte", async () => {
    const path = await fileOf(good, 12);
    const whole = await readFile(path);
    await expect(readHeader(path)).resolves.toBeDefined();
    for (let length = 0; length < whole.length; length++) {
      await writeFile(path, whole.subarray(0, length));
      await expect(readHeader(path)).rejects.toThrow(
        /is damaged: .*\. Download it again or restore an earlier copy\.$/,
      );
    }
  });

  test("a trace, with its own advice", async () => {
    const path = join(dir, "cut.dltrace");
    await writeFile(path, new Uint8Array(4));
    await expect(readHeader(path)).rejects.toThrow(/is damaged: .*\. Record the trace again\.$/);
  });

  test("a missing file and a missing tensor", async () => {
    await expect(readHeader(join(dir, "none.safetensors"))).rejects.toThrow(
      /none\.safetensors does not exist\. Choose a model folder/,
    );
    await expect(readTensor(await fileOf(good, 12), "c")).rejects.toThrow('the tensor "c" is missing');
  });

  test("random bytes in the header cause no other error", async () => {
    const path = await fileOf(good, 12);
    const whole = await readFile(path);
    const { below } = random(5, "fuzz");
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(whole);
      for (let k = 0; k <= below(3); k++) bytes[below(bytes.length - 12)] = below(256);
      await writeFile(path, bytes);
      await readTensors(path).catch((error) => expect(error.name).toBe("EngineError"));
    }
  });
});

const stories = testData("stories260K/model.safetensors");
test.skipIf(!stories)("the file of a real model is read (skipped without the test data)", async () => {
  const tensors = await readTensors(stories as string);
  const parameters = [...tensors.values()].reduce((sum, { data }) => sum + data.length, 0);
  expect(parameters).toBeGreaterThan(250_000);
  expect([...tensors.values()].every(({ data }) => data.every(Number.isFinite))).toBe(true);
});
