/** Commands on a machine without a display, where GPU drivers and their loaders print to standard error. */

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { bundleCli, bundledCli, runCli } from "../helpers/commandLine";

const cli = bundledCli("stderr");
const model = resolve(import.meta.dirname, "../../media/model");
const generate = ["generate", "--model", model, "--prompt", "Once", "--max-new-tokens", "2"];

beforeAll(() => bundleCli(cli));

test.each([
  { name: "tokenize", args: ["tokenize", "--model", model, "--text", "Once"], gpuTests: 0 },
  { name: "generate --device cpu", args: [...generate, "--device", "cpu"], gpuTests: 0 },
  { name: "generate", args: generate, gpuTests: 1 },
  { name: "devices", args: ["devices"], gpuTests: 1 },
])("$name prints nothing to standard error and starts $gpuTests GPU tests", async ({ args, gpuTests }) => {
  const { XDG_RUNTIME_DIR: _, DISPLAY: __, WAYLAND_DISPLAY: ___, ...headless } = process.env;
  const coverage = await mkdtemp(join(tmpdir(), "decoder-lab-stderr-"));
  try {
    // Node writes a coverage report for each of its processes, so their number tells how many ran.
    const output = await runCli(cli, args, { ...headless, NODE_V8_COVERAGE: coverage });
    expect(output).toMatchObject({ code: 0, stderr: "" });
    expect(await readdir(coverage)).toHaveLength(1 + gpuTests);
  } finally {
    await rm(coverage, { recursive: true, force: true });
  }
});
