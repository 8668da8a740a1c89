/**
 * Bundles the four programs: the extension, the engine process, the command line, and the webviews.
 *
 *   node scripts/build.ts [--watch]
 */

import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { type BuildOptions, context, build as esbuild, type Metafile } from "esbuild";
import { inRoot, root, runAsScript } from "./paths.ts";

// CommonJS dependencies need `require` inside an ES module.
const requireInEsm = `import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);`;

/** The options of each bundle. `release` minifies and omits source maps. */
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
  // onnxruntime-node looks for its native library next to its own files, so it is not bundled: it is loaded from
  // dist/node_modules of the VSIX, or from the repository's node_modules.
  const engine = {
    ...node,
    format: "esm",
    external: ["onnxruntime-node"],
    banner: { js: requireInEsm },
  } satisfies BuildOptions;
  return [
    // CommonJS, because the extension host resolves `vscode` faster for `require` than for `import`.
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

/** Builds everything into `outdir`, which is emptied first. Returns the inputs of each bundle. */
export async function build({ outdir = inRoot("dist"), release = false } = {}): Promise<Metafile[]> {
  await rm(outdir, { recursive: true, force: true });
  const built = await Promise.all(bundles(outdir, release).map((options) => esbuild({ ...options, metafile: true })));
  await chmod(join(outdir, "cli.js"), 0o755);
  return built.map(({ metafile }) => metafile);
}

/**
 * Bundles a program of the tests or scripts that uses the engine. Returns `outfile`, which must be in the repository, so
 * that Node finds the native package from there.
 */
export async function bundleProgram(entry: string, outfile: string): Promise<string> {
  await esbuild({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["onnxruntime-node"],
    banner: { js: requireInEsm },
    logLevel: "warning",
  });
  return outfile;
}

async function watch(): Promise<void> {
  // "build finished" of any bundle then means that all of them exist: the debugger starts when it reads this line.
  await build();
  for (const options of bundles(inRoot("dist"), false)) {
    await (await context({ ...options, logLevel: "info" })).watch();
  }
}

runAsScript(import.meta.url, async () => {
  await (process.argv.includes("--watch") ? watch() : build());
});
