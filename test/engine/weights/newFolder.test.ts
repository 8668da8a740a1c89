import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeFolder, requireWritableFile } from "../../../src/engine/weights/files";
import { startFolder } from "../../../src/engine/weights/newFolder";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-folder-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test("a new folder appears when it is finished", async () => {
  const out = join(dir, "a", "b");
  const folder = await startFolder(out);
  await writeFile(join(folder.work, "config.json"), "{}");
  expect(existsSync(out)).toBe(false);
  await folder.finish();
  expect(await readdir(join(dir, "a"))).toEqual(["b"]);
  expect(await readdir(out)).toEqual(["config.json"]);
});

test("a discarded folder leaves nothing, not even its parents", async () => {
  await (await startFolder(join(dir, "a", "b", "c"))).discard();
  expect(await readdir(dir)).toEqual([]);
});

test("a folder that exists is used if it is empty, and so is the target of a link", async () => {
  await mkdir(join(dir, "real"));
  await symlink("real", join(dir, "link"));
  const folder = await startFolder(join(dir, "link"));
  await writeFile(join(folder.work, "x"), "");
  await folder.finish();
  expect(await readdir(join(dir, "real"))).toEqual(["x"]);
  expect((await readdir(dir)).sort()).toEqual(["link", "real"]);
});

test("the second of two folders with the same name is refused at its end", async () => {
  const [a, b] = [await startFolder(join(dir, "a")), await startFolder(join(dir, "a"))];
  for (const { work } of [a, b]) await writeFile(join(work, "x"), "");
  await a.finish();
  await expect(b.finish()).rejects.toThrow(/already exists and is not empty/);
});

test.skipIf(process.getuid?.() === 0)("an empty folder is used although its parent cannot be written", async () => {
  const out = join(dir, "parent", "out");
  await mkdir(out, { recursive: true });
  await chmod(join(dir, "parent"), 0o555);
  const folder = await startFolder(out);
  await writeFile(join(folder.work, "x"), "");
  await folder.finish();
  expect(await readdir(out)).toEqual(["x"]);
  await chmod(join(dir, "parent"), 0o755);
});

describe("one sentence before any work refuses", () => {
  const refused = (out: string, message: RegExp) =>
    expect(startFolder(out)).rejects.toMatchObject({ name: "EngineError", message: expect.stringMatching(message) });

  test.each(["", " ", "a\0b"])("the path %j", (out) =>
    refused(out, /^The path of the new folder is empty or not valid\./),
  );

  test.skipIf(process.platform !== "linux")("a folder in /proc, which has no end in Node's own mkdir", async () => {
    for (const out of ["/proc/x", "/proc/x/y/z", "/proc/self/x"]) {
      await refused(out, /^Could not (create|write) \/proc\/.*: .*\. Choose another folder/);
      await expect(makeFolder(out)).rejects.toMatchObject({ name: "EngineError" });
    }
  });

  test("a file, a folder in a file, a folder with files, and links that lead nowhere", async () => {
    await writeFile(join(dir, "file"), "");
    await symlink("nowhere", join(dir, "dangling"));
    await symlink("loop", join(dir, "loop"));
    await refused(join(dir, "file"), /file is a file\. Choose a folder\.$/);
    await refused(join(dir, "file", "x", "y"), /: part of the path is a file\. Choose another folder\./);
    await refused(dir, /already exists and is not empty\. Choose another folder\.$/);
    await refused(join(dir, "dangling"), /is a symbolic link to a folder that does not exist\./);
    await refused(join(dir, "loop"), /it is a symbolic link in a loop\./);
    expect((await readdir(dir)).sort()).toEqual(["dangling", "file", "loop"]);
  });

  test("a name that is too long", () => refused(join(dir, "a".repeat(300)), /: the name is too long\./));

  test.skipIf(process.getuid?.() === 0)("a folder without permission", async () => {
    await chmod(dir, 0o555);
    await refused(join(dir, "x"), /: permission denied\./);
    await chmod(dir, 0o755);
  });
});

test("a file cannot be written over a folder or a device, or into a missing folder", async () => {
  await requireWritableFile(join(dir, "x.dltrace"));
  await expect(requireWritableFile(dir)).rejects.toThrow(/is not a regular file\. Choose another name/);
  await expect(requireWritableFile(join(dir, "a", "b"))).rejects.toThrow(/its folder does not exist/);
  if (existsSync("/dev/null")) await expect(requireWritableFile("/dev/null")).rejects.toThrow(/is not a regular file/);
});
