import { readdir, readFile } from "node:fs/promises";
import JSZip from "jszip";
import { describe, expect, test } from "vitest";
import { inRoot } from "../../scripts/paths";
import { type TargetName, targetNames, targets, vsixPath } from "../../scripts/targets";

const limit = 60e6;
const runtime = "extension/dist/node_modules";

describe.each(targetNames)("the VSIX for %s", (target) => {
  test("is under 60 MB", async () => {
    const { length } = await readFile(vsixPath(target));
    console.log(`${target}: ${(length / 1e6).toFixed(1)} MB`);
    expect(length).toBeLessThan(limit);
  });

  test("names its platform", async () => {
    const manifest = await readEntry(target, "extension.vsixmanifest");
    expect(manifest).toContain(`TargetPlatform="${target}"`);
  });

  test("contains the native library of its own platform and no other binary", async () => {
    const { folder, ships } = targets[target];
    const binaries = (await fileNames(target)).filter((name) => /\.(node|dll|dylib|so)(\.\d+)*$|\/bin\//.test(name));
    expect(binaries.sort()).toEqual(ships.map((file) => `${runtime}/onnxruntime-node/bin/${folder}/${file}`).sort());
  });

  test("contains the bundles, its license, and nothing that only a checkout needs", async () => {
    const names = await fileNames(target);
    expect(names).toEqual(
      expect.arrayContaining(["extension/LICENSE.txt", "extension/readme.md", "extension/changelog.md"]),
    );
    const own = names.filter((name) => name.startsWith("extension/dist/") && !name.startsWith(`${runtime}/`));
    expect(own.sort()).toEqual(bundles);
    const folders = new Set(names.map((name) => /^extension\/([^/]+)\//.exec(name)?.[1]).filter((name) => name));
    expect([...folders].filter((name) => !["dist", "media", "samples", "l10n"].includes(name as string))).toEqual([]);
    expect(names.filter((name) => /\.(ts|map|tsbuildinfo)$/.test(name))).toEqual([]);
  });

  test("names the third-party packages in it and their licenses", async () => {
    const notices = await readEntry(target, "extension/dist/THIRD_PARTY_NOTICES.md");
    expect([...notices.matchAll(/^## (\S+) \d/gm)].map(([, name]) => name)).toEqual(
      expect.arrayContaining(["onnxruntime-node", "@huggingface/hub", "@vscode/webview-ui-toolkit", "uplot"]),
    );
    expect(notices).not.toContain("undefined");
  });

  test("contains every file that its manifest names", async () => {
    const names = await fileNames(target);
    const manifest = JSON.parse(await readEntry(target, "extension/package.json"));
    const strings = manifestPaths(manifest);
    expect(names).toContain(`extension/${manifest.main.replace(/^\.\//, "")}`);
    expect(strings.filter((path) => !names.includes(`extension/${path}`))).toEqual([]);
    expect(Object.keys(manifest)).not.toContain("scripts");
    expect(Object.keys(manifest)).not.toContain("dependencies");
  });

  test("ships or leaves out each file that onnxruntime-node has for its platform", async () => {
    const { folder, ships, leavesOut } = targets[target];
    const files = await readdir(inRoot("node_modules/onnxruntime-node/bin", folder));
    expect(files.sort()).toEqual([...ships, ...leavesOut].sort());
  });
});

const bundles = [
  "extension/dist/THIRD_PARTY_NOTICES.md",
  "extension/dist/engine.js",
  "extension/dist/extension.cjs",
  "extension/dist/webview/explorer.css",
  "extension/dist/webview/explorer.js",
  "extension/dist/webview/inspector.css",
  "extension/dist/webview/inspector.js",
  "extension/dist/webview/training.css",
  "extension/dist/webview/training.js",
];

/** Paths into media/ anywhere in the manifest. */
function manifestPaths(value: unknown): string[] {
  if (typeof value === "string") return /^(\.\/)?media\//.test(value) ? [value.replace(/^\.\//, "")] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(manifestPaths);
}

const archive = async (target: TargetName): Promise<JSZip> => JSZip.loadAsync(await readFile(vsixPath(target)));

const fileNames = async (target: TargetName): Promise<string[]> =>
  Object.values((await archive(target)).files)
    .filter((file) => !file.dir)
    .map((file) => file.name);

async function readEntry(target: TargetName, name: string): Promise<string> {
  const entry = (await archive(target)).file(name);
  if (!entry) throw new Error(`${target}: ${name} is missing`);
  return entry.async("string");
}
