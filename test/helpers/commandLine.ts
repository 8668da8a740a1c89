/** Runs the command line as a separate process. */

import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { build } from "esbuild";

const root = resolve(import.meta.dirname, "../..");

/** Path of a test file's bundle, inside node_modules so that the native package can be resolved. */
export const bundledCli = (name: string): string => join(root, `node_modules/.cache/decoder-lab/${name}.mjs`);

export async function bundleCli(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(root, "src/cli/main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["onnxruntime-node"],
    logLevel: "warning",
  });
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a bundled command line until it exits. */
export const runCli = (cli: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Output> =>
  new Promise((done) => {
    execFile(process.execPath, [cli, ...args], { env }, (error, stdout, stderr) => {
      done({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
