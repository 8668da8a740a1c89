/**
 * Runs every fast check, as many at once as there are cores, and prints the output of each when it ends.
 *
 *   npm run check
 */

import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { root, runAsScript } from "./paths.ts";

/** The npm scripts that check without running tests. */
export const staticChecks = ["types", "lint", "spelling", "unused", "duplicates"] as const;

/** Runs npm scripts side by side, the slowest first. Returns the names of those that failed. */
export async function runScripts(names: readonly string[]): Promise<string[]> {
  const failed: string[] = [];
  const waiting = [...names];
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const start = performance.now();
      const { code, output } = await npmRun(name);
      if (code !== 0) failed.push(name);
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      console.log(`${output}== ${name}: ${code === 0 ? "ok" : "FAILED"} in ${seconds} s\n`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return failed;
}

function npmRun(name: string): Promise<{ code: number | null; output: string }> {
  // On Windows, npm is a command file, which only a shell can start.
  const child = spawn("npm", ["run", "--silent", name], { cwd: root, shell: process.platform === "win32" });
  const output: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => output.push(chunk));
  return new Promise((resolve, reject) => {
    child.once("error", reject).once("close", (code) => resolve({ code, output: Buffer.concat(output).toString() }));
  });
}

runAsScript(import.meta.url, async () => {
  const failed = await runScripts(["unit", ...staticChecks]);
  if (failed.length === 0) return;
  console.log(`Failed: ${failed.join(", ")}. Run one of them again with \`npm run NAME\`.`);
  process.exitCode = 1;
});
