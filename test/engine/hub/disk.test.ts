import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { linkOrCopy, onOneDisk, requireSpace } from "../../../src/engine/hub/disk";

/** Memory that Linux offers as a disk of its own. */
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

test("a file on the same disk takes no space twice", async () => {
  await linkOrCopy(file, join(dir, "linked"), never, () => {});
  expect((await stat(join(dir, "linked"))).ino).toBe((await stat(file)).ino);
});

test("space is that of the folder above where the folder is not there yet", async () => {
  await requireSpace(join(dir, "not", "yet"), 1000);
  await expect(requireSpace(join(dir, "not", "yet"), 1e18)).rejects.toThrow(
    /GB free and 1000000000\.0 GB are needed; free/,
  );
});

describe.skipIf(!existsSync(OTHER_DISK))("on another disk (skipped where there is no /dev/shm)", () => {
  let other: string;
  beforeAll(async () => {
    other = await mkdtemp(join(OTHER_DISK, "decoder-lab-"));
  });
  afterAll(() => rm(other, { recursive: true, force: true }));

  test("a file is copied, and tells how far it is", async () => {
    expect(await onOneDisk(dir, join(other, "not yet"))).toBe(false);
    const told: number[] = [];
    await linkOrCopy(file, join(other, "copied"), never, (bytes) => told.push(bytes));
    expect(await readFile(join(other, "copied"))).toEqual(Buffer.from(content));
    expect(told.length).toBeGreaterThan(3);
    expect(told.at(-1)).toBe(content.length);
  });

  test("copying ends when it is canceled", async () => {
    const stop = new AbortController();
    await expect(linkOrCopy(file, join(other, "half"), stop.signal, () => stop.abort())).rejects.toThrow(/abort/);
    expect((await stat(join(other, "half"))).size).toBeLessThan(content.length);
  });
});
