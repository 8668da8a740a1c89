/** Runs measurements in separate processes, for reliable load times and memory, and installs other libraries. */

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { access, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { makeFolder } from "../../engine/weights";
import { removeStale, temporaryName } from "../../engine/weights/temporary";

/** The folder for downloads and models of benchmarks. */
export const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "decoder-lab");

/** The threads of Debian's default OpenBLAS compete with PyTorch's; this build shares OpenMP with PyTorch. */
const OPENBLAS = "/usr/lib/x86_64-linux-gnu/openblas-openmp";

/** Returns a program's output; if it fails, throws an error with its last lines on standard error. */
function run(program: string, args: readonly string[], onStart: (pid: number) => void = () => {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = existsSync(OPENBLAS) ? { ...process.env, LD_LIBRARY_PATH: OPENBLAS } : process.env;
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"] });
    if (child.pid !== undefined) onStart(child.pid);
    let text = "";
    let errors = "";
    child.stdout.on("data", (data) => (text += data));
    child.stderr.on("data", (data) => (errors += data));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) resolve(text);
      else
        reject(new Error(`${program} ended with ${signal ?? code}: ${errors.trim().split("\n").slice(-3).join("\n")}`));
    });
  });
}

/** Parses the last line of a program's output as JSON. */
export async function runForJson<T>(
  program: string,
  args: readonly string[],
  onStart?: (pid: number) => void,
): Promise<T> {
  const text = await run(program, args, onStart);
  // The scripts in this folder print the expected type.
  return JSON.parse(text.trim().split("\n").at(-1) ?? "") as T;
}

/** The path of a Python script in this folder; a packaged command line has none. */
export const scriptAt = (name: string): string => new URL(`../src/cli/bench/${name}`, import.meta.url).pathname;

export interface Torch {
  readonly python: string;
  readonly version: string;
}

/** Returns each version of PyTorch once: of DECODER_LAB_PYTHON, of the system, and of the PATH. */
export async function findTorches(script: string): Promise<readonly Torch[]> {
  if (!existsSync(script)) return [];
  const found = new Map<string, Torch>();
  for (const python of [process.env.DECODER_LAB_PYTHON, "/usr/bin/python3", "python3"]) {
    const text = python && (await run(python, ["-c", "import torch; print(torch.__version__)"]).catch(() => null));
    const version = text?.trim().split("+")[0];
    if (python && version && !found.has(version)) found.set(version, { python, version });
  }
  return [...found.values()];
}

/** Returns a Python that has PyTorch, or undefined. */
export const findTorch = async (script: string): Promise<string | undefined> => (await findTorches(script))[0]?.python;

/** Returns the address to import transformers.js from, or undefined if it is not installed. */
export function findTransformers(): string | undefined {
  try {
    const require = createRequire(import.meta.url);
    return pathToFileURL(require.resolve("@huggingface/transformers")).href;
  } catch {
    return undefined;
  }
}

const LLAMA_VERSION = "3.22.1";

/** Returns the address to import node-llama-cpp from, which is installed into the user's cache on first use. */
export async function installLlama(log: (line: string) => void): Promise<string> {
  const installed = join(CACHE, `node-llama-cpp-${LLAMA_VERSION}`);
  const entry = join(installed, "node_modules", "node-llama-cpp", "dist", "index.js");
  if (!(await exists(entry))) {
    log(`Installing node-llama-cpp ${LLAMA_VERSION} into ${installed} (700 MB, once per machine) …`);
    await makeFolder(CACHE);
    await removeStale(CACHE);
    const partial = temporaryName(installed);
    await makeFolder(partial);
    try {
      await writeFile(join(partial, "package.json"), "{}");
      // Its install script may compile llama.cpp; the prebuilt versions are packages.
      const args = ["install", "--ignore-scripts", "--no-audit", "--no-fund", `node-llama-cpp@${LLAMA_VERSION}`];
      await promisify(execFile)("npm", args, { cwd: partial });
      // Renamed atomically: another process may have installed it in the meantime.
      await rename(partial, installed).catch(async (error) => {
        if (!(await exists(entry))) throw error;
      });
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
  }
  return pathToFileURL(entry).href;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
