import { spawn } from "node:child_process";
import { lstat, mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isGone, self } from "../../../src/engine/weights/owner";
import { finalPath, ownerOf, removeStale, temporaryName, writersOf } from "../../../src/engine/weights/temporary";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-temporary-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** The id of a process that has ended. */
async function endedPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((ended) => child.once("close", ended));
  return child.pid as number;
}

/** A temporary name with another owner. */
const nameWith = (owner: Partial<ReturnType<typeof self>>): string => {
  const { pid, start, host } = { ...self(), ...owner };
  return `.writing-model-${pid}-${start}-${host}-00000000`;
};

test("a temporary name contains its final name and its owner", () => {
  const temporary = temporaryName("/models/a-1/model.safetensors");
  expect(temporary).toMatch(/^.models.a-1.\.writing-model\.safetensors-\d+-/);
  expect(finalPath(`${temporary}/x`)).toBe(`${join("/models/a-1", "model.safetensors")}/x`);
  expect(ownerOf(basename(temporary))).toEqual(self());
  expect(temporaryName("/models/a")).not.toBe(temporaryName("/models/a"));
});

test("a temporary name of the longest file name fits the file system", async () => {
  await writeFile(temporaryName(join(dir, "é".repeat(127))), "");
});

test("a running process owns its files, an ended one and an earlier one with the same id do not", async () => {
  expect(isGone(self(), Date.now())).toBe(false);
  expect(isGone({ ...self(), pid: await endedPid(), start: "0" }, Date.now())).toBe(true);
  expect(isGone({ ...self(), pid: process.ppid, start: "0" }, Date.now())).toBe(false);
  // Before the machine was started.
  expect(isGone({ ...self(), pid: process.ppid, start: "0" }, 0)).toBe(true);
});

test.skipIf(process.platform !== "linux")("a process id that was given to another process does not count", () => {
  expect(isGone({ ...self(), start: "00000001" }, Date.now())).toBe(true);
  expect(isGone({ ...self(), pid: process.ppid, start: "00000001" }, Date.now())).toBe(true);
});

test("only the files and folders of killed processes are removed", async () => {
  const pid = await endedPid();
  const mine = basename(temporaryName(join(dir, "model")));
  const old = nameWith({ host: "00000002" });
  await mkdir(join(dir, nameWith({ pid }), "checkpoints"), { recursive: true });
  await symlink("nowhere", join(dir, nameWith({ pid, start: "0" })));
  for (const name of [mine, nameWith({ host: "00000001" }), old, ".writing-earlier-version", "model", ".hidden"]) {
    await writeFile(join(dir, name), "");
  }
  await utimes(join(dir, old), 1, 1);
  await removeStale(dir, join(dir, "missing"));
  const kept = [mine, nameWith({ host: "00000001" }), ".writing-earlier-version", "model", ".hidden"];
  expect((await readdir(dir)).sort()).toEqual(kept.sort());
  await utimes(join(dir, ".writing-earlier-version"), 1, 1);
  await removeStale(dir);
  await expect(lstat(join(dir, ".writing-earlier-version"))).rejects.toThrow("ENOENT");
});

test("the running writers of a path are found", async () => {
  const path = join(dir, "model");
  await mkdir(temporaryName(path));
  await mkdir(temporaryName(join(dir, "model-2")));
  await mkdir(join(dir, nameWith({ pid: await endedPid() })));
  expect(await writersOf(path)).toEqual([self()]);
});
