import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

/** Bundles a TypeScript program for a separate Node process. Returns the path of the bundle. */
export async function bundleProgram(entry: string): Promise<string> {
  const outfile = join(await mkdtemp(join(tmpdir(), "program-")), "program.mjs");
  await build({ entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm", logLevel: "warning" });
  return outfile;
}

/** Starts a bundled program with the current Node. */
export function startProgram(
  bundle: string,
  args: readonly string[],
  nodeOptions: readonly string[] = [],
): ChildProcess {
  return spawn(process.execPath, [...nodeOptions, bundle, ...args], { stdio: ["ignore", "pipe", "pipe"] });
}

/** Waits until a process exits. Returns its output. */
export async function outputOf(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (data) => (output.stdout += data));
  child.stderr?.on("data", (data) => (output.stderr += data));
  const code = await new Promise<number | null>((done) => child.on("close", done));
  return { code, ...output };
}
