import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

/** Bundles a TypeScript program so that Node can run it in a process of its own; answers the bundle's path. */
export async function bundleProgram(entry: string): Promise<string> {
  const outfile = join(await mkdtemp(join(tmpdir(), "program-")), "program.mjs");
  await build({ entryPoints: [entry], outfile, bundle: true, platform: "node", format: "esm", logLevel: "warning" });
  return outfile;
}

/** Starts a bundled program with this Node. */
export function startProgram(
  bundle: string,
  args: readonly string[],
  nodeOptions: readonly string[] = [],
): ChildProcess {
  return spawn(process.execPath, [...nodeOptions, bundle, ...args], { stdio: ["ignore", "pipe", "pipe"] });
}

/** What it printed, once it has ended. */
export async function outputOf(child: ChildProcess): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const output = { stdout: "", stderr: "" };
  child.stdout?.on("data", (data) => (output.stdout += data));
  child.stderr?.on("data", (data) => (output.stderr += data));
  const code = await new Promise<number | null>((done) => child.on("close", done));
  return { code, ...output };
}
