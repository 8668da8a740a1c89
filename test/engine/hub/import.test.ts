import { createHash } from "node:crypto";
import {
  copyFile,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { downloadFileToCacheDir, scanCacheDir } from "@huggingface/hub";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ImportProgress } from "../../../src/engine/api/hub";
import { importModel, searchHub } from "../../../src/engine/hub";
import { openModel, openWeights } from "../../../src/engine/models/folder";
import { readTensors, writeSafetensors } from "../../../src/engine/weights";
import { ggufFile, info, LLAMA_DATA, llamaInfos, llamaValues, value } from "../../helpers/ggufFiles";
import { bytesOf, commitOf, type HubModel, type HubServer, hashOf, startHub, TOKEN } from "../../helpers/hubServer";

const CHARACTERS = resolve(import.meta.dirname, "../../golden/characters");
/** A real model, so that imported folders can be opened. */
const REAL_FILES = Object.fromEntries(
  await Promise.all(
    ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"].map(
      async (name) => [name, new Uint8Array(await readFile(join(CHARACTERS, name)))] as const,
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

/** Short waits. */
const retry = { attempts: 3, firstWaitMs: 5, longestWaitMs: 2000, stallMs: 10_000, answerMs: 60_000 };

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
const importFrom = (source: string, options: Partial<Parameters<typeof importModel>[1]> = {}) =>
  importModel(source, { out: join(dir, "out"), endpoint: hub.endpoint, retry, ...options });
const rejected = async (work: Promise<unknown>, message: RegExp) => {
  await expect(work).rejects.toMatchObject({ name: "EngineError", message: expect.stringMatching(message) });
  expect(await left()).toEqual([]);
};
const opens = async (folder: string) => expect((await openWeights(folder)).weights.size).toBeGreaterThan(0);
/** Files that an import has left outside the cache. */
const left = async () => (await readdir(dir)).filter((name) => name !== "hf");
/** Number of bytes of a partial download of the weights. */
const keptBytes = async () => {
  const part = join(cacheOf("lab/real"), "blobs", `${hashOf(WEIGHTS)}.decoder-lab.incomplete`);
  return (await stat(part).catch(() => null))?.size ?? 0;
};
const until = async (holds: () => Promise<boolean>) => {
  while (!(await holds())) await sleep(20);
};
const fileRequests = () => hub.seen.filter(({ path }) => /\/(resolve|blobs)\//.test(path));
const source = async () => JSON.parse(await readFile(join(dir, "out", "source.json"), "utf8"));
const model = (files: HubModel["files"], more: Partial<HubModel> = {}): HubModel => {
  const added = { id: "lab/other", files, ...more };
  hub.models.push(added);
  return added;
};

describe("a model on the Hub", () => {
  test("becomes a folder that opens, with only the necessary files", async () => {
    expect(await importFrom("lab/real")).toEqual({ dir: join(dir, "out") });
    expect((await readdir(join(dir, "out"))).sort()).toEqual([
      "config.json",
      "model.safetensors",
      "source.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    await opens(join(dir, "out"));
    expect(fileRequests().some(({ path }) => /\.py|\.md|pytorch/.test(path))).toBe(false);
  });

  test("is recorded with its commit and the checksum of every file", async () => {
    await importFrom("lab/real@main");
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
    // The branch is resolved once; all other requests are for that commit.
    const paths = hub.seen.filter(({ host }) => host === "hub").map(({ path }) => path);
    expect(paths.slice(1).every((path) => path.includes(commit))).toBe(true);
  });

  test("is cached in the layout that other tools expect", async () => {
    await importFrom("lab/real");
    const pointer = join(cacheOf("lab/real"), "snapshots", commitOf(REAL), "model.safetensors");
    expect(await readlink(pointer)).toBe(join("..", "..", "blobs", hashOf(WEIGHTS)));
    expect(await readFile(join(cacheOf("lab/real"), "refs", "main"), "utf8")).toBe(commitOf(REAL));

    const { repos, warnings } = await scanCacheDir(join(dir, "hf", "hub"));
    expect(warnings).toEqual([]);
    expect(repos[0]?.revisions[0]).toMatchObject({ commitOid: commitOf(REAL), refs: ["main"] });
    expect(repos[0]?.id).toEqual({ name: "lab/real", type: "model" });
    expect(repos[0]?.filesCount).toBe(4);
  });

  test("is read from the cache if another tool has downloaded it", async () => {
    for (const path of Object.keys(REAL_FILES)) {
      await downloadFileToCacheDir({ repo: "lab/real", path, revision: commitOf(REAL), hubUrl: hub.endpoint });
    }
    const before = fileRequests().length;
    expect(before).toBeGreaterThan(3);
    await importFrom("lab/real");
    expect(fileRequests()).toHaveLength(before);
  });

  test("is read from a cache without links, as on Windows", async () => {
    const snapshot = join(cacheOf("lab/real"), "snapshots", commitOf(REAL));
    await mkdir(snapshot, { recursive: true });
    for (const [name, bytes] of Object.entries(REAL_FILES)) await writeFile(join(snapshot, name), bytes);
    await importFrom("lab/real");
    expect(fileRequests()).toEqual([]);
    expect((await lstat(join(snapshot, "model.safetensors"))).isSymbolicLink()).toBe(false);
  });

  test("is downloaded again if the cached copy is damaged", async () => {
    await importFrom("lab/real");
    await writeFile(join(cacheOf("lab/real"), "blobs", hashOf(WEIGHTS)), new Uint8Array(WEIGHTS.length));
    await rm(join(dir, "out"), { recursive: true });
    await importFrom("lab/real");
    expect(await readFile(join(dir, "out", "model.safetensors"))).toEqual(Buffer.from(WEIGHTS));
  });

  test("stays complete when the cache is deleted", async () => {
    await importFrom("lab/real");
    await rm(join(dir, "hf"), { recursive: true });
    await opens(join(dir, "out"));
  });

  test("may be a tag, a commit, or a separate revision", async () => {
    model({ ...REAL_FILES }, { tags: ["v1", "refs/pr/1"] });
    for (const [i, given] of ["lab/other@v1", `lab/other@${commitOf(hub.models[1] as HubModel)}`].entries()) {
      await importFrom(given, { out: join(dir, `out-${i}`) });
    }
    await importFrom("lab/other", { revision: "refs/pr/1" });
    expect(await source()).toMatchObject({ requested: "refs/pr/1", revision: commitOf(hub.models[1] as HubModel) });
    expect(await readFile(join(cacheOf("lab/other"), "refs", "refs", "pr", "1"), "utf8")).toMatch(/^[\da-f]{40}$/);
  });

  test("has the weights of the shards in its index", async () => {
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
    const tensors = [...(await readTensors(join(CHARACTERS, "model.safetensors")))];
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
    await importFrom("lab/other");
    const weights = (await readdir(join(dir, "out"))).filter((name) => name.startsWith("model"));
    expect(weights.sort()).toEqual([...shards, "model.safetensors.index.json"]);
    await opens(join(dir, "out"));
  });

  test("reports increasing bytes up to the total", async () => {
    const reports: ImportProgress[] = [];
    await importFrom("lab/real", { onProgress: (report) => reports.push(report) });
    expect(reports[0]).toMatchObject({ phase: "connect" });
    const downloads = reports.filter(({ phase, totalBytes }) => phase === "download" && totalBytes > WEIGHTS.length);
    const bytes = downloads.map((report) => report.bytes);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
    expect(bytes.at(-1)).toBe(downloads[0]?.totalBytes);
  });
});

describe("a download with problems", () => {
  test("resumes after a lost connection", async () => {
    hub.trouble = ({ host, before }) => (host === "cdn" && before < 2 ? { kind: "cut", after: 300_000 } : undefined);
    await importFrom("lab/real");
    const ranges = hub.seen.filter(({ host }) => host === "cdn").map(({ range }) => range);
    expect(ranges).toHaveLength(3);
    const [first, ...later] = ranges;
    expect(first).toBeUndefined();
    const starts = later.map((range) => Number(/^bytes=(\d+)-$/.exec(range ?? "")?.[1]));
    // Data in transit when the connection was lost may be missing.
    const [second = 0, third = 0] = starts;
    expect(second).toBeGreaterThan(0);
    expect(third).toBeGreaterThan(second);
    expect(third).toBeLessThanOrEqual(second + 300_000);
  });

  test("fails without progress, and the next import resumes it", async () => {
    hub.trouble = ({ host, range }) => (host === "cdn" ? { kind: "cut", after: range ? 0 : 300_000 } : undefined);
    await rejected(importFrom("lab/real"), /^Cannot reach 127\.0\.0\.1:\d+ \(.+\)\. Check the network, use a mirror/);
    hub.trouble = () => undefined;
    const kept = await keptBytes();
    expect(kept).toBeGreaterThan(0);
    await importFrom("lab/real");
    expect(hub.seen.at(-1)?.range).toBe(`bytes=${kept}-`);
  });

  test("reconnects if no data arrives", async () => {
    hub.trouble = ({ host, before }) =>
      host === "cdn" && before === 0 ? { kind: "stall", after: 100_000 } : undefined;
    await importFrom("lab/real", { retry: { ...retry, stallMs: 1000 } });
    expect(hub.seen.at(-1)?.range).toMatch(/^bytes=\d+-$/);
  });

  test("starts again if the server does not support ranges", async () => {
    hub.trouble = ({ host, before }) => {
      if (host !== "cdn") return undefined;
      return before === 0 ? { kind: "cut", after: 300_000 } : { kind: "noRanges" };
    };
    await importFrom("lab/real");
    await opens(join(dir, "out"));
  });

  test("leaves only the partial file when canceled, and resumes without downloading a byte twice", async () => {
    const stop = new AbortController();
    const reason = new Error("stopped by the user");
    hub.trouble = ({ host }) => {
      if (host !== "cdn") return undefined;
      void until(async () => (await keptBytes()) === 500_000).then(() => stop.abort(reason));
      return { kind: "stall", after: 500_000 };
    };
    await expect(importFrom("lab/real", { signal: stop.signal, retry: { ...retry, stallMs: 60_000 } })).rejects.toBe(
      reason,
    );
    expect(await left()).toEqual([]);

    const part = (await readdir(join(cacheOf("lab/real"), "blobs"))).filter((name) => name.endsWith(".incomplete"));
    expect(part).toEqual([`${hashOf(WEIGHTS)}.decoder-lab.incomplete`]);
    hub.trouble = () => undefined;
    await importFrom("lab/real");
    expect(hub.seen.at(-1)?.range).toBe("bytes=500000-");
  });

  test("is repeated once if its checksum is wrong", async () => {
    hub.trouble = ({ host, before }) => (host === "cdn" && before === 0 ? { kind: "wrongBytes" } : undefined);
    await importFrom("lab/real");
    expect(hub.seen.filter(({ host }) => host === "cdn")).toHaveLength(2);
    expect(await readFile(join(dir, "out", "model.safetensors"))).toEqual(Buffer.from(WEIGHTS));
  });

  test("fails if its checksum is wrong twice, and keeps nothing", async () => {
    hub.trouble = ({ path }) => (path.endsWith("/tokenizer.json") ? { kind: "wrongBytes" } : undefined);
    await rejected(importFrom("lab/real"), /^The checksum of "tokenizer\.json" from .* was wrong twice\. Try/);
    expect(await readdir(join(cacheOf("lab/real"), "blobs"))).toEqual([
      hashOf(REAL_FILES["config.json"] as Uint8Array),
    ]);
  });

  test("waits as long as a busy server requests", async () => {
    hub.trouble = ({ path, before }) =>
      path.includes("/tree/") && before === 0
        ? { kind: "status", status: 429, headers: { "retry-after": "1" } }
        : undefined;
    const began = performance.now();
    await importFrom("lab/real");
    expect(performance.now() - began).toBeGreaterThan(990);
  });

  test("does not wait if the server requests too long a wait", async () => {
    hub.trouble = () => ({ kind: "status", status: 429, headers: { "retry-after": "300" } });
    await rejected(importFrom("lab/real"), /^Too many requests to .*\. Try again in 5 minutes\.$/);
    expect(hub.seen).toHaveLength(1);
  });

  test("is retried on server errors, up to a limit", async () => {
    hub.trouble = ({ before }) => (before === 0 ? { kind: "status", status: 503 } : undefined);
    await importFrom("lab/real");
    hub.trouble = () => ({ kind: "status", status: 502 });
    await rm(join(dir, "out"), { recursive: true });
    await rejected(importFrom("lab/real"), /is not responding \(HTTP 502\)\. Try again later or use a mirror\.$/);
  });

  test("succeeds for concurrent imports of one model", async () => {
    model({ ...REAL_FILES });
    await Promise.all(["a", "b", "c", "d"].map((name) => importFrom("lab/other", { out: join(dir, name) })));
    for (const name of ["a", "b", "c", "d"]) await opens(join(dir, name));
  });
});

describe("rejected before weights are downloaded:", () => {
  const noWeights = () =>
    expect(fileRequests().filter(({ path }) => /\.(safetensors|bin)$|blobs/.test(path))).toEqual([]);
  afterEach(noWeights);

  test("an unsupported architecture", async () => {
    model({ ...SMALL, "config.json": '{"model_type":"t5"}', "model.safetensors": WEIGHTS });
    await rejected(
      importFrom("lab/other"),
      /^config\.json of lab\/other: model_type "t5" is not supported\. Supported: decoder_lab, gpt2, /,
    );
  });

  test("a model without weights, without a supported tokenizer, without a configuration", async () => {
    const other = model(SMALL);
    await rejected(importFrom("lab/other"), /^lab\/other has no weights\. Choose a model with model\.safetensors or/);
    hub.models[1] = { ...other, files: { "config.json": "{}", "model.safetensors": WEIGHTS, "tokenizer.model": "" } };
    await rejected(
      importFrom("lab/other"),
      /^lab\/other has its tokenizer only in tokenizer\.model, which is not supported\. Choose/,
    );
    hub.models[1] = { ...other, files: { "x.Q4_0.gguf": WEIGHTS } };
    await rejected(
      importFrom("lab/other"),
      /has only GGUF files and no config\.json\. Import one of them: "x\.Q4_0\.gguf"\.$/,
    );
  });

  test("an unreadable configuration or tokenizer", async () => {
    const other = model({
      ...SMALL,
      "model.safetensors": WEIGHTS,
      "config.json": '{"model_type":"gpt2","n_layer":-1}',
    });
    await rejected(importFrom("lab/other"), /^config\.json of lab\/other: /);
    hub.models[1] = { ...other, files: { ...SMALL, "model.safetensors": WEIGHTS, "config.json": "{" } };
    await rejected(importFrom("lab/other"), /^config\.json of lab\/other is damaged: it is not valid JSON/);
    hub.models[1] = { ...other, files: { ...SMALL, "model.safetensors": WEIGHTS, "tokenizer.json": "{}" } };
    await rejected(importFrom("lab/other"), /^tokenizer\.json: its model has no type/);
  });

  test.each(["../../evil", "/etc/evil", "..\\evil", "C:\\evil"])("a file named %s", async (name) => {
    model({ ...SMALL, "model.safetensors": WEIGHTS, [name]: "evil" });
    await rejected(importFrom("lab/other"), /lists the file .*evil", which is outside its folder/);
  });

  test.each(["../model.safetensors", "modeling.py", "missing.safetensors"])("an index that lists %s", async (shard) => {
    model({
      ...SMALL,
      "model.safetensors.index.json": JSON.stringify({ weight_map: { a: shard } }),
      "modeling.py": "",
    });
    await rejected(importFrom("lab/other"), /(not a plain file name|is not a weight file|does not exist)\. Download/);
    expect(fileRequests().map(({ path }) => path.split("/").at(-1))).toEqual([
      "config.json",
      "model.safetensors.index.json",
    ]);
  });

  test("a configuration that is too large", async () => {
    const big = { type: "file", path: "config.json", size: 5e9, oid: "a".repeat(40) };
    const rest = ["model.safetensors", "tokenizer.json"].map((path) => ({ ...big, path, size: 9 }));
    hub.trouble = ({ path }) =>
      path.includes("/tree/") ? { kind: "body", body: JSON.stringify([big, ...rest]) } : undefined;
    await rejected(importFrom("lab/real"), /^config\.json of lab\/real is too large \(5 GB\)\. Choose another/);
    expect(fileRequests()).toEqual([]);
  });

  test("more than fits on the disk", async () => {
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
    await rejected(importFrom("lab/other"), /: more than 1000 TB needed, [\d.]+ [GT]B free\. Free some space/);
  });
});

describe("access", () => {
  test("the token is sent only to the Hub", async () => {
    await importFrom("lab/real", { token: TOKEN });
    const [onHub, elsewhere] = [
      hub.seen.filter(({ host }) => host === "hub"),
      hub.seen.filter(({ host }) => host === "cdn"),
    ];
    expect(new Set(onHub.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${TOKEN}`]));
    expect(elsewhere.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  test("the token comes from HF_TOKEN or from the file that Python's tools write", async () => {
    model({ ...REAL_FILES }, { gated: true });
    process.env.HF_TOKEN = TOKEN;
    await importFrom("lab/other", { out: join(dir, "a") });
    delete process.env.HF_TOKEN;
    await writeFile(join(dir, "hf", "token"), `${TOKEN}\n`);
    await rm(cacheOf("lab/other"), { recursive: true });
    await importFrom("lab/other", { out: join(dir, "b") });
  });

  test("a gated model is reported with the address of its license", async () => {
    model({ ...REAL_FILES }, { gated: true });
    const license = new RegExp(
      `^lab/other is a gated model. Accept its license at ${hub.endpoint}/lab/other and provide an access token`,
    );
    await rejected(importFrom("lab/other"), license);
  });

  test("an unknown token is reported differently from a missing model", async () => {
    await rejected(
      importFrom("lab/real", { token: "hf_wrong" }),
      /rejected the access token\. Create a new one at .*\/settings\/tokens/,
    );
    await rejected(importFrom("lab/real", { token: "hf wrong" }), /^That does not look like a Hugging Face token/);
  });

  test("a missing model is reported with similar names", async () => {
    await rejected(
      importFrom("other/real"),
      /has no model other\/real, or it is private\. .* Did you mean lab\/real\?$/,
    );
    await rejected(
      importFrom("lab/real", { revision: "../../evil" }),
      /^"\.\.\/\.\.\/evil" is not a valid revision\. Use a branch/,
    );
    await rejected(importFrom("lab/real@v9"), /^lab\/real has no revision "v9"\. Omit it, or choose one listed at /);
  });
});

describe("offline", () => {
  test("only the cache is used, due to the option or the variable", async () => {
    await importFrom("lab/real", { out: join(dir, "a") });
    const before = hub.seen.length;
    await importFrom("lab/real", { out: join(dir, "b"), offline: true });
    process.env.HF_HUB_OFFLINE = "1";
    await importFrom("lab/real", { out: join(dir, "c") });
    await importFrom(`lab/real@${commitOf(REAL)}`);
    expect(hub.seen).toHaveLength(before);
    await opens(join(dir, "out"));
  });

  test("a missing or incomplete model in the cache is reported", async () => {
    await rejected(
      importFrom("lab/real", { offline: true }),
      /^lab\/real at main is not in the cache\. Import it once while online/,
    );
    const snapshot = join(cacheOf("lab/real"), "snapshots", commitOf(REAL));
    await mkdir(join(cacheOf("lab/real"), "refs"), { recursive: true });
    await mkdir(snapshot, { recursive: true });
    await writeFile(join(cacheOf("lab/real"), "refs", "main"), commitOf(REAL));
    await writeFile(join(snapshot, "config.json"), REAL_FILES["config.json"] as Uint8Array);
    await symlink(join("..", "..", "blobs", "gone"), join(snapshot, "model.safetensors"));
    await rejected(importFrom("lab/real", { offline: true }), /^The cached copy of lab\/real has no weights\. Choose/);
  });

  test("a damaged file in the cache is reported", async () => {
    await importFrom("lab/real", { out: join(home, `kept-${count}`) });
    await writeFile(join(cacheOf("lab/real"), "blobs", hashOf(WEIGHTS)), WEIGHTS.with(-1, 77));
    await rejected(
      importFrom("lab/real", { offline: true }),
      /blobs\/[\da-f]{64} is damaged\. Import lab\/real once while online/,
    );
  });

  test("an unreachable hub is reported with alternatives", async () => {
    const other = await startHub();
    await other.close();
    const away = { endpoint: other.endpoint };
    await rejected(
      importFrom("lab/real", away),
      /^Cannot reach 127\.0\.0\.1:\d+ \(connection refused\)\. Check the network/,
    );
    await importFrom("lab/real", { out: join(home, `cached-${count}`) });
    await rejected(importFrom("lab/real", away), /lab\/real is in the cache and can be imported offline\.$/);
  });

  test("a web page instead of the hub is reported", async () => {
    hub.trouble = () => ({ kind: "body", body: "<html>Please log in</html>" });
    await rejected(
      importFrom("lab/real"),
      /does not respond like a Hugging Face hub \(.*\)\. Check the address and your proxy/,
    );
    await expect(searchHub("x", { endpoint: hub.endpoint })).rejects.toThrow(
      /does not respond like a Hugging Face hub/,
    );
    await rejected(
      importFrom("lab/real", { endpoint: "huggingface.co" }),
      /^The endpoint "huggingface\.co" is not a valid URL/,
    );
  });
});

test("weights of another model are rejected with the name of the model, and leave nothing", async () => {
  const config = JSON.parse(new TextDecoder().decode(REAL_FILES["config.json"]));
  model({ ...REAL_FILES, "config.json": JSON.stringify({ ...config, nLayers: config.nLayers + 1 }) });
  await rejected(
    importFrom("lab/other"),
    /^The weights in lab\/other do not match its config\.json: the tensor "blocks\.\d\..*" and \d+ others are missing/,
  );
});

describe("a GGUF file", () => {
  const golden = resolve(import.meta.dirname, "../../golden/checkpoints");

  test("on disk becomes a model folder", async () => {
    await importModel(join(golden, "llama.gguf"), { out: join(dir, "out") });
    expect((await openModel(join(dir, "out"))).info.family).toBe("llama");
    expect(await source()).toMatchObject({ folder: golden, files: [{ name: "llama.gguf" }] });
  });

  test("in a subfolder on the Hub becomes a model folder", async () => {
    model({ "README.md": "only that", "some/tiny.gguf": await readFile(join(golden, "gpt2.gguf")) });
    await rejected(importFrom("lab/other:tiny.gguf"), /has no file tiny\.gguf\. Choose/);
    await importFrom("lab/other:some/tiny.gguf");
    expect((await openModel(join(dir, "out"))).info.family).toBe("gpt2");
  });

  test("without an ending in its name is recognized", async () => {
    await copyFile(join(golden, "llama.gguf"), join(dir, "sha256-4f5a"));
    await importModel(join(dir, "sha256-4f5a"), { out: join(dir, "out") });
    expect((await openModel(join(dir, "out"))).info.family).toBe("llama");
  });

  test("whose special token is not in the vocabulary has a note", async () => {
    const bytes = await readFile(join(golden, "llama.gguf"));
    const at = bytes.indexOf("tokenizer.ggml.eos_token_id") + "tokenizer.ggml.eos_token_id".length;
    expect(bytes.readUInt32LE(at)).toBe(4);
    bytes.writeUInt32LE(99, at + 4);
    await writeFile(join(dir, "x.gguf"), bytes);
    await importModel(join(dir, "x.gguf"), { out: join(dir, "out") });
    const note = "eos_token_id 99 is ignored, because the vocabulary has 20 tokens.";
    expect((await openModel(join(dir, "out"))).info.notes).toContain(note);
  });

  test("in parts is imported with all of them, and the missing one is named", async () => {
    const split = (no: number) => ({
      "split.no": value.short(no),
      "split.count": value.short(2),
      "split.tensors.count": value.int(12),
    });
    const names = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];
    const matrix = (name: string, i: number) => info({ name, dims: [32, 32], type: 0, offset: i * 4096 });
    const vector = (name: string, i: number) => info({ name, dims: [32], type: 0, offset: 7 * 4096 + i * 128 });
    const parts = {
      "a/x-00001-of-00002.gguf": ggufFile({
        values: { ...llamaValues, ...split(0) },
        infos: llamaInfos,
        data: LLAMA_DATA,
      }),
      "a/x-00002-of-00002.gguf": ggufFile({
        values: split(1),
        infos: [
          ...names.map((name, i) => matrix(`blk.0.${name}.weight`, i)),
          ...["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"].map(vector),
          info({ name: "output.weight", dims: [32, 4], type: 0, offset: 8 * 4096 }),
        ],
        data: 8 * 4096 + 512,
      }),
    };
    model({ "a/x-00002-of-00002.gguf": parts["a/x-00002-of-00002.gguf"] });
    await rejected(
      importFrom("lab/other:a/x-00002-of-00002.gguf"),
      /^a\/x-00002-of-00002\.gguf of lab\/other: it is part 2 of 2, and "a\/x-00001-of-00002\.gguf" is missing\. Download/,
    );
    model(parts, { id: "lab/whole" });
    await importFrom("lab/whole:a/x-00002-of-00002.gguf");
    expect((await openModel(join(dir, "out"))).info.family).toBe("llama");
    expect((await source()).files.map(({ name }: { name: string }) => name)).toEqual(Object.keys(parts));
  });

  test("that is damaged is reported by its name", async () => {
    model({ "bad.gguf": "GGUF, but no more of it".repeat(300) });
    await rejected(importFrom("lab/other:bad.gguf"), /^bad\.gguf of lab\/other is a GGUF file/);
  });
});

describe("quantizing on import", () => {
  test.each([
    ["int8", "8-bit"],
    ["int4", "4-bit"],
  ] as const)("to %s stores the matrices in %s and reports the error", async (quantize, precision) => {
    const phases = new Set<string>();
    await importFrom("lab/real", { quantize, onProgress: ({ phase }) => phases.add(phase) });
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

  test("is rejected for a quantized model", async () => {
    await importFrom("lab/real", { quantize: "int8", out: join(dir, "hf", "eight") });
    await rejected(
      importFrom(join(dir, "hf", "eight"), { quantize: "int4" }),
      /eight is already quantized\. Import it without quantization/,
    );
  });

  test("leaves nothing when canceled", async () => {
    const stop = new AbortController();
    const reason = new Error("stopped by the user");
    const onProgress = ({ phase }: ImportProgress) => phase === "quantize" && stop.abort(reason);
    await expect(importFrom("lab/real", { quantize: "int8", signal: stop.signal, onProgress })).rejects.toBe(reason);
    expect(await left()).toEqual([]);
  });
});

describe("invalid responses are reported in one line", () => {
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
  test.each(trees.map((tree) => JSON.stringify(tree)))("for the list of files: %s", async (body) => {
    hub.trouble = ({ path }) => (path.includes("/tree/") ? { kind: "body", body } : undefined);
    await rejected(importFrom("lab/real"), /^[^\n]*\. (Choose|Check)[^\n]*\.$/);
  });

  test.each([
    "null",
    "[]",
    "{}",
    '{"sha":5}',
    '{"sha":"main"}',
    '{"sha":"../../../../../../../../../../../evil"}',
    "{",
  ])("for the commit: %s", async (body) => {
    hub.trouble = ({ path }) => (path.includes("/revision/") ? { kind: "body", body } : undefined);
    await rejected(importFrom("lab/real"), /does not respond like a Hugging Face hub \([^\n]*\)\. Check the address/);
  });
});

describe("a folder on disk", () => {
  test("becomes a separate model folder with hard links", async () => {
    await importModel(CHARACTERS, { out: join(dir, "out") });
    await opens(join(dir, "out"));
    expect(await source()).toMatchObject({ folder: CHARACTERS });
    expect(hub.seen).toEqual([]);
  });

  test("may be a snapshot of the cache, with its links", async () => {
    await importFrom("lab/real", { out: join(dir, "a") });
    await importModel(join(cacheOf("lab/real"), "snapshots", commitOf(REAL)), { out: join(dir, "out") });
    expect((await lstat(join(dir, "out", "model.safetensors"))).isSymbolicLink()).toBe(false);
  });

  test("is not overwritten", async () => {
    await mkdir(join(dir, "out"));
    await writeFile(join(dir, "out", "mine.txt"), "mine");
    await expect(importFrom("lab/real")).rejects.toThrow(
      /out already exists and is not empty\. Choose another folder\.$/,
    );
    expect(await readdir(join(dir, "out"))).toEqual(["mine.txt"]);
    expect(hub.seen).toEqual([]);
  });

  test("accepts only one of two concurrent imports", async () => {
    const both = await Promise.allSettled([importFrom("lab/real"), importFrom("lab/real")]);
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const failure = both.find((result) => result.status === "rejected");
    expect(String(failure?.reason)).toMatch(/out already exists and is not empty/);
    expect(await left()).toEqual(["out"]);
  });

  test("replaces an empty one", async () => {
    await mkdir(join(dir, "out"));
    await importFrom("lab/real");
    expect(await left()).toEqual(["out"]);
  });

  test("that was cloned without its large files is rejected with advice", async () => {
    const clone = join(dir, "hf", "clone");
    await mkdir(clone, { recursive: true });
    for (const [name, bytes] of Object.entries(SMALL)) await writeFile(join(clone, name), bytes);
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${hashOf(WEIGHTS)}\nsize ${WEIGHTS.length}\n`;
    await writeFile(join(clone, "model.safetensors"), pointer);
    await rejected(
      importFrom(clone),
      /clone\/model\.safetensors is a Git LFS pointer, not the weights\. Run `git lfs pull`/,
    );
  });

  test("with a link to itself is rejected", async () => {
    const loop = join(dir, "hf", "loop");
    await mkdir(loop, { recursive: true });
    await symlink("config.json", join(loop, "config.json"));
    await rejected(importFrom(loop), /it is a symbolic link in a loop\. Choose another\.$/);
  });
});

test("searching finds models of supported architectures, most downloaded first", async () => {
  const config = (type: string) => ({ "config.json": JSON.stringify({ model_type: type }) });
  model(config("gpt2"), { id: "a/tiny-gpt", downloads: 5, parameters: 124 });
  model(config("llama"), { id: "b/tiny-llama", downloads: 50 });
  model(config("t5"), { id: "c/tiny-t5", downloads: 500 });
  const access = { endpoint: hub.endpoint, retry };
  expect(await searchHub("tiny", access)).toEqual([
    { id: "b/tiny-llama", downloads: 50, likes: 3, modelType: "llama" },
    { id: "a/tiny-gpt", downloads: 5, likes: 3, modelType: "gpt2", parameters: 124 },
  ]);
  expect(await searchHub("no such model", access)).toEqual([]);
});
