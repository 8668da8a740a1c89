import { createHash } from "node:crypto";
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { downloadFileToCacheDir, scanCacheDir } from "@huggingface/hub";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ImportProgress } from "../../../src/engine/api/hub";
import { importModel, searchHub } from "../../../src/engine/hub";
import { openModel, openWeights } from "../../../src/engine/models/folder";
import { readTensors, writeSafetensors } from "../../../src/engine/weights";
import { bytesOf, commitOf, type HubModel, type HubServer, hashOf, startHub, TOKEN } from "../../helpers/hubServer";

const SHIPPED = resolve(import.meta.dirname, "../../../media/model");
/** A model that is real: what is imported of it opens. */
const REAL_FILES = Object.fromEntries(
  await Promise.all(
    ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"].map(
      async (name) => [name, new Uint8Array(await readFile(join(SHIPPED, name)))] as const,
    ),
  ),
);
const { "model.safetensors": WEIGHTS = new Uint8Array(), ...SMALL } = REAL_FILES;
const REAL: HubModel = {
  id: "lab/real",
  files: {
    ...REAL_FILES,
    "README.md": "# A model",
    "modeling_real.py": "import os",
    "pytorch_model.bin": WEIGHTS.slice(1),
  },
};

/** In a hurry: waits are real, and short. */
const patience = { attempts: 3, firstWaitMs: 5, longestWaitMs: 2000, stallMs: 10_000 };

const home = await mkdtemp(join(tmpdir(), "decoder-lab-hub-"));
let hub: HubServer;
let dir: string;
let count = 0;

beforeEach(async () => {
  dir = join(home, String(++count));
  await mkdir(dir);
  process.env.HF_HOME = join(dir, "hf");
  delete process.env.HF_TOKEN;
  delete process.env.HF_HUB_OFFLINE;
  delete process.env.HF_HUB_CACHE;
  delete process.env.HUGGINGFACE_HUB_CACHE;
  hub = await startHub(REAL);
});
afterEach(() => hub.close());
afterAll(() => rm(home, { recursive: true, force: true }));

const cacheOf = (id: string) => join(dir, "hf", "hub", `models--${id.replace("/", "--")}`);
const bring = (source: string, options: Partial<Parameters<typeof importModel>[1]> = {}) =>
  importModel(source, { out: join(dir, "out"), endpoint: hub.endpoint, patience, ...options });
const refused = async (work: Promise<unknown>, message: RegExp) => {
  await expect(work).rejects.toMatchObject({ name: "EngineError", message: expect.stringMatching(message) });
  expect(await left()).toEqual([]);
};
const opens = async (folder: string) => expect((await openWeights(folder)).weights.size).toBeGreaterThan(0);
/** What an import has left beside the cache. */
const left = async () => (await readdir(dir)).filter((name) => name !== "hf");
/** How much of the weights is in the cache, as long as they are not whole. */
const keptBytes = async () => {
  const part = join(cacheOf("lab/real"), "blobs", `${hashOf(WEIGHTS)}.decoder-lab.incomplete`);
  return (await stat(part).catch(() => null))?.size ?? 0;
};
const until = async (holds: () => Promise<boolean>) => {
  while (!(await holds())) await sleep(20);
};
const filesAsked = () => hub.seen.filter(({ path }) => /\/(resolve|blobs)\//.test(path));
const source = async () => JSON.parse(await readFile(join(dir, "out", "source.json"), "utf8"));
const model = (files: HubModel["files"], more: Partial<HubModel> = {}): HubModel => {
  const added = { id: "lab/other", files, ...more };
  hub.models.push(added);
  return added;
};

describe("a model of the hub", () => {
  test("becomes a folder that opens, with the files that are needed and no others", async () => {
    expect(await bring("lab/real")).toEqual({ dir: join(dir, "out") });
    expect((await readdir(join(dir, "out"))).sort()).toEqual([
      "config.json",
      "model.safetensors",
      "source.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    await opens(join(dir, "out"));
    expect(filesAsked().some(({ path }) => /\.py|\.md|pytorch/.test(path))).toBe(false);
  });

  test("is recorded with its commit and every file's checksum", async () => {
    await bring("lab/real@main");
    const commit = commitOf(REAL);
    expect(await source()).toMatchObject({
      id: "lab/real",
      requested: "main",
      revision: commit,
      endpoint: hub.endpoint,
    });
    expect((await source()).files).toContainEqual({
      name: "model.safetensors",
      size: WEIGHTS.length,
      sha256: createHash("sha256").update(WEIGHTS).digest("hex"),
    });
    // The branch is asked for once; all else is of the commit that it was then.
    const asked = hub.seen.filter(({ host }) => host === "hub").map(({ path }) => path);
    expect(asked.slice(1).every((path) => path.includes(commit))).toBe(true);
  });

  test("lies in the cache as other tools expect it", async () => {
    await bring("lab/real");
    const pointer = join(cacheOf("lab/real"), "snapshots", commitOf(REAL), "model.safetensors");
    expect(await readlink(pointer)).toBe(join("..", "..", "blobs", hashOf(WEIGHTS)));
    expect(await readFile(join(cacheOf("lab/real"), "refs", "main"), "utf8")).toBe(commitOf(REAL));

    const { repos, warnings } = await scanCacheDir(join(dir, "hf", "hub"));
    expect(warnings).toEqual([]);
    expect(repos[0]?.revisions[0]).toMatchObject({ commitOid: commitOf(REAL), refs: ["main"] });
    expect(repos[0]?.id).toEqual({ name: "lab/real", type: "model" });
    expect(repos[0]?.filesCount).toBe(4);
  });

  test("is taken from the cache where another tool has put it there", async () => {
    for (const path of Object.keys(REAL_FILES)) {
      await downloadFileToCacheDir({ repo: "lab/real", path, revision: commitOf(REAL), hubUrl: hub.endpoint });
    }
    const before = filesAsked().length;
    expect(before).toBeGreaterThan(3);
    await bring("lab/real");
    expect(filesAsked()).toHaveLength(before);
  });

  test("is taken from a cache without links, as Windows has it", async () => {
    const snapshot = join(cacheOf("lab/real"), "snapshots", commitOf(REAL));
    await mkdir(snapshot, { recursive: true });
    for (const [name, bytes] of Object.entries(REAL_FILES)) await writeFile(join(snapshot, name), bytes);
    await bring("lab/real");
    expect(filesAsked()).toEqual([]);
    expect((await lstat(join(snapshot, "model.safetensors"))).isSymbolicLink()).toBe(false);
  });

  test("is fetched again where the cache's copy is damaged", async () => {
    await bring("lab/real");
    await writeFile(join(cacheOf("lab/real"), "blobs", hashOf(WEIGHTS)), new Uint8Array(WEIGHTS.length));
    await rm(join(dir, "out"), { recursive: true });
    await bring("lab/real");
    expect(await readFile(join(dir, "out", "model.safetensors"))).toEqual(Buffer.from(WEIGHTS));
  });

  test("stays whole when the cache is emptied", async () => {
    await bring("lab/real");
    await rm(join(dir, "hf"), { recursive: true });
    await opens(join(dir, "out"));
  });

  test("may be of a tag, a commit, or the revision given beside the source", async () => {
    model({ ...REAL_FILES }, { tags: ["v1", "refs/pr/1"] });
    for (const [i, given] of ["lab/other@v1", `lab/other@${commitOf(hub.models[1] as HubModel)}`].entries()) {
      await bring(given, { out: join(dir, `out-${i}`) });
    }
    await bring("lab/other", { revision: "refs/pr/1" });
    expect(await source()).toMatchObject({ requested: "refs/pr/1", revision: commitOf(hub.models[1] as HubModel) });
    expect(await readFile(join(cacheOf("lab/other"), "refs", "refs", "pr", "1"), "utf8")).toMatch(/^[\da-f]{40}$/);
  });

  test("has the weights of the shards that its index names", async () => {
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
    const tensors = [...(await readTensors(join(SHIPPED, "model.safetensors")))];
    const halves = [tensors.slice(0, 5), tensors.slice(5)];
    const weightMap = halves.flatMap((half, i) => half.map(([name]) => [name, shards[i]]));
    const index = JSON.stringify({ weight_map: Object.fromEntries(weightMap) });
    const files: Record<string, Uint8Array> = {};
    for (const [i, half] of halves.entries()) {
      const file = join(dir, "hf", "shard");
      await mkdir(join(dir, "hf"), { recursive: true });
      await writeSafetensors(file, new Map(half.map(([name, tensor]) => [name, { ...tensor, dtype: "F32" }])));
      files[shards[i] as string] = await readFile(file);
    }
    model({ ...SMALL, ...files, "model.safetensors.index.json": index, "model-00003-of-00002.safetensors": "another" });
    await bring("lab/other");
    const weights = (await readdir(join(dir, "out"))).filter((name) => name.startsWith("model"));
    expect(weights.sort()).toEqual([...shards, "model.safetensors.index.json"]);
    await opens(join(dir, "out"));
  });

  test("reports bytes that grow to the whole", async () => {
    const reports: ImportProgress[] = [];
    await bring("lab/real", { onProgress: (report) => reports.push(report) });
    expect(reports[0]).toMatchObject({ phase: "connect" });
    const downloads = reports.filter(({ phase, totalBytes }) => phase === "download" && totalBytes > WEIGHTS.length);
    const bytes = downloads.map((report) => report.bytes);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    expect(bytes.at(-1)).toBe(downloads[0]?.totalBytes);
  });
});

describe("a download that does not go well", () => {
  test("goes on where the connection was cut", async () => {
    hub.trouble = ({ host, before }) => (host === "cdn" && before < 2 ? { kind: "cut", after: 300_000 } : undefined);
    await bring("lab/real");
    const ranges = hub.seen.filter(({ host }) => host === "cdn").map(({ range }) => range);
    expect(ranges).toHaveLength(3);
    const [first, ...later] = ranges;
    expect(first).toBeUndefined();
    const starts = later.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
    // What was under way when the connection was cut may be lost.
    const [second = 0, third = 0] = starts;
    expect(second).toBeGreaterThan(0);
    expect(third).toBeGreaterThan(second);
    expect(third).toBeLessThanOrEqual(second + 300_000);
  });

  test("is given up where it does not move on, and the next import goes on with it", async () => {
    hub.trouble = ({ host, range }) => (host === "cdn" ? { kind: "cut", after: range ? 0 : 300_000 } : undefined);
    await refused(bring("lab/real"), /^Cannot reach 127\.0\.0\.1:\d+ \(.+\); check the network, use a mirror/);
    hub.trouble = () => undefined;
    const kept = await keptBytes();
    expect(kept).toBeGreaterThan(0);
    await bring("lab/real");
    expect(hub.seen.at(-1)?.range).toBe(`bytes=${kept}-`);
  });

  test("is cut where nothing comes any more", async () => {
    hub.trouble = ({ host, before }) =>
      host === "cdn" && before === 0 ? { kind: "stall", after: 100_000 } : undefined;
    await bring("lab/real", { patience: { ...patience, stallMs: 1000 } });
    expect(hub.seen.at(-1)?.range).toMatch(/^bytes=\d+-$/);
  });

  test("begins again where the server knows no ranges", async () => {
    hub.trouble = ({ host, before }) => {
      if (host !== "cdn") return undefined;
      return before === 0 ? { kind: "cut", after: 300_000 } : { kind: "noRanges" };
    };
    await bring("lab/real");
    await opens(join(dir, "out"));
  });

  test("leaves only what it can go on with when it is canceled, and no byte is fetched twice", async () => {
    const stop = new AbortController();
    const reason = new Error("stopped by the user");
    hub.trouble = ({ host }) => {
      if (host !== "cdn") return undefined;
      void until(async () => (await keptBytes()) === 500_000).then(() => stop.abort(reason));
      return { kind: "stall", after: 500_000 };
    };
    await expect(bring("lab/real", { signal: stop.signal, patience: { ...patience, stallMs: 60_000 } })).rejects.toBe(
      reason,
    );
    expect(await left()).toEqual([]);

    const part = (await readdir(join(cacheOf("lab/real"), "blobs"))).filter((name) => name.endsWith(".incomplete"));
    expect(part).toEqual([`${hashOf(WEIGHTS)}.decoder-lab.incomplete`]);
    hub.trouble = () => undefined;
    await bring("lab/real");
    expect(hub.seen.at(-1)?.range).toBe("bytes=500000-");
  });

  test("is fetched once again where its checksum is wrong", async () => {
    hub.trouble = ({ host, before }) => (host === "cdn" && before === 0 ? { kind: "wrongBytes" } : undefined);
    await bring("lab/real");
    expect(hub.seen.filter(({ host }) => host === "cdn")).toHaveLength(2);
    expect(await readFile(join(dir, "out", "model.safetensors"))).toEqual(Buffer.from(WEIGHTS));
  });

  test("is refused where its checksum is wrong twice, and nothing of it is kept", async () => {
    hub.trouble = ({ path }) => (path.endsWith("/tokenizer.json") ? { kind: "wrongBytes" } : undefined);
    await refused(
      bring("lab/real"),
      /^tokenizer\.json does not have the content that .* says \(its checksum is wrong, twice\); try/,
    );
    expect(await readdir(join(cacheOf("lab/real"), "blobs"))).toEqual([
      hashOf(REAL_FILES["config.json"] as Uint8Array),
    ]);
  });

  test("waits as long as a busy server asks for", async () => {
    hub.trouble = ({ path, before }) =>
      path.includes("/tree/") && before === 0
        ? { kind: "status", status: 429, headers: { "retry-after": "1" } }
        : undefined;
    const began = performance.now();
    await bring("lab/real");
    expect(performance.now() - began).toBeGreaterThan(990);
  });

  test("does not wait for a server that asks for too much", async () => {
    hub.trouble = () => ({ kind: "status", status: 429, headers: { "retry-after": "300" } });
    await refused(bring("lab/real"), /has had too many requests from here; try again in 300 seconds\.$/);
    expect(hub.seen).toHaveLength(1);
  });

  test("is tried again while the server has trouble, and then not", async () => {
    hub.trouble = ({ before }) => (before === 0 ? { kind: "status", status: 503 } : undefined);
    await bring("lab/real");
    hub.trouble = () => ({ kind: "status", status: 502 });
    await rm(join(dir, "out"), { recursive: true });
    await refused(bring("lab/real"), /has trouble answering \(HTTP 502\); try again later, or use a mirror\.$/);
  });

  test("imports of one model at once all end well", async () => {
    model({ ...REAL_FILES });
    await Promise.all(["a", "b", "c", "d"].map((name) => bring("lab/other", { out: join(dir, name) })));
    for (const name of ["a", "b", "c", "d"]) await opens(join(dir, name));
  });
});

describe("what is refused before weights are fetched", () => {
  const noWeights = () =>
    expect(filesAsked().filter(({ path }) => /\.(safetensors|bin)$|blobs/.test(path))).toEqual([]);
  afterEach(noWeights);

  test("an architecture that is not known", async () => {
    model({ ...SMALL, "config.json": '{"model_type":"t5"}', "model.safetensors": WEIGHTS });
    await refused(
      bring("lab/other"),
      /^config\.json of lab\/other: model_type "t5" is not supported; .* decoder_lab, gpt2, /,
    );
  });

  test("a model without weights, without a tokenizer that can be read, without a configuration", async () => {
    const other = model(SMALL);
    await refused(bring("lab/other"), /^lab\/other has no weights; it needs model\.safetensors or/);
    hub.models[1] = { ...other, files: { "config.json": "{}", "model.safetensors": WEIGHTS, "tokenizer.model": "" } };
    await refused(
      bring("lab/other"),
      /^lab\/other has its tokenizer in tokenizer\.model only, which cannot be read; choose/,
    );
    hub.models[1] = { ...other, files: { "x.Q4_0.gguf": WEIGHTS } };
    await refused(bring("lab/other"), /has no config\.json, only GGUF files; import one of them: x\.Q4_0\.gguf\.$/);
  });

  test("a configuration or a tokenizer that cannot be read", async () => {
    const other = model({
      ...SMALL,
      "model.safetensors": WEIGHTS,
      "config.json": '{"model_type":"gpt2","n_layer":-1}',
    });
    await refused(bring("lab/other"), /^config\.json of lab\/other: /);
    hub.models[1] = { ...other, files: { ...SMALL, "model.safetensors": WEIGHTS, "config.json": "{" } };
    await refused(bring("lab/other"), /^config\.json of lab\/other is damaged \(it is not JSON\)/);
    hub.models[1] = { ...other, files: { ...SMALL, "model.safetensors": WEIGHTS, "tokenizer.json": "{}" } };
    await refused(bring("lab/other"), /^tokenizer\.json: it has no vocabulary/);
  });

  test.each(["../../evil", "/etc/evil", "..\\evil", "C:\\evil"])("a file by the name of %s", async (name) => {
    model({ ...SMALL, "model.safetensors": WEIGHTS, [name]: "evil" });
    await refused(bring("lab/other"), /lists the file .*evil", which would lie outside of its folder/);
  });

  test.each(["../model.safetensors", "modeling.py", "missing.safetensors"])("an index that names %s", async (shard) => {
    model({
      ...SMALL,
      "model.safetensors.index.json": JSON.stringify({ weight_map: { a: shard } }),
      "modeling.py": "",
    });
    await refused(bring("lab/other"), /names .*(not a plain file name|no file of weights|not there); take/);
    expect(filesAsked().map(({ path }) => path.split("/").at(-1))).toEqual([
      "config.json",
      "model.safetensors.index.json",
    ]);
  });

  test("a configuration that is longer than any", async () => {
    const big = { type: "file", path: "config.json", size: 5e9, oid: "a".repeat(40) };
    const rest = ["model.safetensors", "tokenizer.json"].map((path) => ({ ...big, path, size: 9 }));
    hub.trouble = ({ path }) =>
      path.includes("/tree/") ? { kind: "body", body: JSON.stringify([big, ...rest]) } : undefined;
    await refused(
      bring("lab/real"),
      /^config\.json of lab\/real has 5000 MB, which no such file needs; choose another/,
    );
    expect(filesAsked()).toEqual([]);
  });

  test("more than the disk has", async () => {
    const other = model({ ...SMALL, "model.safetensors": WEIGHTS });
    hub.trouble = ({ path }) =>
      path.includes("/tree/") && path.includes(commitOf(other))
        ? {
            kind: "body",
            body: JSON.stringify(
              Object.entries(other.files).map(([path, content]) => ({
                type: "file",
                path,
                size: content.length,
                oid: hashOf(bytesOf(content)),
                ...(path === "model.safetensors" && { lfs: { oid: hashOf(WEIGHTS), size: 4e15, pointerSize: 1 } }),
              })),
            ),
          }
        : undefined;
    await refused(bring("lab/other"), /has \d+\.\d GB free and 4000000\.0 GB are needed; free some space/);
  });
});

describe("who may read what", () => {
  test("the token goes to the hub, and to no other host", async () => {
    await bring("lab/real", { token: TOKEN });
    const [onHub, elsewhere] = [
      hub.seen.filter(({ host }) => host === "hub"),
      hub.seen.filter(({ host }) => host === "cdn"),
    ];
    expect(new Set(onHub.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(elsewhere.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test("the token comes from HF_TOKEN, or from the file that Python's tools write", async () => {
    model({ ...REAL_FILES }, { gated: true });
    process.env.HF_TOKEN = TOKEN;
    await bring("lab/other", { out: join(dir, "a") });
    delete process.env.HF_TOKEN;
    await writeFile(join(dir, "hf", "token"), `${TOKEN}\n`);
    await rm(cacheOf("lab/other"), { recursive: true });
    await bring("lab/other", { out: join(dir, "b") });
  });

  test("a gated model says where its license is", async () => {
    model({ ...REAL_FILES }, { gated: true });
    const license = new RegExp(`^lab/other is gated: accept its license at ${hub.endpoint}/lab/other and give a token`);
    await refused(bring("lab/other"), license);
  });

  test("a token that is not known is told apart from a model that is not there", async () => {
    await refused(
      bring("lab/real", { token: "hf_wrong" }),
      /does not know the token; make a new one at .*\/settings\/tokens/,
    );
    await refused(bring("lab/real", { token: "hf wrong" }), /^The token has characters that no token has/);
  });

  test("a name that is not there comes with those that are like it", async () => {
    await refused(
      bring("other/real"),
      /^There is no model other\/real at .*, or it is private: .* Did you mean lab\/real\?$/,
    );
    await refused(bring("lab/real", { revision: "../../evil" }), /^"\.\.\/\.\.\/evil" is no revision; give a branch/);
    await refused(bring("lab/real@v9"), /^lab\/real has no revision "v9"; leave it out, or choose one of /);
  });
});

describe("without a network", () => {
  test("only the cache is asked, by the setting or the variable", async () => {
    await bring("lab/real", { out: join(dir, "a") });
    const before = hub.seen.length;
    await bring("lab/real", { out: join(dir, "b"), offline: true });
    process.env.HF_HUB_OFFLINE = "1";
    await bring("lab/real", { out: join(dir, "c") });
    await bring(`lab/real@${commitOf(REAL)}`);
    expect(hub.seen).toHaveLength(before);
    await opens(join(dir, "out"));
  });

  test("what the cache does not have, or not whole, is said", async () => {
    await refused(
      bring("lab/real", { offline: true }),
      /^The cache does not have lab\/real at main; import it once with/,
    );
    const snapshot = join(cacheOf("lab/real"), "snapshots", commitOf(REAL));
    await mkdir(join(cacheOf("lab/real"), "refs"), { recursive: true });
    await mkdir(snapshot, { recursive: true });
    await writeFile(join(cacheOf("lab/real"), "refs", "main"), commitOf(REAL));
    await writeFile(join(snapshot, "config.json"), REAL_FILES["config.json"] as Uint8Array);
    await symlink(join("..", "..", "blobs", "gone"), join(snapshot, "model.safetensors"));
    await refused(bring("lab/real", { offline: true }), /^The cache's copy of lab\/real has no weights; it needs/);
  });

  test("a damaged file of the cache is told as that", async () => {
    await bring("lab/real", { out: join(home, `kept-${count}`) });
    await writeFile(join(cacheOf("lab/real"), "blobs", hashOf(WEIGHTS)), new Uint8Array(WEIGHTS.length));
    await refused(
      bring("lab/real", { offline: true }),
      /blobs\/[\da-f]{64} is damaged; import lab\/real once with a network/,
    );
  });

  test("a hub that cannot be reached is named, with what to do instead", async () => {
    const other = await startHub();
    await other.close();
    const away = { endpoint: other.endpoint };
    await refused(bring("lab/real", away), /^Cannot reach 127\.0\.0\.1:\d+ \(ECONNREFUSED\); check the network/);
    await bring("lab/real", { out: join(home, `cached-${count}`) });
    await refused(bring("lab/real", away), /The cache has lab\/real: import it offline\.$/);
  });

  test("a page where the hub should be is told as that", async () => {
    hub.trouble = () => ({ kind: "body", body: "<html>Please log in</html>" });
    await refused(bring("lab/real"), /does not answer as a hub does \(.*\); check the address, and whether a proxy/);
    await expect(searchHub("x", { endpoint: hub.endpoint })).rejects.toThrow(/does not answer as a hub does/);
    await refused(
      bring("lab/real", { endpoint: "huggingface.co" }),
      /^The endpoint "huggingface\.co" is no web address/,
    );
  });
});

test("weights that are of another model are refused by the model's name, and leave nothing", async () => {
  const config = JSON.parse(new TextDecoder().decode(REAL_FILES["config.json"]));
  model({ ...REAL_FILES, "config.json": JSON.stringify({ ...config, nLayers: config.nLayers + 1 }) });
  await refused(bring("lab/other"), /^lab\/other has no tensor "blocks\.\d\..*", which its config\.json asks for/);
});

describe("a GGUF file", () => {
  const golden = resolve(import.meta.dirname, "../../golden/checkpoints");

  test("on the disk becomes a model folder", async () => {
    await importModel(join(golden, "llama.gguf"), { out: join(dir, "out") });
    expect((await openModel(join(dir, "out"))).info.family).toBe("llama");
    expect(await source()).toMatchObject({ folder: golden, files: [{ name: "llama.gguf" }] });
  });

  test("of a model of the hub, in a folder of it", async () => {
    model({ "README.md": "only that", "some/tiny.gguf": await readFile(join(golden, "gpt2.gguf")) });
    await refused(bring("lab/other:tiny.gguf"), /has no file tiny\.gguf; choose/);
    await bring("lab/other:some/tiny.gguf");
    expect((await openModel(join(dir, "out"))).info.family).toBe("gpt2");
  });

  test("that is damaged is told by its name", async () => {
    model({ "bad.gguf": "GGUF, but no more of it".repeat(300) });
    await refused(bring("lab/other:bad.gguf"), /^bad\.gguf of lab\/other is damaged: /);
  });
});

describe("quantizing on import", () => {
  test.each([
    ["int8", "8-bit"],
    ["int4", "4-bit"],
  ] as const)("to %s keeps the matrices in %s, and says what that cost", async (quantize, precision) => {
    const phases = new Set<string>();
    await bring("lab/real", { quantize, onProgress: ({ phase }) => phases.add(phase) });
    expect((await openModel(join(dir, "out"))).info.precision).toBe(precision);
    expect(await source()).toMatchObject({ id: "lab/real", quantize });
    expect(phases).toContain("quantize");
    expect((await readdir(join(dir, "out"))).sort()).toEqual([
      "config.json",
      "model.safetensors",
      "quantization.json",
      "source.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const { tensors } = JSON.parse(await readFile(join(dir, "out", "quantization.json"), "utf8"));
    const errors = Object.values<{ relativeError: number }>(tensors).map(({ relativeError }) => relativeError);
    expect(errors.length).toBeGreaterThan(8);
    expect(Math.max(...errors)).toBeLessThan(quantize === "int8" ? 0.01 : 0.15);
  });

  test("is not done twice", async () => {
    await bring("lab/real", { quantize: "int8", out: join(dir, "hf", "eight") });
    await refused(
      bring(join(dir, "hf", "eight"), { quantize: "int4" }),
      /eight is quantized already; import it as it is/,
    );
  });

  test("leaves nothing when it is canceled", async () => {
    const stop = new AbortController();
    const reason = new Error("stopped by the user");
    const onProgress = ({ phase }: ImportProgress) => phase === "quantize" && stop.abort(reason);
    await expect(bring("lab/real", { quantize: "int8", signal: stop.signal, onProgress })).rejects.toBe(reason);
    expect(await left()).toEqual([]);
  });
});

describe("answers that no hub gives end in one sentence", () => {
  const file = { type: "file", path: "config.json", size: 2, oid: "a".repeat(40) };
  const trees: unknown[] = [
    null,
    5,
    {},
    [null],
    [[]],
    [{}],
    [{ ...file, path: 7 }],
    [{ ...file, path: "" }],
    [{ ...file, size: -1 }],
    [{ ...file, size: 1.5 }],
    [{ ...file, size: "2" }],
    [{ ...file, oid: "../../evil" }],
    [{ ...file, oid: undefined }],
    [{ ...file, lfs: { oid: "a".repeat(63), size: 2 } }],
    [{ ...file, lfs: { oid: "a".repeat(64), size: 1e300 } }],
    [{ ...file, lfs: 9 }],
  ];
  test.each(trees.map((tree) => JSON.stringify(tree)))("to which files there are: %s", async (body) => {
    hub.trouble = ({ path }) => (path.includes("/tree/") ? { kind: "body", body } : undefined);
    await refused(bring("lab/real"), /^[^\n]*; (c|it needs)[^\n]*\.$/);
  });

  test.each([
    "null",
    "[]",
    "{}",
    '{"sha":5}',
    '{"sha":"main"}',
    '{"sha":"../../../../../../../../../../../evil"}',
    "{",
  ])("to which commit it is: %s", async (body) => {
    hub.trouble = ({ path }) => (path.includes("/revision/") ? { kind: "body", body } : undefined);
    await refused(bring("lab/real"), /does not answer as a hub does \([^\n]*\); check the address/);
  });
});

describe("a folder on the disk", () => {
  test("becomes a model folder of its own, by hard links", async () => {
    await importModel(SHIPPED, { out: join(dir, "out") });
    await opens(join(dir, "out"));
    expect(await source()).toMatchObject({ folder: SHIPPED });
    expect(hub.seen).toEqual([]);
  });

  test("follows the links of a cache's snapshot", async () => {
    await bring("lab/real", { out: join(dir, "a") });
    await importModel(join(cacheOf("lab/real"), "snapshots", commitOf(REAL)), { out: join(dir, "out") });
    expect((await lstat(join(dir, "out", "model.safetensors"))).isSymbolicLink()).toBe(false);
  });

  test("is not written over", async () => {
    await mkdir(join(dir, "out"));
    await writeFile(join(dir, "out", "mine.txt"), "mine");
    await expect(bring("lab/real")).rejects.toThrow(/out is there already and not empty; choose another folder\.$/);
    expect(await readdir(join(dir, "out"))).toEqual(["mine.txt"]);
    expect(hub.seen).toEqual([]);
  });

  test("of two imports into one, the second is refused", async () => {
    const both = await Promise.allSettled([bring("lab/real"), bring("lab/real")]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const refusal = both.find((result) => result.status === "rejected");
    expect(String(refusal?.reason)).toMatch(/out is there already and not empty/);
    expect(await left()).toEqual(["out"]);
  });

  test("takes the place of an empty one", async () => {
    await mkdir(join(dir, "out"));
    await bring("lab/real");
    expect(await left()).toEqual(["out"]);
  });

  test("that has been cloned without its large files is refused with what to do", async () => {
    const clone = join(dir, "hf", "clone");
    await mkdir(clone, { recursive: true });
    for (const [name, bytes] of Object.entries(SMALL)) await writeFile(join(clone, name), bytes);
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${hashOf(WEIGHTS)}\nsize ${WEIGHTS.length}\n`;
    await writeFile(join(clone, "model.safetensors"), pointer);
    await refused(
      bring(clone),
      /clone\/model\.safetensors is only Git LFS's pointer to the weights; run `git lfs pull`/,
    );
  });

  test("with links that lead in a circle is refused", async () => {
    const loop = join(dir, "hf", "loop");
    await mkdir(loop, { recursive: true });
    await symlink("config.json", join(loop, "config.json"));
    await refused(bring(loop), /is a link that leads in a circle; choose another\.$/);
  });
});

test("searching finds models whose architecture is known, most downloaded first", async () => {
  const config = (type: string) => ({ "config.json": JSON.stringify({ model_type: type }) });
  model(config("gpt2"), { id: "a/tiny-gpt", downloads: 5, parameters: 124 });
  model(config("llama"), { id: "b/tiny-llama", downloads: 50 });
  model(config("t5"), { id: "c/tiny-t5", downloads: 500 });
  const access = { endpoint: hub.endpoint, patience };
  expect(await searchHub("tiny", access)).toEqual([
    { id: "b/tiny-llama", downloads: 50, likes: 3, modelType: "llama" },
    { id: "a/tiny-gpt", downloads: 5, likes: 3, modelType: "gpt2", parameters: 124 },
  ]);
  expect(await searchHub("nothing of the kind", access)).toEqual([]);
});
