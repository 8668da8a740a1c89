import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linkOrCopy, onSameDisk, requireSpace } from "../../../src/engine/hub/disk";

/** A RAM disk on Linux. */
const OTHER_DISK = "/dev/shm";

let dir: string;
let file: string;
const content = new Uint8Array(5_000_000).map((_, i) => i % 251);
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-disk-"));
  file = join(dir, "weights");
  await writeFile(file, content);
});
afterAll(() => rm(dir, { recursive: true, force: true }));

const never = new AbortController().signal;

test("a file on the same disk is linked", async () => {
  await linkOrCopy(file, join(dir, "linked"), never, () => {});
  expect((await stat(join(dir, "linked"))).ino).toBe((await stat(file)).ino);
});

test("the free space of a missing folder is that of its parent", async () => {
  await requireSpace(join(dir, "not", "yet"), 1000);
  await expect(requireSpace(join(dir, "not", "yet"), 1e18)).rejects.toThrow(
    /: more than 1000 TB needed, [\d.]+ [GT]B free\. Free/,
  );
});

describe.skipIf(!existsSync(OTHER_DISK))("on another disk (skipped without /dev/shm)", () => {
  let other: string;
  beforeAll(async () => {
    other = await mkdtemp(join(OTHER_DISK, "decoder-lab-"));
  });
  afterAll(() => rm(other, { recursive: true, force: true }));

  test("a file is copied with progress", async () => {
    expect(await onSameDisk(dir, join(other, "not yet"))).toBe(false);
    const reports: number[] = [];
    await linkOrCopy(file, join(other, "copied"), never, (bytes) => reports.push(bytes));
    expect(await readFile(join(other, "copied"))).toEqual(Buffer.from(content));
    expect(reports.length).toBeGreaterThan(3);
    expect(reports.at(-1)).toBe(content.length);
  });

  test("copying stops when canceled", async () => {
    const stop = new AbortController();
    await expect(linkOrCopy(file, join(other, "half"), stop.signal, () => stop.abort())).rejects.toThrow(/abort/);
    expect((await stat(join(other, "half"))).size).toBeLessThan(content.length);
  });
});
