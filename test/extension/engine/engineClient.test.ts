import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { EngineClient, type EngineState } from "../../../src/extension/engine/engineClient";
import type { DeviceChoice } from "../../../src/protocol/engineApi";

let folder: string;
let script: string;
let client: EngineClient;
let states: EngineState[];
let log: string[];

/** Bundles the real src/worker/main.ts with the service in processes/engine.ts. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "decoder-lab-"));
  script = join(folder, "engine.mjs");
  await bundle(resolve("src/worker/main.ts"), script);
}, 30_000);
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(() => client.dispose());

async function bundle(entry: string, outfile: string) {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error",
    plugins: [
      {
        name: "small service",
        setup: ({ onResolve }) =>
          onResolve({ filter: /^\.\/(service|leftovers)$/ }, () => ({
            path: resolve("test/extension/engine/processes/engine.ts"),
          })),
      },
    ],
  });
}

function start({
  device = "auto",
  runtime,
  path = script,
}: {
  device?: DeviceChoice;
  runtime?: string;
  path?: string;
} = {}) {
  states = [];
  log = [];
  const write = (message: string) => log.push(message);
  client = new EngineClient({
    script: path,
    runtime: () => runtime,
    device: () => device,
    log: { info: write, warn: write, error: write },
    onState: (state) => states.push(state),
  });
  return client;
}

const request = (prompt: string, signal?: AbortSignal) =>
  client.call("generate", { dir: "", prompt, maxNewTokens: 1 }, { signal }).then((result) => result.text);

async function until(condition: () => boolean, within = 5000) {
  const start = performance.now();
  while (!condition()) {
    if (performance.now() - start > within) throw new Error(`not within ${within} ms; log:\n${log.join("\n")}`);
    await new Promise((r) => setTimeout(r, 10));
  }
  return performance.now() - start;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("the engine process", () => {
  test("starts with the first call", async () => {
    start();
    expect(client.pid).toBeUndefined();
    expect(await request("hello")).toBe("hello");
    expect(client.pid).toBeGreaterThan(0);
  });

  test("rejects its calls with a sentence and is back within 2 s after a kill", async () => {
    start();
    await request("hello");
    const first = client.pid as number;
    const work = request("sleep").catch((error: unknown) => error);
    process.kill(first, "SIGKILL");
    expect(await work).toMatchObject({
      code: "gone",
      message: "The engine was killed, perhaps because the machine ran out of memory.",
    });
    expect(await until(() => client.pid !== undefined && client.pid !== first)).toBeLessThan(2000);
    expect(await request("again")).toBe("again");
    expect(states.map((state) => state.kind)).toEqual(["running", "restarting", "running"]);
  });

  test("answers calls during a restart from the new process", async () => {
    start();
    await request("exit").catch(() => {});
    expect(await request("hello")).toBe("hello");
  });

  test("leaves its exit code and last output in the log", async () => {
    start();
    await request("exit").catch(() => {});
    expect(log.join("\n")).toMatch(/code 7, signal null.*last words/s);
  });

  test("listens for a debugger on the port in DECODER_LAB_INSPECT", async () => {
    vi.stubEnv("DECODER_LAB_INSPECT", "0");
    start();
    await request("exit").catch(() => {});
    vi.unstubAllEnvs();
    expect(log.join("\n")).toContain("Debugger listening on ws://127.0.0.1:");
  });

  test("stays down after the 5th crash until the user restarts it", async () => {
    start();
    for (let n = 1; n <= 5; n++) {
      const error = await request("exit").catch((e: unknown) => e);
      expect(error).toMatchObject({ code: "gone" });
    }
    expect(client.state.kind).toBe("stopped");
    await expect(request("hello")).rejects.toThrow("crashed 5 times in the last 3 minutes");
    await client.restart();
    expect(await request("hello")).toBe("hello");
  }, 20_000);

  test("comes back on the CPU after a native crash on WebGPU", async () => {
    start({ device: "webgpu" });
    expect(await request("device")).toBe("webgpu");
    client.noteDevice("webgpu");
    await request("abort").catch(() => {});
    expect(await request("device")).toBe("cpu");
    expect(client.deviceChoice).toBe("cpu");
  });

  test("ends canceled work", async () => {
    start();
    const abort = new AbortController();
    const work = request("sleep", abort.signal);
    setTimeout(() => abort.abort(), 50);
    expect(await work).toBe("canceled");
  });

  test("reports a missing runtime and does not retry", async () => {
    start({ runtime: "/nowhere/node" });
    await expect(request("hello")).rejects.toThrow("Could not start the engine with /nowhere/node");
    expect(client.state.kind).toBe("stopped");
  });
});

describe("no process remains", () => {
  test("after dispose, within 2 s", async () => {
    start();
    await request("hello");
    const pid = client.pid as number;
    const before = performance.now();
    await client.dispose();
    expect(performance.now() - before).toBeLessThan(2000);
    expect(alive(pid)).toBe(false);
    expect(states.at(-1)?.kind).toBe("running");
  });

  test("after dispose while the process is stuck in native code", async () => {
    start();
    await request("hello");
    const pid = client.pid as number;
    request("busy").catch(() => {});
    await new Promise((r) => setTimeout(r, 50));
    const before = performance.now();
    await client.dispose();
    expect(performance.now() - before).toBeLessThan(2000);
    expect(alive(pid)).toBe(false);
  });

  test("after the editor is killed", async () => {
    start();
    const parent = spawn(
      process.execPath,
      [
        "-e",
        `const { fork } = require("node:child_process");
         const child = fork(${JSON.stringify(script)}, [], { serialization: "advanced", stdio: ["ignore", "ignore", "ignore", "ipc"] });
         child.once("spawn", () => setTimeout(() => console.log(child.pid), 300));`,
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const [line] = await once(parent.stdout, "data");
    const pid = Number(String(line));
    expect(alive(pid)).toBe(true);
    parent.kill("SIGKILL");
    await until(() => !alive(pid));
  });
});
