/** Imports through the protocol, and requests about imported models. */

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineApi, ImportProgress, ModuleTree } from "../../src/protocol/engineApi";
import { type Client, connect, serve } from "../../src/protocol/rpc";
import { engineService } from "../../src/worker/service";
import { type HubServer, startHub, TOKEN } from "../helpers/hubServer";
import { portPair } from "../helpers/portPair";
import { pretrainedFiles, writePretrained } from "../helpers/pretrained";

let root: string;
let hub: HubServer;
let engine: Client<EngineApi>;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "decoder-lab-imports-"));
  vi.stubEnv("HF_HOME", join(root, "hf"));
  const files = await pretrainedFiles();
  // The hub reports a model's type as text in its configuration.
  const listed = { ...files, "config.json": String(files["config.json"]) };
  hub = await startHub(
    { id: "lab/tiny-llama", files: listed, downloads: 7, parameters: 21_000 },
    { id: "lab/gated-llama", files: listed, gated: true },
  );
  const [ours, theirs] = portPair();
  serve<EngineApi>(theirs, engineService("cpu"));
  engine = connect<EngineApi>(ours);
});
beforeEach(() => {
  hub.trouble = () => undefined;
});
afterAll(async () => {
  await hub.close();
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

const access = (more: { token?: string } = {}) => ({ endpoint: hub.endpoint, offline: false, ...more });

describe("importing", () => {
  test("a found model reports its progress in bytes and returns its info", async () => {
    const [found] = await engine.call("searchHub", { query: "tiny", access: access() });
    expect(found).toMatchObject({ id: "lab/tiny-llama", downloads: 7, parameters: 21_000, modelType: "llama" });
    const told: ImportProgress[] = [];
    const out = join(root, "hub");
    const source = `https://huggingface.co/${found?.id}`;
    const info = await engine.call(
      "importModel",
      { source, out, access: access() },
      { onProgress: (now) => told.push(now) },
    );
    expect(info).toMatchObject({ dir: out, family: "llama", precision: "float32", name: "lab/tiny-llama" });
    const downloads = told.filter(({ phase, file }) => phase === "download" && file === "model.safetensors");
    expect(downloads.at(-1)).toMatchObject({ bytes: downloads.at(-1)?.totalBytes });
  });

  test("a folder with 8-bit weights creates a quantized model with the error of each tensor", async () => {
    await writePretrained(join(root, "llama"));
    const out = join(root, "quantized");
    const params = { source: join(root, "llama"), out, quantize: "int8" as const, access: access() };
    expect(await engine.call("importModel", params)).toMatchObject({ precision: "8-bit", dir: out });
    const errors = (tree: ModuleTree): number[] => [
      ...tree.tensors.flatMap(({ dtype, relativeError }) => (dtype === "uint8 (8-bit)" ? [relativeError ?? -1] : [])),
      ...tree.children.flatMap(errors),
    ];
    const all = errors(await engine.call("describe", { dir: out }));
    expect(all.length).toBeGreaterThan(0);
    for (const error of all) expect(error).toBeGreaterThan(0);
    for (const error of all) expect(error).toBeLessThan(0.01);
  });

  test("leaves no folder after a cancellation", async () => {
    hub.trouble = ({ host }) => (host === "cdn" ? { kind: "stall", after: 10 } : undefined);
    await rm(join(root, "hf"), { recursive: true, force: true });
    const abort = new AbortController();
    const out = join(root, "canceled");
    const work = engine.call(
      "importModel",
      { source: "lab/tiny-llama", out, access: access() },
      { signal: abort.signal, onProgress: ({ phase }) => phase === "download" && abort.abort() },
    );
    await expect(work).rejects.toMatchObject({ code: "canceled" });
    expect((await readdir(root)).filter((name) => name.includes("canceled"))).toEqual([]);
  });

  test("a gated model fails without a token and succeeds with one", async () => {
    const params = { source: "lab/gated-llama", out: join(root, "gated") };
    await expect(engine.call("importModel", { ...params, access: access() })).rejects.toMatchObject({
      code: "hubAccess",
      message: expect.stringContaining("Accept its license"),
    });
    await engine.call("importModel", { ...params, access: access({ token: TOKEN }) });
    const record = await readFile(join(root, "gated", "source.json"), "utf8");
    expect(record).not.toContain(TOKEN);
  });
});

describe("an imported model", () => {
  let dir: string;
  beforeAll(async () => {
    dir = join(root, "plain");
    await writePretrained(dir);
  });

  test("prints its modules as PyTorch does", async () => {
    const text = await engine.call("printModules", { dir });
    expect(text).toMatch(/^LlamaForCausalLM\(/);
    expect(text).toMatch(/\(k_proj\): Linear\(in_features=32, out_features=16, bias=False\)/);
  });

  test("returns the keys that a query head reads", async () => {
    const trace = await engine.call("inspect", { dir, text: "The frog" });
    const shapes = new Map(trace.values.map(({ name, shape }) => [name, shape]));
    expect(shapes.get("blocks.0.attn.q")).toEqual([1, 4, 8, 8]);
    expect(shapes.get("blocks.0.attn.k")).toEqual([1, 2, 8, 8]);
    expect(shapes.has("posEmbed")).toBe(false);
    const of = async (name: string, head: number) =>
      (await engine.call("traceTensor", { trace: trace.trace, name: `blocks.0.attn.${name}`, head })).data;
    const keys = await Promise.all([0, 1, 2, 3].map((head) => of("k", head)));
    expect(keys[1]).toEqual(keys[0]);
    expect(keys[3]).toEqual(keys[2]);
    expect(keys[2]).not.toEqual(keys[0]);
    // Scores are products of this head's queries and of the returned keys.
    const [queries, scores] = [await of("q", 3), await of("scores", 3)];
    const product = (t: number, s: number) =>
      Array.from({ length: 8 }, (_, i) => (queries[t * 8 + i] as number) * (keys[3]?.[s * 8 + i] as number));
    const score = product(5, 2).reduce((sum, x) => sum + x, 0) / Math.sqrt(8);
    expect(scores[5 * 8 + 2]).toBeCloseTo(score, 5);
  });

  test("has the likely next tokens in its trace and finds any other", async () => {
    const { trace, nextToken } = await engine.call("inspect", { dir, text: "The frog" });
    const logits = (await engine.call("traceTensor", { trace, name: "logits" })).data.slice(-99);
    const order = Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number));
    expect(nextToken.top.map(({ id }) => id)).toEqual(order);
    expect(nextToken.top.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 5);
    const { found, matches } = await engine.call("findTokens", { trace, query: "z", count: 3 });
    expect([found, matches]).toEqual([[], 0]);
    const {
      found: [space],
    } = await engine.call("findTokens", { trace, query: " ", count: 3 });
    expect(space).toEqual(nextToken.top.find(({ token }) => token === " "));
  });

  test("reads at most contextTokens of a prompt", async () => {
    const ask = async (prompt: string, contextTokens?: number) =>
      engine.call("generate", { dir, prompt, maxNewTokens: 4, ...(contextTokens && { contextTokens }) });
    const long = "The frog and the dog went to the pond. ";
    const bounded = await ask(long, 16);
    expect(bounded.promptTokens).toBeLessThanOrEqual(16);
    expect(bounded.promptTokens + bounded.droppedTokens).toBe(long.length);
    // The dropped tokens do not change the completion.
    expect((await ask(long.slice(bounded.droppedTokens))).ids).toEqual(bounded.ids);
    expect((await ask(long)).promptTokens).toBe(long.length);
  });

  test("is loaded again after it was closed", async () => {
    const inspect = async () => (await engine.call("inspect", { dir, text: "The frog" })).nextToken.top[0];
    const before = await inspect();
    const work = engine.call("generate", { dir, prompt: "The frog", maxNewTokens: 20 });
    await engine.call("closeModel", { dir });
    // The active request has completed normally.
    expect((await work).ids).toHaveLength(20);
    expect(await inspect()).toEqual(before);
  });

  test("that replaced another is loaded again", async () => {
    const { ids } = await engine.call("tokenize", { dir, text: "The" }).then((spans) => ({ ids: spans.length }));
    expect(ids).toBe(3);
    const before = await engine.call("model", { dir });
    await rm(dir, { recursive: true });
    const params = { source: join(root, "llama"), out: dir, quantize: "int4" as const, access: access() };
    await engine.call("importModel", params);
    expect((await engine.call("model", { dir })).precision).toBe("4-bit");
    expect(before.precision).toBe("float32");
    expect((await engine.call("inspect", { dir, text: "The frog" })).model.precision).toBe("4-bit");
  });
});
