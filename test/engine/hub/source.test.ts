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
