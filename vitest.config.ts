import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname } from "node:path";
import { defineConfig } from "vitest/config";

/** Vulkan's software GPU, which Debian's Chromium and Google Chrome bring along: WebGPU is tested on machines without a GPU. */
const softwareGpu = ["/usr/lib/chromium", "/opt/google/chrome"]
  .map((folder) => `${folder}/vk_swiftshader_icd.json`)
  .find(existsSync);

/** Test files that need more than about a second, because they train, download, start programs, or read large inputs. */
const slow = [
  "test/cli/**/*.test.ts",
  "test/engine/data/{adder,globs,tokenizeCorpus,tokens}.test.ts",
  "test/engine/export/*.test.ts",
  "test/engine/generate/*.test.ts",
  "test/engine/hub/*.test.ts",
  "test/engine/kills/*.test.ts",
  "test/engine/models/{architectures,trainedArchitectures}.test.ts",
  "test/engine/presets/*.test.ts",
  "test/engine/runtime/weights.test.ts",
  "test/engine/tokenizers/{bytePairs,document,families,hostile,normalize,vocabulary}.test.ts",
  "test/engine/train/*.test.ts",
  "test/engine/weights/{checkpoint,malformedBin,malformedFiles,strangeFiles}.test.ts",
  "test/extension/engine/engineClient.test.ts",
  "test/files/json.test.ts",
  "test/fuzz/fuzz.test.ts",
  "test/protocol/runState.test.ts",
];

const ownProjects = ["test/e2e/**", "test/packaging/**", "test/**/*.webgpu.test.ts", "test/webview/pages/**/*.test.ts"];

export default defineConfig({
  test: {
    // By default, Vitest leaves one core free, which is half of a machine with two; the engine's processes use the rest.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      // Part of `npm run check`.
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [...ownProjects, ...slow],
          // One module graph for all files of a worker halves the time.
          isolate: false,
          testTimeout: 20_000,
        },
      },
      { test: { name: "slow", include: slow, exclude: ownProjects, testTimeout: 20_000 } },
      // Opens the webviews' pages in Chromium and runs axe-core on them.
      {
        test: { name: "pages", include: ["test/webview/pages/**/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000 },
      },
      // `npm run bench:explorer`
      {
        test: {
          name: "bench",
          include: ["test/webview/explorer.bench.ts"],
          testTimeout: 300_000,
          hookTimeout: 120_000,
        },
      },
      // Runs graphs on WebGPU. The Vulkan loader reads its environment when the process starts.
      {
        test: {
          name: "webgpu",
          include: ["test/**/*.webgpu.test.ts"],
          pool: "forks",
          // Chromium brings the loader too, which is on the search path only where the system has one.
          env: softwareGpu
            ? { VK_ICD_FILENAMES: softwareGpu, XDG_RUNTIME_DIR: "/tmp", LD_LIBRARY_PATH: dirname(softwareGpu) }
            : {},
          fileParallelism: false,
          testTimeout: 60_000,
        },
      },
      // Needs the VSIX files of `npm run package`.
      { test: { name: "packaging", include: ["test/packaging/**/*.test.ts"], testTimeout: 60_000 } },
      // Drives one VS Code: one file at a time, in order.
      {
        test: {
          name: "e2e",
          include: ["test/e2e/**/*.test.ts"],
          globalSetup: ["test/e2e/globalSetup.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
