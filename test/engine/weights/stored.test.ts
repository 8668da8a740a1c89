import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  openStored,
  readStored,
  readStoredBytes,
  type StoredTensor,
  type TensorToWrite,
  writeSafetensors,
} from "../../../src/engine/weights";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "stored-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const f32 = (shape: number[], ...values: number[]): TensorToWrite => ({
  shape,
  dtype: "F32",
  data: Float32Array.from(values),
});

const save = (name: string, tensors: Record<string, TensorToWrite>) =>
  writeSafetensors(join(dir, name), new Map(Object.entries(tensors)));

const saveIndex = (weight_map: unknown) =>
  writeFile(join(dir, "model.safetensors.index.json"), JSON.stringify({ metadata: { total_size: 1 }, weight_map }));

async function valuesOf(tensor: StoredTensor | undefined): Promise<number[]> {
  return [...(await readStored(tensor as StoredTensor))];
}

describe("a folder", () => {
  test("with one safetensors file opens, with the location of each tensor", async () => {
    const half: TensorToWrite = { shape: [2], dtype: "F16", data: Uint16Array.of(0x3c00, 0xc000) };
    await save("model.safetensors", { a: f32([2, 1], 1.5, 2.5), h: half });
    const tensors = await openStored(dir);
    expect([...tensors.keys()].sort()).toEqual(["a", "h"]);
    expect(tensors.get("a")).toMatchObject({ name: "a", dtype: "F32", shape: [2, 1], length: 8 });
    expect(await valuesOf(tensors.get("a"))).toEqual([1.5, 2.5]);
    expect(await valuesOf(tensors.get("h"))).toEqual([1, -2]);
    expect([...(await readStoredBytes(tensors.get("h") as StoredTensor, 2, 4))]).toEqual([0x00, 0xc0]);
  });

  test("with shards opens through its index", async () => {
    await save("one.safetensors", { a: f32([1], 1) });
    await save("two.safetensors", { b: f32([1], 2), c: f32([1], 3) });
    await saveIndex({ a: "one.safetensors", b: "two.safetensors", c: "two.safetensors" });
    const tensors = await openStored(dir);
    expect(await Promise.all(["a", "b", "c"].map((name) => valuesOf(tensors.get(name))))).toEqual([[1], [2], [3]]);
  });

  test("with both formats opens the safetensors file", async () => {
    await save("model.safetensors", { a: f32([1], 1) });
    await writeFile(join(dir, "pytorch_model.bin"), "ignored");
    expect([...(await openStored(dir)).keys()]).toEqual(["a"]);
  });

  test("of links to other folders opens, as in the Hugging Face cache", async () => {
    const blobs = await mkdtemp(join(tmpdir(), "blobs-"));
    await writeSafetensors(join(blobs, "0123abcd"), new Map([["a", f32([1], 4)]]));
    await symlink(join(blobs, "0123abcd"), join(dir, "model.safetensors"));
    const tensor = (await openStored(dir)).get("a") as StoredTensor;
    expect(await valuesOf(tensor)).toEqual([4]);
    expect(tensor.file).toMatch(/0123abcd$/);
    await rm(blobs, { recursive: true });
  });
});

test.each([
  ["F64", new Float64Array([0.1, -2e9]), [Math.fround(0.1), -2e9]],
  ["F16", Uint16Array.of(0x7bff, 0x0001, 0x7c00), [65504, 2 ** -24, Infinity]],
  ["BF16", Uint16Array.of(0x3eab, 0x8000, 0x7f80), [0.333984375, -0, Infinity]],
] as const)("%s becomes float32", async (dtype, data, values) => {
  await save("model.safetensors", { w: { dtype, shape: [data.length], data } });
  expect(await valuesOf((await openStored(dir)).get("w"))).toEqual([...values]);
});

test("a tensor of more than one piece is converted whole", async () => {
  const data = Uint16Array.from({ length: 2 ** 22 + 3 }, (_, i) => i & 0x7bff);
  await save("model.safetensors", { w: { dtype: "F16", shape: [data.length], data } });
  const tensor = (await openStored(dir)).get("w") as StoredTensor;
  const values = await readStored(tensor);
  const single = (i: number) => ({ ...tensor, shape: [1], offset: tensor.offset + 2 * i, length: 2 });
  for (const i of [0, 1, 2 ** 21 - 1, 2 ** 21, 2 ** 21 + 1, data.length - 1])
    expect([values[i]]).toEqual(await valuesOf(single(i)));
});

test("elements at strides are read in C order", async () => {
  await save("model.safetensors", { w: f32([24], ...Array.from({ length: 24 }, (_, i) => i)) });
  const tensor = (await openStored(dir)).get("w") as StoredTensor;
  expect(await valuesOf({ ...tensor, shape: [2, 3, 4], strides: [1, 2, 6] })).toEqual([
    0, 6, 12, 18, 2, 8, 14, 20, 4, 10, 16, 22, 1, 7, 13, 19, 3, 9, 15, 21, 5, 11, 17, 23,
  ]);
});

describe("refused in one sentence:", () => {
  const folder = (make: () => Promise<unknown>, message: RegExp) => async () => {
    await make();
    await expect(openStored(dir)).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(/^[^\n]+\.$/),
    });
    await expect(openStored(dir)).rejects.toThrow(message);
  };
  const a = () => save("one.safetensors", { a: f32([1], 1) });
  const both = () => save("two.safetensors", { a: f32([1], 1) });

  test(
    "a folder without weights",
    folder(async () => {}, /has no weights\. Choose .* model\.safetensors, /),
  );
  test(
    "a missing folder",
    folder(() => rm(dir, { recursive: true }), /does not exist\. Choose a model folder/),
  );
  test.each<[string, unknown, RegExp]>([
    [
      "a shard in the parent folder",
      { a: "../one.safetensors" },
      /"\.\.\/one\.safetensors", which is not a plain file/,
    ],
    ["a shard with an absolute path", { a: "/etc/passwd" }, /which is not a plain file name/],
    ["a shard on a drive", { a: "C:one.safetensors" }, /which is not a plain file name/],
    ["a shard with a backslash", { a: "..\\one.safetensors" }, /which is not a plain file name/],
    ["the folder as a shard", { a: "." }, /which is not a plain file name/],
    ["a shard without a name", { a: "" }, /which is not a plain file name/],
    ["a shard with a NUL in its name", { a: "one\u0000" }, /which is not a plain file name/],
    ["a shard that is a number", { a: 1 }, /the file of the tensor "a" is not a string/],
    ["a missing shard", { a: "three.safetensors" }, /three\.safetensors does not exist/],
    [
      "a tensor that its shard does not contain",
      { b: "one.safetensors" },
      /one\.safetensors does not contain the tensor "b"/,
    ],
    [
      "a tensor in two shards",
      { a: "one.safetensors", b: "two.safetensors" },
      /two of its files contain the tensor "a"/,
    ],
    ["no shards", {}, /it has no weight_map/],
    ["a list of shards", ["one.safetensors"], /it has no weight_map/],
  ])("%s", async (_, map, message) => {
    await folder(async () => {
      await Promise.all([a(), both()]);
      await saveIndex(map);
    }, message)();
  });
  test(
    "an index that is not JSON",
    folder(() => writeFile(join(dir, "model.safetensors.index.json"), "{"), /it is not valid JSON/),
  );
  test(
    "a link to itself",
    folder(() => symlink("model.safetensors", join(dir, "model.safetensors")), /a symbolic link in a loop/),
  );
  test(
    "a folder with the name of the file",
    folder(() => mkdir(join(dir, "model.safetensors")), /is a folder, not a file/),
  );
  test.skipIf(process.platform === "win32")(
    "a device (not on Windows)",
    folder(() => symlink("/dev/zero", join(dir, "model.safetensors")), /is a pipe or a device, not a file/),
  );
});
