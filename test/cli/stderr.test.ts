/** Commands on a machine without a display, where GPU drivers and their loaders print to standard error. */

import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { bundleCli, bundledCli, runCli } from "../helpers/commandLine";

const cli = bundledCli("stderr");
const model = resolve(import.meta.dirname, "../golden/characters");
const { XDG_RUNTIME_DIR: _, DISPLAY: __, WAYLAND_DISPLAY: ___, ...headless } = process.env;
const generate = ["generate", "--model", model, "--prompt", "Once", "--max-new-tokens", "2"];

beforeAll(() => bundleCli(cli));

test.each([
  { name: "tokenize", args: ["tokenize", "--model", model, "--text", "Once"], gpuTests: 0 },
  { name: "generate --device cpu", args: [...generate, "--device", "cpu"], gpuTests: 0 },
  { name: "generate", args: generate, gpuTests: 1 },
  { name: "devices", args: ["devices"], gpuTests: 1 },
])("$name prints nothing to standard error and starts $gpuTests GPU tests", async ({ args, gpuTests }) => {
  const coverage = await mkdtemp(join(tmpdir(), "decoder-lab-stderr-"));
  try {
    // Node writes one coverage report per process.
    const output = await runCli(cli, args, { ...headless, NODE_V8_COVERAGE: coverage });
    expect(output).toMatchObject({ code: 0, stderr: "" });
    expect(await readdir(coverage)).toHaveLength(1 + gpuTests);
  } finally {
    await rm(coverage, { recursive: true, force: true });
  }
});

// Only Linux can hide its GPU drivers.
test.runIf(process.platform === "linux")("generate --device webgpu fails in one line without a GPU", async () => {
  const env = { ...headless, VK_ICD_FILENAMES: "/dev/null", VK_DRIVER_FILES: "/dev/null" };
  const { code, stderr } = await runCli(cli, [...generate, "--device", "webgpu"], env);
  expect([code, stderr]).toEqual([1, "WebGPU found no GPU. Choose the device cpu.\n"]);
});
