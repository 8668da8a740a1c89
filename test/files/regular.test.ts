import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, open, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chunksOf, openRegular, readRegular, readRegularText } from "../../src/files/regular";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-files-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

test("a file is read whole and in chunks", async () => {
  const path = join(dir, "text");
  await writeFile(path, "one\ntwo");
  expect(await readRegularText(path, 7)).toBe("one\ntwo");
  const chunks: string[] = [];
  for await (const chunk of chunksOf(path, 4)) chunks.push(Buffer.from(chunk).toString());
  expect(chunks).toEqual(["one\n", "two"]);
  await symlink(path, join(dir, "link"));
  expect(await readRegularText(join(dir, "link"), 7)).toBe("one\ntwo");
});

test("a file above the limit is not read", async () => {
  const path = join(dir, "sparse");
  const file = await open(path, "w");
  await file.truncate(2 ** 40);
  await file.close();
  const before = process.memoryUsage().rss;
  await expect(readRegular(path, 1e8)).rejects.toMatchObject({ code: "TOO_LARGE", problem: "is too large (1.1 TB)" });
  expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
});

test("a folder and a missing file keep the codes of the file system", async () => {
  await mkdir(join(dir, "folder"));
  await expect(openRegular(join(dir, "folder"))).rejects.toMatchObject({ code: "EISDIR" });
  await expect(openRegular(join(dir, "none"))).rejects.toMatchObject({ code: "ENOENT" });
});

test("canceling ends the reading of chunks", async () => {
  const path = join(dir, "text2");
  await writeFile(path, "x".repeat(100));
  const canceled = new AbortController();
  const read = async () => {
    for await (const _ of chunksOf(path, 10, canceled.signal)) canceled.abort(new Error("canceled"));
  };
  await expect(read()).rejects.toThrow("canceled");
});

describe.skipIf(process.platform === "win32")("what is not a file is rejected at once:", () => {
  test("a pipe", async () => {
    execFileSync("mkfifo", [join(dir, "pipe")]);
    await expect(openRegular(join(dir, "pipe"))).rejects.toMatchObject({ code: "NOT_A_FILE" });
  });

  test.each(["/dev/zero", "/dev/null", "/dev/tty"])("the device %s", async (device) => {
    await expect(readRegular(device, 10)).rejects.toMatchObject({ code: "NOT_A_FILE" });
  });

  test("a socket", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(join(dir, "socket"), done));
    await expect(openRegular(join(dir, "socket"))).rejects.toMatchObject({ code: "NOT_A_FILE" });
    await new Promise((done) => server.close(done));
  });
});
