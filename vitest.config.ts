import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";

/** The software GPU that Debian's chromium brings: the GPU path is tested on machines without one. */
const softwareGpu = "/usr/lib/chromium/vk_swiftshader_icd.json";

export default defineConfig({
  test: {
    // Vitest leaves a core to itself by default, which is half of a machine of two; the engine's processes take the rest.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**", "test/packaging/**", "test/**/*.webgpu.test.ts", "test/webview/pages/**"],
          testTimeout: 20_000,
        },
      },
      // Opens the webviews' pages in Chromium and runs axe-core on them: a minute, so not part of `npm run check`.
      { test: { name: "pages", include: ["test/webview/pages/*.test.ts"], testTimeout: 60_000, hookTimeout: 60_000 } },
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
          env: existsSync(softwareGpu) ? { VK_ICD_FILENAMES: softwareGpu, XDG_RUNTIME_DIR: "/tmp" } : {},
          fileParallelism: false,
          testTimeout: 60_000,
        },
      },
      // Needs the VSIX files of `npm run package`.
      { test: { name: "packaging", include: ["test/packaging/**/*.test.ts"], testTimeout: 60_000 } },
      // Drives one VS Code: a file at a time, in order.
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
