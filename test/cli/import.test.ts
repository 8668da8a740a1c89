import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { bundleCli, bundledCli } from "../helpers/commandLine";
import { type HubServer, startHub, TOKEN } from "../helpers/hubServer";

const root = resolve(import.meta.dirname, "../..");
const cli = bundledCli("cli-import");

let dir: string;
let hub: HubServer;
beforeAll(async () => {
  await bundleCli(cli);
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-cli-import-"));
  const names = ["config.json", "tokenizer.json", "model.safetensors"];
  const files = await Promise.all(
    names.map(async (name) => [name, await readFile(join(root, "test/golden/characters", name))]),
  );
  hub = await startHub({ id: "lab/real", files: Object.fromEntries(files), gated: true, tags: ["v1"] });
}, 60_000);
beforeEach(() => {
  hub.trouble = () => undefined;
});
afterAll(async () => {
  await hub.close();
  await rm(dir, { recursive: true, force: true });
});

interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line. `whileRunning` receives a function that interrupts it. */
function decoderLab(args: readonly string[], whileRunning: (stop: () => void) => void = () => {}): Promise<Output> {
  const env = { ...process.env, HF_HOME: join(dir, "hf"), HF_ENDPOINT: hub.endpoint, HF_TOKEN: TOKEN };
  const child = spawn(process.execPath, [cli, ...args], { env });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (data) => (output.stdout += data));
  child.stderr.on("data", (data) => (output.stderr += data));
  whileRunning(() => child.kill("SIGINT"));
  return new Promise((done) => child.on("close", (code) => done({ code, ...output })));
}

/** Waits until a partial download has `bytes` bytes in the cache. */
async function received(bytes: number): Promise<void> {
  const blobs = join(dir, "hf", "hub", "models--lab--real", "blobs");
  for (;;) {
    const part = (await readdir(blobs)).find((name) => name.endsWith(".incomplete"));
    if (part && (await stat(join(blobs, part))).size >= bytes) return;
    await sleep(20);
  }
}

test("Ctrl+C leaves no folder, and the next import resumes the download", async () => {
  const args = ["import", "lab/real@v1", "--out", join(dir, "model")];
  const stopped = await decoderLab(args, (stop) => {
    hub.trouble = ({ host }) => {
      if (host !== "cdn") return undefined;
      void received(500_000).then(stop);
      return { kind: "stall", after: 500_000 };
    };
  });
  expect(stopped).toMatchObject({ code: 1, stdout: "" });
  expect(stopped.stderr).toMatch(/^Stopped\. The next import continues with the files in the cache\.\n$/);
  expect(await readdir(dir)).toEqual(["hf"]);

  hub.trouble = () => undefined;
  expect(await decoderLab(args)).toEqual({ code: 0, stdout: `${join(dir, "model")}\n`, stderr: "" });
  expect(hub.seen.at(-1)?.range).toBe("bytes=500000-");
}, 30_000);

test("--json prints progress and ends with done", async () => {
  const out = join(dir, "model-json");
  const { code, stdout } = await decoderLab([
    "import",
    "lab/real",
    "--revision",
    "v1",
    "--out",
    out,
    "--offline",
    "--json",
  ]);
  expect(code).toBe(0);
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.at(-1)).toEqual({ event: "done", dir: out });
  expect(lines.at(-2)).toMatchObject({ event: "progress", phase: "copy" });
}, 30_000);

test("a source that is missing, repeated or unknown is reported in one line", async () => {
  const out = ["--out", join(dir, "none")];
  for (const [args, message] of [
    [["import", ...out], /^SOURCE is missing\. Usage: decoder-lab import SOURCE --out DIR/],
    [["import", "a/b", "c/d", ...out], /^Unexpected argument 'c\/d'\. Usage: decoder-lab import SOURCE/],
    [["import", "lab/real"], /^--out is missing\. Usage/],
    [["import", "not a source", ...out], /^"not a source" is neither a folder nor the name of a model/],
    [["import", "lab/unreal", ...out], / has no model lab\/unreal, or it is private/],
  ] as const) {
    const { code, stderr } = await decoderLab(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  }
}, 30_000);
