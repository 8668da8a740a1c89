import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStored, readStored } from "../../../src/engine/weights";
import { model, u16, u32, u64 } from "../../helpers/pickles";
import { expectRejected } from "../../helpers/rejected";
import { torchZip } from "../../helpers/zipFiles";

// Files written by PyTorch, with their expected content: test/golden/make_checkpoints.py.
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
  test("has the tensors that PyTorch saved, including shared, strided and scalar ones", async () => {
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

test.each(["hostile-zip.bin", "hostile-legacy.bin"])(
  "%s, which runs a command in Python, runs nothing here",
  async (name) => {
    await copyFile(golden(name), join(dir, "pytorch_model.bin"));
    await expectRejected(
      () => openStored(dir),
      /would run code while loading \(posix\.system\)\. .* so the file was rejected\. Use a model/,
    );
    expect(existsSync("hostile-was-run")).toBe(false);
  },
);

test("tensors in C order have no strides, and views share their storage", async () => {
  await copyFile(golden("zip.bin"), join(dir, "pytorch_model.bin"));
  const tensors = await openStored(dir);
  const strided = [...tensors.values()].filter(({ strides }) => strides).map(({ name }) => name);
  expect(strided).toEqual(["transposed", "rows", "cube", "bfloat16"]);
  const [base, shared, row] = ["base", "shared", "row"].map((name) => tensors.get(name)!);
  expect(shared!.offset).toBe(base!.offset);
  expect(row!.offset).toBe(base!.offset + 4 * 8);
  expect(row!.length).toBe(16);
});

test("shards of .bin files open through their index", async () => {
  await copyFile(golden("zip.bin"), join(dir, "pytorch_model-00001-of-00001.bin"));
  const weight_map = { weight: "pytorch_model-00001-of-00001.bin" };
  await writeFile(join(dir, "pytorch_model.bin.index.json"), JSON.stringify({ weight_map }));
  expect((await openStored(dir)).get("weight")).toMatchObject({ shape: [2, 3], dtype: "F32" });
});

test("a zip64 archive opens", async () => {
  const whole = torchZip(model(), (b, { central, directory, end, locals }) => {
    // Moves the size and offset of the storage and of the directory to 8-byte fields.
    const entry = central[1]!;
    b.fill(0xff, entry + 20, entry + 28);
    b.fill(0xff, entry + 42, entry + 46);
    b.writeUInt16LE(28, entry + 30);
    const extra = Buffer.from(`${u16(1)}${u16(24)}${u64(16n)}${u64(16n)}${u64(BigInt(locals[1]!))}`, "latin1");
    const length = BigInt(end - directory + extra.length);
    const sizes = `${u64(44n)}${u16(45)}${u16(45)}${u32(0)}${u32(0)}${u64(2n)}${u64(2n)}${u64(length)}${u64(BigInt(directory))}`;
    const locator = `PK\x06\x07${u32(0)}${u64(BigInt(end + extra.length))}${u32(1)}`;
    b.fill(0xff, end + 12, end + 20);
    return Buffer.concat([
      b.subarray(0, end),
      extra,
      Buffer.from(`PK\x06\x06${sizes}${locator}`, "latin1"),
      b.subarray(end),
    ]);
  });
  await writeFile(join(dir, "pytorch_model.bin"), whole);
  const tensor = (await openStored(dir)).get("w")!;
  expect(tensor).toMatchObject({ shape: [2, 2], length: 16 });
  expect(whole.subarray(tensor.offset - 8, tensor.offset).toString()).toBe("m/data/0");
});
