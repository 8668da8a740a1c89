import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**", "test/packaging/**"],
          testTimeout: 20_000,
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
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
