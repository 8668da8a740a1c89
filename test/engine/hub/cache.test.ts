import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CachedRepo } from "../../../src/engine/hub/cache";

const COMMIT = "c".repeat(40);
const HASH = "a".repeat(64);

let dir: string;
let cache: CachedRepo;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-cache-"));
  cache = new CachedRepo("org/name", dir);
  await mkdir(cache.blobs, { recursive: true });
  await writeFile(cache.blob(HASH), "content");
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const pointer = (name: string) => join(dir, "models--org--name", "snapshots", COMMIT, name);

test("without permission to create links, the file itself is in the snapshot", async () => {
  const refuse = () => Promise.reject(Object.assign(new Error("not allowed"), { code: "EPERM" }));
  expect(await cache.link(COMMIT, "model.safetensors", cache.blob(HASH), refuse)).toBe(pointer("model.safetensors"));
  expect((await lstat(pointer("model.safetensors"))).isFile()).toBe(true);
  expect(await readdir(cache.blobs)).toEqual([]);
  expect(await cache.find(COMMIT, "model.safetensors", { size: 7, hash: HASH })).toBe(pointer("model.safetensors"));
});

test("a broken link is replaced and does not count as a file", async () => {
  await mkdir(join(pointer(""), "."), { recursive: true });
  await symlink(join("..", "..", "blobs", "gone"), pointer("config.json"));
  expect(await cache.find(COMMIT, "config.json")).toBeNull();
  expect(await cache.filesOf(COMMIT)).toEqual(new Map());
  await cache.link(COMMIT, "config.json", cache.blob(HASH));
  expect(await readFile(pointer("config.json"), "utf8")).toBe("content");
  expect(await cache.filesOf(COMMIT)).toEqual(new Map([["config.json", 7]]));
});

test("content of another commit is found by its hash if its size matches", async () => {
  expect(await cache.find(COMMIT, "config.json", { size: 7, hash: HASH })).toBe(cache.blob(HASH));
  expect(await cache.find(COMMIT, "config.json", { size: 8, hash: HASH })).toBeNull();
});

test("a reference that is not a commit is ignored", async () => {
  await cache.saveCommit("main", COMMIT);
  expect(await cache.commitOf("main")).toBe(COMMIT);
  await cache.saveCommit("main", "../../elsewhere");
  expect(await cache.commitOf("main")).toBeNull();
  expect(await cache.commitOf("other")).toBeNull();
});
