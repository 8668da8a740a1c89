/** Things that may be in place of a file: a folder, a pipe, a device, a sparse file of a terabyte. */

import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, open, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inRoot } from "../../../scripts/paths";
import { openCorpus } from "../../../src/engine/data";
import { EngineError } from "../../../src/engine/errors";
import { importModel } from "../../../src/engine/hub";
import { openTrace } from "../../../src/engine/inspect/traceFile";
import { describeModel } from "../../../src/engine/models/describe";
import { openModel } from "../../../src/engine/models/folder";
import { checkpointsOf, readCheckpoint, reportsUntil } from "../../../src/engine/train/runFolder";
import { brokenRules } from "../../fuzz/messageRules";
import { secondsOfWork } from "../../helpers/rejected";

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "decoder-lab-strange-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const KINDS: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  "a folder": (path) => mkdir(path),
  "a pipe": async (path) => execFileSync("mkfifo", [path]),
  "a device": (path) => symlink("/dev/zero", path),
  "a link to itself": (path) => symlink(path, path),
  "a sparse file of a terabyte": async (path) => {
    const file = await open(path, "w");
    await file.truncate(2 ** 40);
    await file.close();
  },
};

const REQUIRED = ["config.json", "model.safetensors", "tokenizer.json"];
const OPTIONAL = [
  "tokenizer_config.json",
  "generation_config.json",
  "special_tokens_map.json",
  "training.json",
  "source.json",
  "quantization.json",
];

/** The message with which something is rejected; null if it is accepted. */
async function messageOf(use: () => Promise<unknown>): Promise<string | null> {
  const [since, memory] = [secondsOfWork(), process.resourceUsage().maxRSS];
  const error: unknown = await use().then(
    () => null,
    (thrown) => thrown,
  );
  expect(secondsOfWork() - since).toBeLessThan(1);
  expect((process.resourceUsage().maxRSS - memory) * 1024).toBeLessThan(200e6);
  if (error === null) return null;
  expect(error).toBeInstanceOf(EngineError);
  const { message } = error as EngineError;
  expect(brokenRules(message), message).toEqual([]);
  return message;
}

const MESSAGE =
  /is a pipe or a device, not a file|is too large \(1\.1 TB\)|is damaged|is a folder|symbolic link in a loop/;

describe.skipIf(process.platform === "win32")("in place of a file of a model,", () => {
  describe.each(Object.keys(KINDS))("%s", (kind) => {
    const replaced = async (...names: string[]) => {
      const dir = await mkdtemp(join(root, "model-"));
      await cp(inRoot("test", "golden", "characters"), dir, { recursive: true });
      for (const name of names) {
        await rm(join(dir, name), { force: true });
        await (KINDS[kind] as (path: string) => Promise<unknown>)(join(dir, name));
      }
      return dir;
    };

    test.each(REQUIRED)("as %s is rejected", async (name) => {
      const dir = await replaced(name);
      expect(await messageOf(() => openModel(dir))).toMatch(MESSAGE);
      if (name !== "tokenizer.json") expect(await messageOf(() => describeModel(dir))).toMatch(MESSAGE);
      await messageOf(() => importModel(dir, { out: join(root, "out") }));
      await rm(join(root, "out"), { recursive: true, force: true });
    });

    test.each(OPTIONAL)("as %s is rejected or not used", async (name) => {
      const dir = await replaced(name);
      await messageOf(() => openModel(dir));
      await messageOf(() => describeModel(dir));
    });

    test.each(["model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"])(
      "as %s is rejected",
      async (name) => {
        const dir = await replaced(name);
        await rm(join(dir, "model.safetensors"));
        expect(await messageOf(() => openModel(dir))).toMatch(MESSAGE);
      },
    );

    test("as vocab.json and merges.txt is rejected", async () => {
      const dir = await replaced("vocab.json", "merges.txt");
      await rm(join(dir, "tokenizer.json"));
      expect(await messageOf(() => openModel(dir))).toMatch(/vocab\.json|merges\.txt/);
    });

    test("as a file of a run is rejected or not used", async () => {
      const dir = await replaced("reports.jsonl", "optimizer.safetensors");
      expect(await messageOf(() => readCheckpoint(dir))).not.toBe(null);
      await messageOf(() => reportsUntil(dir, 10));
      expect(await messageOf(() => checkpointsOf(dir))).toBe(null);
    });

    test("as a trace, a GGUF file or a text is rejected", async () => {
      const dir = await replaced("a.dltrace", "a.gguf", "a.txt", "a.jsonl");
      expect(await messageOf(() => openTrace(join(dir, "a.dltrace")))).toMatch(MESSAGE);
      expect(await messageOf(() => importModel(join(dir, "a.gguf"), { out: join(root, "out") }))).not.toBe(null);
      for (const name of ["a.txt", "a.jsonl"])
        expect(await messageOf(() => openCorpus({ kind: "paths", paths: [join(dir, name)] }))).not.toBe(null);
    });
  });
});
