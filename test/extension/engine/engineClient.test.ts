import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { EngineClient, type EngineState } from "../../../src/extension/engine/engineClient";
import type { DeviceChoice } from "../../../src/protocol/engineApi";

let folder: string;
let script: string;
let client: EngineClient;
let states: EngineState[];
let log: string[];

/** The real src/worker/main.ts, around the service in processes/engine.ts. */
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
          onResolve({ filter: /^\.\/service$/ }, () => ({
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

const ask = (prompt: string, signal?: AbortSignal) =>
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
  test("starts at the first call, not before", async () => {
    start();
    expect(client.pid).toBeUndefined();
    expect(await ask("hello")).toBe("hello");
    expect(client.pid).toBeGreaterThan(0);
  });

  test("killed in the middle of work: the work is rejected with a sentence, and it is back within 2 s", async () => {
    start();
    await ask("hello");
    const first = client.pid as number;
    const work = ask("sleep").catch((error: unknown) => error);
    process.kill(first, "SIGKILL");
    expect(await work).toMatchObject({
      code: "gone",
      message: "The engine was killed from outside, perhaps because the machine is out of memory.",
    });
    expect(await until(() => client.pid !== undefined && client.pid !== first)).toBeLessThan(2000);
    expect(await ask("again")).toBe("again");
    expect(states.map((state) => state.kind)).toEqual(["running", "restarting", "running"]);
  });

  test("called while it is being restarted, answers from the new process", async () => {
    start();
    await ask("exit").catch(() => {});
    expect(await ask("hello")).toBe("hello");
  });

  test("leaves its exit code and last words in the log", async () => {
    start();
    await ask("exit").catch(() => {});
    expect(log.join("\n")).toMatch(/code 7, signal null.*last words/s);
  });

  test("after the 5th crash stays down and every call says why, until it is restarted", async () => {
    start();
    for (let n = 1; n <= 5; n++) {
      const error = await ask("exit").catch((e: unknown) => e);
      expect(error).toMatchObject({ code: "gone" });
    }
    expect(client.state.kind).toBe("stopped");
    await expect(ask("hello")).rejects.toThrow("crashed 5 times in the last 3 minutes");
    await client.restart();
    expect(await ask("hello")).toBe("hello");
  }, 20_000);

  test("that crashed natively on WebGPU comes back on the CPU", async () => {
    start({ device: "webgpu" });
    expect(await ask("device")).toBe("webgpu");
    client.noteDevice("webgpu");
    await ask("abort").catch(() => {});
    expect(await ask("device")).toBe("cpu");
    expect(client.deviceChoice).toBe("cpu");
  });

  test("canceled by the signal, ends the work", async () => {
    start();
    const abort = new AbortController();
    const work = ask("sleep", abort.signal);
    setTimeout(() => abort.abort(), 50);
    expect(await work).toBe("canceled");
  });

  test("with a runtime that does not exist, says so and does not try again", async () => {
    start({ runtime: "/nowhere/node" });
    await expect(ask("hello")).rejects.toThrow("could not be started with /nowhere/node");
    expect(client.state.kind).toBe("stopped");
  });
});

describe("no process is left", () => {
  test("after dispose, which takes less than 2 s", async () => {
    start();
    await ask("hello");
    const pid = client.pid as number;
    const before = performance.now();
    await client.dispose();
    expect(performance.now() - before).toBeLessThan(2000);
    expect(alive(pid)).toBe(false);
    expect(states.at(-1)?.kind).toBe("running");
  });

  test("after dispose, even one that is stuck in native code", async () => {
    start();
    await ask("hello");
    const pid = client.pid as number;
    ask("busy").catch(() => {});
    await new Promise((r) => setTimeout(r, 50));
    const before = performance.now();
    await client.dispose();
    expect(performance.now() - before).toBeLessThan(2000);
    expect(alive(pid)).toBe(false);
  });

  test("after the editor itself was killed", async () => {
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
