import { mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { EngineError } from "../../../src/engine/errors";
import { random } from "../../../src/engine/random";
import {
  convertGguf,
  openStored,
  quantizeFolder,
  readStored,
  type StoredTensor,
  writeSafetensors,
} from "../../../src/engine/weights";
import { mutatedBytes } from "../../fuzz/mutate";
import { expectAdvice, expectRejected, secondsOfWork } from "../../helpers/rejected";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "malformed-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const golden = (name: string) => fileURLToPath(new URL(`../../golden/checkpoints/${name}`, import.meta.url));

describe("a safetensors file is rejected:", () => {
  const crafted = (header: string | Uint8Array, data = 0, length?: number) => {
    const json = Buffer.from(header);
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(length ?? json.length));
    return Buffer.concat([prefix, json, Buffer.alloc(data)]);
  };
  const tensor = (shape: string, offsets = "[0,4]", dtype = '"F32"') =>
    `{"w":{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}}`;
  const deep = (n: number) => "[".repeat(n) + "]".repeat(n);
  test.each<[string, Buffer, RegExp]>([
    ["an empty file", Buffer.alloc(0), /is damaged: it is empty/],
    ["an empty header", crafted(""), /it starts with zeros, as after an incomplete download/],
    ["only a length", crafted("", 0, 100), /its header claims 100/],
    ["a name of 60 MB", crafted(`{"${"w\\\\".repeat(20_000_000)}":1}`), /the tensor "w.*…" has no valid description/],
    ["nesting of 90 MB", crafted(deep(45_000_000)), /its header is nested more than 20 levels deep/],
    [
      "90 MB of empty lists",
      crafted(`{"w":[${"[],".repeat(30_000_000)}1]}`),
      /its header has more than 4,000,000 values/,
    ],
    ["a Git LFS pointer", Buffer.from("version 1\noid sha256:00\nsize 9\n"), /its header claims/],
    ["bytes that are not UTF-8", crafted(Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)), /its header is not valid JSON/],
    ["a byte order mark", crafted(`\ufeff${tensor("[1]")}`, 4), /its header is not (valid JSON|a JSON object)/],
    ["deeply nested lists as the header", crafted(deep(200_000)), /its header is nested more than 20 levels deep/],
    [
      "deeply nested lists as a shape",
      crafted(tensor(deep(50_000)), 4),
      /its header is nested more than 20 levels deep/,
    ],
    [
      "deeply nested lists as a byte range",
      crafted(tensor("[1]", deep(50_000)), 4),
      /its header is nested more than 20 levels deep/,
    ],
    [
      "deeply nested lists as a type",
      crafted(tensor("[1]", "[0,4]", deep(50_000)), 4),
      /its header is nested more than 20 levels deep/,
    ],
    [
      "a million dimensions",
      crafted(tensor(`[${Array(500_000).fill(1)}]`, "[0,8]"), 8),
      /its shape \[1, 1, 1, 1, 1, 1, 1, 1, 1, …\]/,
    ],
    [
      "a very long name",
      crafted(tensor("[3]").replace("w", "w".repeat(100_000)), 4),
      /the tensor "w{40,}…" has 4 bytes, which does not match its shape/,
    ],
    ["a line break in a name", crafted(tensor("[3]").replace("w", "\\nw\\u2028"), 4), /the tensor "\\nw\\u2028" has/],
    ["a very long type", crafted(tensor("[1]", "[0,4]", `"${"F".repeat(1000)}"`), 4), /the unknown type "F{40,}…"/],
    ["a shape beyond exact integers", crafted(tensor("[9007199254740993]"), 4), /"w" has .* shape/],
    [
      "a shape of infinity",
      crafted(tensor("[1e999]"), 4),
      /"w" has the invalid shape \[more than 999,999,999,999,999\]/,
    ],
    ["a shape of null", crafted(tensor("null"), 4), /"w" has the invalid shape empty/],
    ["a shape that is a string", crafted(tensor('"1"'), 4), /"w" has the invalid shape "1"/],
    [
      "a byte range beyond exact integers",
      crafted(tensor("[1]", "[18446744073709551612,18446744073709551616]"), 4),
      /has the invalid byte range/,
    ],
    ["a byte range before the data", crafted(tensor("[1]", "[-4,0]"), 4), /has the invalid byte range/],
    ["a tensor that is a list", crafted('{"w":[]}'), /"w" has no valid description/],
    ["a tensor that is null", crafted('{"w":null}'), /"w" has no valid description/],
    ["a tensor named __proto__", crafted('{"__proto__":{"dtype":"F32"}}'), /"__proto__" has the invalid shape missing/],
    ["metadata that is a list", crafted('{"__metadata__":[]}'), /its metadata contains values that are not strings/],
  ])("%s", async (_, bytes, message) => {
    await writeFile(join(dir, "model.safetensors"), bytes);
    await expectRejected(() => openStored(dir), message);
  });

  test("a sparse tensor of 1 TB, before memory is allocated for it", async () => {
    const file = await open(join(dir, "model.safetensors"), "w");
    const header = crafted(tensor(`[${2 ** 38}]`, `[0,${2 ** 40}]`));
    await file.write(header);
    await file.truncate(header.length + 2 ** 40);
    await file.close();
    const tensors = await openStored(dir);
    await expectRejected(() => readStored(tensors.get("w")!), /Not enough memory for a tensor of 1099511627776 bytes/);
  });

  test("a file truncated after it was opened", async () => {
    await writeSafetensors(
      join(dir, "model.safetensors"),
      new Map([["w", { dtype: "F16", shape: [64], data: new Uint16Array(64) }]]),
    );
    const tensor = (await openStored(dir)).get("w")!;
    const file = await open(tensor.file, "r+");
    await file.truncate(tensor.offset + 5);
    await file.close();
    await expectRejected(() => readStored(tensor), /it is truncated/);
  });

  test("a sparse index of 200 MB", async () => {
    const file = await open(join(dir, "model.safetensors.index.json"), "w");
    await file.truncate(200_000_000);
    await file.close();
    await expectRejected(() => openStored(dir), /is too large \(200 MB\)/);
  });
});

test("a model whose config.json is a list is not quantized", async () => {
  await writeSafetensors(join(dir, "model.safetensors"), new Map());
  await writeFile(join(dir, "config.json"), "[]");
  await expectRejected(() => quantizeFolder(dir, join(dir, "out"), 8, () => true), /is not a JSON object/);
});

/** Enough to change every part of a header many times. */
const ROUNDS = 200;

describe(`files with ${ROUNDS} random changes are either read or rejected with advice:`, () => {
  const stored = (name: string) => ({
    path: () => join(dir, name),
    read: async () => {
      for (const tensor of (await openStored(dir)).values()) if (isFloat(tensor)) await readStored(tensor);
    },
  });
  const gguf = {
    path: () => join(dir, "model.gguf"),
    read: () => convertGguf(join(dir, "model.gguf"), join(dir, "out")),
  };
  test.each([
    ["zip.bin", stored("pytorch_model.bin")],
    ["zip-protocol4.bin", stored("pytorch_model.bin")],
    ["legacy.bin", stored("pytorch_model.bin")],
    ["legacy-protocol4.bin", stored("pytorch_model.bin")],
    ["gpt2-expected.safetensors", stored("model.safetensors")],
    ["llama.gguf", gguf],
    ["gpt2.gguf", gguf],
  ])(
    "%s",
    async (name, { path, read }) => {
      const whole = await readFile(golden(name));
      const draw = random(7, "changes", name);
      await mkdir(join(dir, "out"));
      const before = process.resourceUsage().maxRSS;
      let rejected = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const bytes = mutatedBytes(whole, draw);
        await writeFile(path(), bytes);
        const since = secondsOfWork();
        await read().catch((error: unknown) => {
          // The seed makes a failing round reproducible.
          expect(error, `round ${round}`).toBeInstanceOf(EngineError);
          expectAdvice((error as EngineError).message);
          rejected++;
        });
        expect(secondsOfWork() - since, `round ${round}`).toBeLessThan(1);
      }
      expect((process.resourceUsage().maxRSS - before) * 1024).toBeLessThan(400e6);
      // If nothing were rejected, the changes would test nothing.
      expect(rejected).toBeGreaterThan(ROUNDS / 10);
    },
    60_000,
  );
});

const isFloat = ({ dtype }: StoredTensor) => /^B?F\d+$/.test(dtype);
