/**
 * Bundles the four programs: the extension, the engine process, the command line and the webviews.
 *
 *   node scripts/build.ts [--watch]
 */

import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { type BuildOptions, context, build as esbuild, type Metafile } from "esbuild";
import { inRoot, root, runAsScript } from "./paths.ts";

// Dependencies that are CommonJS need `require` inside an ES module.
const requireInEsm = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

/** The bundles; `release` leaves out what only development needs. */
function bundles(outdir: string, release: boolean): BuildOptions[] {
  const shared = {
    absWorkingDir: root,
    bundle: true,
    minify: release,
    sourcemap: !release,
    legalComments: "none",
    logLevel: "warning",
    charset: "utf8",
  } satisfies BuildOptions;
  const node = { ...shared, platform: "node", target: "node20" } satisfies BuildOptions;
  // onnxruntime-node finds its native library beside its own files, so it stays a package: that of the VSIX's
  // dist/node_modules, or the repository's.
  const engine = {
    ...node,
    format: "esm",
    external: ["onnxruntime-node"],
    banner: { js: requireInEsm },
  } satisfies BuildOptions;
  return [
    // CommonJS: the extension host serves `vscode` to `require` without the detour of its ES module loader.
    {
      ...node,
      entryPoints: ["src/extension/extension.ts"],
      outfile: join(outdir, "extension.cjs"),
      format: "cjs",
      external: ["vscode"],
    },
    { ...engine, entryPoints: ["src/worker/main.ts"], outfile: join(outdir, "engine.js") },
    {
      ...engine,
      entryPoints: ["src/cli/main.ts"],
      outfile: join(outdir, "cli.js"),
      banner: { js: `#!/usr/bin/env node\n${requireInEsm}` },
    },
    {
      ...shared,
      entryPoints: {
        inspector: "webview/inspector/page.ts",
        training: "webview/training/page.ts",
        explorer: "webview/explorer/page.ts",
      },
      outdir: join(outdir, "webview"),
      platform: "browser",
      target: "chrome120",
      format: "iife",
    },
  ];
}

/** Builds everything into `outdir`, which is emptied first, and answers what went into each bundle. */
export async function build({ outdir = inRoot("dist"), release = false } = {}): Promise<Metafile[]> {
  await rm(outdir, { recursive: true, force: true });
  const built = await Promise.all(bundles(outdir, release).map((options) => esbuild({ ...options, metafile: true })));
  await chmod(join(outdir, "cli.js"), 0o755);
  return built.map(({ metafile }) => metafile);
}

async function watch(): Promise<void> {
  await build();
  for (const options of bundles(inRoot("dist"), false)) {
    await (await context({ ...options, logLevel: "info" })).watch();
  }
}

runAsScript(import.meta.url, async () => {
  await (process.argv.includes("--watch") ? watch() : build());
});
