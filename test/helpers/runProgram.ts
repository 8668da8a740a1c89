import { type ChildProcess, spawn } from "node:child_process";
import { basename } from "node:path";
import { bundleProgram as bundle } from "../../scripts/build";
import { inRoot } from "../../scripts/paths";

/** Bundles a TypeScript program for a separate Node process. Returns the path of the bundle. */
export const bundleProgram = (entry: string): Promise<string> =>
  bundle(entry, inRoot("node_modules/.cache/decoder-lab", `${basename(entry, ".ts")}.mjs`));

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
