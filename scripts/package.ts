/**
 * Makes one VSIX per platform in out/vsix/, each with only its own native library.
 *
 *   node scripts/package.ts [--target linux-x64]… [--host]
 *
 * What ships is gathered in out/stage/<target>/ first: whatever is not named here stays out.
 */

import { execFile } from "node:child_process";
import { cp, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { build } from "./build.ts";
import { notices, packagesIn } from "./notices.ts";
import { Failure, inRoot, runAsScript } from "./paths.ts";
import { requireHostTarget, type TargetName, targetNames, targets, vsixPath } from "./targets.ts";

/** Folders and files of the repository that ship as they are; the optional ones where they exist. */
const shipped = ["LICENSE", "README.md", "CHANGELOG.md", "media", "package.nls.json"];
const shippedIfPresent = ["l10n"];
/** Packages that ship beside the bundles. */
const runtimePackages = ["onnxruntime-common", "onnxruntime-node"];
const NOTICES = "THIRD_PARTY_NOTICES.md";

/** Builds once and packages each target. */
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
  for (const path of shippedIfPresent) {
    await cp(inRoot(path), join(stage, path), { recursive: true }).catch(ignoreMissing);
  }
  await writeFile(join(stage, "package.json"), JSON.stringify(await shippedManifest(), null, 2));
  await stageRuntime(name, join(stage, "dist", "node_modules"));
  return stage;
}

/** The manifest without what only a checkout needs. */
async function shippedManifest(): Promise<Record<string, unknown>> {
  const manifest = JSON.parse(await readFile(inRoot("package.json"), "utf8"));
  for (const key of ["scripts", "allowScripts", "dependencies", "devDependencies", "bin", "private"]) {
    delete manifest[key];
  }
  return { ...manifest, files: ["**"] };
}

/** onnxruntime-node and onnxruntime-common as packages beside the bundles: their scripts, and one platform's binaries. */
async function stageRuntime(name: TargetName, nodeModules: string): Promise<void> {
  const scriptsOnly = (path: string) => !/\.(map|d\.ts)$/.test(path);
  const take = (path: string) =>
    cp(inRoot("node_modules", path), join(nodeModules, path), { recursive: true, filter: scriptsOnly });
  const { folder, ships } = targets[name];
  await take("onnxruntime-common/package.json");
  await take("onnxruntime-common/dist/cjs");
  await take("onnxruntime-node/package.json");
  await take("onnxruntime-node/dist");
  for (const file of ships) await take(`onnxruntime-node/bin/${folder}/${file}`);
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
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
