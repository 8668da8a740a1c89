/**
 * All tests: types, lint, unit, WebGPU, pages, packaging and end-to-end. Goes on after a failure, and ends with one line that sums
 * up the runs: `N passed, N failed, N skipped`. A check that is no test run (types, lint, build) counts when it fails.
 */

import { spawn } from "node:child_process";
import { mkdir, readFile, rm } from "node:fs/promises";
import { inRoot, root, runAsScript } from "./paths.ts";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const counts: Counts = { passed: 0, failed: 0, skipped: 0 };

runAsScript(import.meta.url, async () => {
  await mkdir(inRoot("out", "test"), { recursive: true });
  await check("types", "npm", "run", "--silent", "types");
  await check("lint", "npm", "run", "--silent", "lint");
  await runTests("unit");
  await runTests("webgpu");
  await runTests("pages");
  if (await check("package", process.execPath, inRoot("scripts", "package.ts"))) {
    await runTests("packaging");
    await runTests("e2e");
  }
  process.exitCode = counts.failed === 0 ? 0 : 1;
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
});

async function check(name: string, command: string, ...args: string[]): Promise<boolean> {
  const ok = await step(name, command, args);
  if (!ok) counts.failed += 1;
  return ok;
}

async function runTests(project: string): Promise<void> {
  const report = inRoot("out", "test", `${project}.json`);
  await rm(report, { force: true });
  const vitest = inRoot("node_modules", "vitest", "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const ok = await step(project, process.execPath, [vitest, "run", "--project", project, ...reporters]);
  const found = await readCounts(report);
  // A run can fail without a failed test: a file that does not load, an unhandled rejection, no report at all.
  if (!ok && found.failed === 0) found.failed = 1;
  counts.passed += found.passed;
  counts.failed += found.failed;
  counts.skipped += found.skipped;
}

async function readCounts(report: string): Promise<Counts> {
  const text = await readFile(report, "utf8").catch(() => undefined);
  if (text === undefined) return { passed: 0, failed: 0, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(text);
  return { passed: numPassedTests, failed: numFailedTests, skipped: numPendingTests + numTodoTests };
}

/** Runs one step with its output shown, and says how long it took. */
async function step(name: string, command: string, args: readonly string[]): Promise<boolean> {
  const start = performance.now();
  const child = spawn(command, args, { cwd: root, stdio: "inherit" });
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`== ${name}: ${code === 0 ? "ok" : "FAILED"} in ${seconds} s\n`);
  return code === 0;
}
