/**
 * Writes one VSIX per platform to out/vsix/, each with only its own native library.
 *
 *   node scripts/package.ts [--target linux-x64]… [--host]
 *
 * The contents are collected in out/stage/<target>/ first. Files that are not named here do not ship.
 */

import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { build } from "./build.ts";
import { notices, packagesIn } from "./notices.ts";
import { Failure, inRoot, runAsScript } from "./paths.ts";
import { requireHostTarget, type TargetName, targetNames, targets, vsixPath } from "./targets.ts";

/** Folders and files of the repository that ship unchanged. */
const shipped = ["LICENSE", "README.md", "CHANGELOG.md", "media", "samples", "package.nls.json", "l10n"];
/** Packages that ship unbundled. */
const runtimePackages = ["onnxruntime-common", "onnxruntime-node"];
const NOTICES = "THIRD_PARTY_NOTICES.md";

/** Builds once and packages every target. */
export async function packageTargets(names: readonly TargetName[]): Promise<void> {
  const bundle = inRoot("out", "stage", "dist");
  const metafiles = await build({ outdir: bundle, release: true });
  await writeFile(join(bundle, NOTICES), await notices([...packagesIn(metafiles), ...runtimePackages]));
  await mkdir(dirname(vsixPath("linux-x64")), { recursive: true });
  await Promise.all(names.map((name) => packageTarget(name, bundle)));
}

async function packageTarget(name: TargetName, bundle: string): Promise<void> {
  const stage = await stageTarget(name, bundle);
  const options = [
    "--target",
    name,
    "--out",
    vsixPath(name),
    "--no-dependencies",
    "--allow-missing-repository",
    "--no-rewrite-relative-links",
  ];
  await promisify(execFile)(process.execPath, [inRoot("node_modules/@vscode/vsce/vsce"), "package", ...options], {
    cwd: stage,
  });
  const { size } = await stat(vsixPath(name));
  console.log(`${name}: ${(size / 1e6).toFixed(1)} MB`);
}

async function stageTarget(name: TargetName, bundle: string): Promise<string> {
  const stage = inRoot("out", "stage", name);
  await rm(stage, { recursive: true, force: true });
  await cp(bundle, join(stage, "dist"), { recursive: true, filter: (path) => !path.endsWith("cli.js") });
  for (const path of shipped) await cp(inRoot(path), join(stage, path), { recursive: true });
  await writeFile(join(stage, "package.json"), JSON.stringify(await shippedManifest(), null, 2));
  await stageRuntime(name, join(stage, "dist", "node_modules"));
  return stage;
}

/** The manifest without the fields that only a checkout needs. */
async function shippedManifest(): Promise<Record<string, unknown>> {
  const manifest = JSON.parse(await readFile(inRoot("package.json"), "utf8"));
  for (const key of ["scripts", "allowScripts", "dependencies", "devDependencies", "bin", "private"]) {
    delete manifest[key];
  }
  return { ...manifest, files: ["**"] };
}

/** Copies the JavaScript of onnxruntime-common and onnxruntime-node, and the binaries of one platform. */
async function stageRuntime(name: TargetName, nodeModules: string): Promise<void> {
  const scriptsOnly = (path: string) => !/\.(map|d\.ts)$/.test(path);
  const copy = (path: string) =>
    cp(inRoot("node_modules", path), join(nodeModules, path), { recursive: true, filter: scriptsOnly });
  const { folder, ships } = targets[name];
  await copy("onnxruntime-common/package.json");
  await copy("onnxruntime-common/dist/cjs");
  await copy("onnxruntime-node/package.json");
  await copy("onnxruntime-node/dist");
  for (const file of ships) await copy(`onnxruntime-node/bin/${folder}/${file}`);
}

runAsScript(import.meta.url, async () => {
  const { values } = parseArgs({
    options: { target: { type: "string", multiple: true }, host: { type: "boolean", default: false } },
  });
  await packageTargets(values.host ? [requireHostTarget()] : (values.target ?? targetNames).map(parseTarget));
});

function parseTarget(name: string): TargetName {
  const target = targetNames.find((known) => known === name);
  if (!target) throw new Failure(`package: unknown target "${name}". Targets: ${targetNames.join(", ")}.`);
  return target;
}
