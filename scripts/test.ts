/**
 * Runs every check and test, and continues after a failure. The last line is the total: `N passed, N failed, N skipped`.
 * A failed check (types, lint, package) counts as one failed test.
 */

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm } from "node:fs/promises";
import { relative } from "node:path";
import { hasTorch } from "../test/helpers/pyTorch.ts";
import { testData } from "../test/helpers/testData.ts";
import { runScripts, staticChecks } from "./check.ts";
import { chromium } from "./chromium.ts";
import { inRoot, root, runAsScript } from "./paths.ts";

/** A reason for which tests of some files may be skipped, and whether it holds on this machine. */
export interface SkipReason {
  readonly reason: string;
  readonly holds: boolean;
  readonly files: readonly string[];
}

/** Any other skipped test is a failure. */
const mayBeSkipped: readonly SkipReason[] = [
  {
    reason: "Python with PyTorch is not installed (Debian: python3-torch)",
    holds: !hasTorch,
    files: ["test/cli/export.test.ts", "test/engine/export/huggingFace.test.ts", "test/engine/export/torch.test.ts"],
  },
  {
    reason:
      "the real vocabularies, texts and models are not part of the repository (DECODER_LAB_TEST_DATA names their folder)",
    holds: ["gpt2-tokenizer", "opt-tokenizer", "stories260K", "tinyshakespeare"].some((name) => !testData(name)),
    files: [
      "test/e2e/imports.test.ts",
      "test/engine/export/transformersJs.test.ts",
      "test/engine/models/architectures.test.ts",
      "test/engine/tokenizers/bytePairs.test.ts",
      "test/engine/tokenizers/document.test.ts",
      "test/engine/tokenizers/families.test.ts",
      "test/engine/tokenizers/imported.test.ts",
      "test/engine/weights/safetensors.test.ts",
    ],
  },
  {
    reason: "root may read and write every file",
    holds: process.getuid?.() === 0,
    files: [
      "test/engine/data/corpus.test.ts",
      "test/engine/weights/checkpoint.test.ts",
      "test/engine/weights/newFolder.test.ts",
    ],
  },
  {
    reason: "git is not installed",
    holds: spawnSync("git", ["--version"]).status !== 0,
    files: ["test/engine/data/globs.test.ts"],
  },
  {
    reason: "there is no second disk (/dev/shm)",
    holds: !existsSync("/dev/shm"),
    files: ["test/engine/hub/disk.test.ts"],
  },
  {
    reason: "this system is not Linux",
    holds: process.platform !== "linux",
    files: [
      "test/cli/stderr.test.ts",
      "test/engine/data/tokenizeCorpus.test.ts",
      "test/engine/models/architectures.webgpu.test.ts",
      "test/engine/weights/checkpoint.test.ts",
      "test/engine/weights/newFolder.test.ts",
      "test/engine/weights/stored.test.ts",
      "test/engine/weights/temporary.test.ts",
      "test/scripts/chromium.test.ts",
    ],
  },
];

/** The part of Vitest's JSON report that is read here. */
export interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** The outcome of some tests; the skipped ones as their names by reason, `""` where there is none. */
export interface Outcome {
  passed: number;
  failed: number;
  readonly skipped: Map<string, string[]>;
}

/** Counts a report. A skipped test without a reason that holds counts as failed. */
export function countTests(report: Report, reasons: readonly SkipReason[] = mayBeSkipped): Outcome {
  const outcome: Outcome = { passed: 0, failed: 0, skipped: new Map() };
  for (const { name, assertionResults } of report.testResults) {
    const file = relative(root, name).replaceAll("\\", "/");
    const reason = reasons.find(({ holds, files }) => holds && files.includes(file))?.reason ?? "";
    for (const { status, fullName } of assertionResults) {
      if (status === "passed") outcome.passed += 1;
      else if (status === "failed") outcome.failed += 1;
      else {
        if (reason === "") outcome.failed += 1;
        addSkipped(outcome.skipped, reason, [`${file}: ${fullName}`]);
      }
    }
  }
  return outcome;
}

function addSkipped(to: Map<string, string[]>, reason: string, names: readonly string[]): void {
  to.set(reason, [...(to.get(reason) ?? []), ...names]);
}

const total: Outcome = { passed: 0, failed: 0, skipped: new Map() };

runAsScript(import.meta.url, async () => {
  await mkdir(inRoot("out", "test"), { recursive: true });
  // First, because Debian's package also has the software GPU that the WebGPU tests need.
  const browser = await chromium(console.log).catch((error) => console.error(error.message));
  if (!browser) total.failed += 1;
  total.failed += (await runScripts(staticChecks)).length;
  for (const project of ["unit", "slow", "webgpu", "pages"]) await runTests(project);
  if (await step("package", [inRoot("scripts", "package.ts")])) {
    await runTests("packaging");
    await runTests("e2e");
  } else {
    total.failed += 1;
  }
  process.exitCode = total.failed === 0 ? 0 : 1;
  console.log(describeSkipped());
  const explained = [...total.skipped].flatMap(([reason, names]) => (reason === "" ? [] : names));
  console.log(`${total.passed} passed, ${total.failed} failed, ${explained.length} skipped`);
});

async function runTests(project: string): Promise<void> {
  const path = inRoot("out", "test", `${project}.json`);
  await rm(path, { force: true });
  const vitest = inRoot("node_modules", "vitest", "vitest.mjs");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${path}`];
  const ok = await step(project, [vitest, "run", "--project", project, ...reporters]);
  const report = await readFile(path, "utf8").catch(() => undefined);
  const { passed, failed, skipped } = countTests(report === undefined ? { testResults: [] } : JSON.parse(report));
  total.passed += passed;
  // A run can fail without a failed test: a file that does not load, an unhandled rejection, no report at all.
  total.failed += ok ? failed : Math.max(1, failed);
  for (const [reason, names] of skipped) addSkipped(total.skipped, reason, names);
}

/** Runs a Node program with its output shown, and prints how long it took. Returns whether it succeeded. */
async function step(name: string, args: readonly string[]): Promise<boolean> {
  const start = performance.now();
  const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`== ${name}: ${code === 0 ? "ok" : "FAILED"} in ${seconds} s\n`);
  return code === 0;
}

const describeSkipped = (): string =>
  [...total.skipped]
    .map(([reason, names]) => {
      const title =
        reason === "" ? "FAILED: skipped without a reason on the list in scripts/test.ts" : `Skipped: ${reason}`;
      return [`${title} (${names.length})`, ...names.map((name) => `  ${name}`)].join("\n");
    })
    .join("\n\n");
