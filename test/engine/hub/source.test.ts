import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSource } from "../../../src/engine/hub";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-source-"));
  await mkdir(join(dir, "folder"));
  await writeFile(join(dir, "a.gguf"), "");
  await writeFile(join(dir, "a.txt"), "");
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test.each([
  ["openai-community/gpt2", { id: "openai-community/gpt2", revision: "main" }],
  ["gpt2", { id: "gpt2", revision: "main" }],
  [" facebook/opt-1.3b@refs/pr/1 ", { id: "facebook/opt-1.3b", revision: "refs/pr/1" }],
  ["a/b:some/c.Q4_0.gguf", { id: "a/b", revision: "main", file: "some/c.Q4_0.gguf" }],
  ["a/b@v1:c.gguf", { id: "a/b", revision: "v1", file: "c.gguf" }],
  ["https://huggingface.co/a/b", { id: "a/b", revision: "main" }],
  ["https://huggingface.co/a/b/tree/v1", { id: "a/b", revision: "v1" }],
])("%s is a model on the Hub", async (text, expected) => {
  expect(await parseSource(text)).toEqual({ kind: "hub", ...expected });
});

test("a path on disk takes precedence over a model on the Hub", async () => {
  expect(await parseSource(join(dir, "folder"))).toEqual({ kind: "folder", dir: join(dir, "folder") });
  expect(await parseSource(join(dir, "a.gguf"))).toEqual({ kind: "gguf", file: join(dir, "a.gguf") });
  expect(await parseSource("src/engine")).toMatchObject({ kind: "folder" });
});

test("a GGUF file is recognized under any name", async () => {
  await writeFile(join(dir, "sha256-4f5a"), "GGUF\x03\0\0\0");
  expect(await parseSource(join(dir, "sha256-4f5a"))).toEqual({ kind: "gguf", file: join(dir, "sha256-4f5a") });
  await writeFile(join(dir, "short"), "GGU");
  await expect(parseSource(join(dir, "short"))).rejects.toThrow(/short is a file\. Import its folder or a \.gguf file/);
});

test.skipIf(process.platform === "win32")("a pipe is rejected whatever its name (skipped without mkfifo)", async () => {
  for (const name of ["pipe", "pipe.gguf"]) {
    execFileSync("mkfifo", [join(dir, name)]);
    await expect(parseSource(join(dir, name))).rejects.toThrow(/ is a pipe or a device, not a file\. Choose a model/);
  }
});

describe("an invalid source is rejected with advice", () => {
  test.each([
    "",
    " ",
    "a/b/c",
    "a b",
    "../a",
    "a/b..c",
    "a/../b",
    "a@",
    "a@../b",
    "a/b:../c.gguf",
    "a--b/c",
    "http://evil/a/b",
    "a/b:c.bin",
  ])("%j", async (text) => {
    await expect(parseSource(text)).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(
        /^(".*" is neither a folder nor the name of a model\. Use|\/.* does not exist\. Choose).*\.$/,
      ),
    });
  });

  test("a missing path, and a file of another kind", async () => {
    await expect(parseSource(join(dir, "none"))).rejects.toThrow(
      /none does not exist\. Choose a model folder or a \.gguf/,
    );
    await expect(parseSource("~/none-of-the-kind")).rejects.toThrow(/^\/.*none-of-the-kind does not exist/);
    await expect(parseSource(join(dir, "a.txt"))).rejects.toThrow(
      /a\.txt is a file\. Import its folder or a \.gguf file\.$/,
    );
  });
});
