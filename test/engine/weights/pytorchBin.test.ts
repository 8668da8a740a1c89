import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStored, readStored } from "../../../src/engine/weights";

// Files that PyTorch wrote, and what it had put in: test/golden/make_checkpoints.py.
const golden = (name: string) => fileURLToPath(new URL(`../../golden/checkpoints/${name}`, import.meta.url));

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pytorch-bin-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const DTYPES: Readonly<Record<string, string>> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
  float64: "F64",
  int64: "I64",
  bool: "BOOL",
};

interface Expected {
  readonly shape: number[];
  readonly dtype: string;
  readonly values: number[];
}

describe.each(["zip", "zip-protocol4", "legacy", "legacy-protocol4"])("%s.bin", (name) => {
  test("has the tensors that PyTorch saved, shared, strided and single ones too", async () => {
    await copyFile(golden(`${name}.bin`), join(dir, "pytorch_model.bin"));
    const tensors = await openStored(dir);
    const expected = JSON.parse(await readFile(golden("expected.json"), "utf8")) as Record<string, Expected>;
    expect([...tensors.keys()]).toEqual(Object.keys(expected));
    for (const [key, { shape, dtype, values }] of Object.entries(expected)) {
      const tensor = tensors.get(key)!;
      expect(tensor, key).toMatchObject({ name: key, shape, dtype: DTYPES[dtype] });
      if (/^(int|bool)/.test(dtype)) continue;
      expect([...(await readStored(tensor))], key).toEqual(values.map(Math.fround));
    }
  });
});

test("tensors that are in C order have no strides, and their bytes are theirs", async () => {
  await copyFile(golden("zip.bin"), join(dir, "pytorch_model.bin"));
  const tensors = await openStored(dir);
  const strided = [...tensors.values()].filter(({ strides }) => strides).map(({ name }) => name);
  expect(strided).toEqual(["transposed", "rows", "cube", "bfloat16"]);
  const [base, shared, row] = ["base", "shared", "row"].map((name) => tensors.get(name)!);
  expect(shared!.offset).toBe(base!.offset);
  expect(row!.offset).toBe(base!.offset + 4 * 8);
  expect(row!.length).toBe(16);
});

test("shards of .bin files are opened by their index", async () => {
  await copyFile(golden("zip.bin"), join(dir, "pytorch_model-00001-of-00001.bin"));
  const weight_map = { weight: "pytorch_model-00001-of-00001.bin" };
  await writeFile(join(dir, "pytorch_model.bin.index.json"), JSON.stringify({ weight_map }));
  expect((await openStored(dir)).get("weight")).toMatchObject({ shape: [2, 3], dtype: "F32" });
});
