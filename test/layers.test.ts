/**
 * Imports run one way: webview -> protocol <- extension, protocol <- worker -> engine <- cli; all may import text, and
 * all but the webview files. Biome rejects circles.
 */

import { readdir, readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { inRoot, root } from "../scripts/paths";

type Layer = "text" | "files" | "engine" | "protocol" | "worker" | "cli" | "extension" | "webview";

/** The other layers that each layer may import. */
const mayImport: Readonly<Record<Layer, readonly Layer[]>> = {
  text: [],
  files: ["text"],
  engine: ["text", "files"],
  protocol: ["text", "engine"],
  worker: ["text", "files", "protocol", "engine"],
  cli: ["text", "files", "engine"],
  extension: ["text", "files", "protocol"],
  webview: ["text", "protocol"],
};

interface Import {
  readonly file: string;
  readonly layer: Layer;
  readonly specifier: string;
  readonly typeOnly: boolean;
}

// import … from "x", import "x", export … from "x", import("x")
const importPattern =
  /(?:^|\n)\s*(import|export)\s+(type\s)?[^;"']*?from\s*["']([^"']+)["']|import\s*\(?\s*["']([^"']+)["']/g;

const sources = await readSources();
const imports = sources.flatMap(({ file, layer, text }): Import[] =>
  [...text.matchAll(importPattern)].map((match) => ({
    file,
    layer,
    specifier: match[3] ?? (match[4] as string),
    typeOnly: match[2] !== undefined,
  })),
);

test("each layer imports only the layers below it", () => {
  const wrong = imports.filter((found) => {
    const target = layerOf(found);
    return target !== undefined && target !== found.layer && !mayImport[found.layer].includes(target);
  });
  expect(wrong.map(describe)).toEqual([]);
});

test("the protocol imports only types of the engine's api", () => {
  const wrong = imports.filter(
    (found) =>
      found.layer === "protocol" &&
      layerOf(found) === "engine" &&
      !(found.typeOnly && found.specifier.startsWith("../engine/api/")),
  );
  expect(wrong.map(describe)).toEqual([]);
});

test("the engine's api consists of types and imports nothing else", () => {
  const isApi = (file: string) => /^src[\\/]engine[\\/]api[\\/]/.test(file);
  const wrong = imports.filter(
    ({ file, specifier, typeOnly }) => isApi(file) && !(typeOnly && /^\.\/\w+$/.test(specifier)),
  );
  expect(wrong.map(describe)).toEqual([]);
  const values = /^export (?!type |interface )/m;
  expect(sources.filter(({ file, text }) => isApi(file) && values.test(text)).map(({ file }) => file)).toEqual([]);
});

test("only src/extension imports vscode", () => {
  const wrong = imports.filter((found) => found.specifier === "vscode" && found.layer !== "extension");
  expect(wrong.map(describe)).toEqual([]);
});

test("the extension host and the webview import no engine library", () => {
  const heavy = /^(onnxruntime|@huggingface\/)/;
  const wrong = imports.filter((found) => heavy.test(found.specifier) && /extension|webview/.test(found.layer));
  expect(wrong.map(describe)).toEqual([]);
});

test("no source uses Math.random", () => {
  const wrong = sources.filter(({ text }) => /Math\s*\.\s*random/.test(text)).map(({ file }) => file);
  expect(wrong).toEqual([]);
});

function layerOf({ file, specifier }: Import): Layer | undefined {
  if (!specifier.startsWith(".")) return undefined;
  return folderLayer(relative(root, join(root, dirname(file), specifier)));
}

function folderLayer(path: string): Layer | undefined {
  const [first, second] = path.split(/[\\/]/);
  const name = first === "src" ? second : first;
  return name !== undefined && name in mayImport ? (name as Layer) : undefined;
}

async function readSources(): Promise<{ file: string; layer: Layer; text: string }[]> {
  const files = await Promise.all(
    ["src", "webview"].map(async (folder) =>
      (await readdir(inRoot(folder), { recursive: true })).map((file) => join(folder, file)),
    ),
  );
  const typescript = files.flat().filter((file) => file.endsWith(".ts"));
  return Promise.all(
    typescript.map(async (file) => {
      const layer = folderLayer(file);
      if (!layer) throw new Error(`${file} is in no layer`);
      return { file, layer, text: await readFile(inRoot(file), "utf8") };
    }),
  );
}

const describe = ({ file, specifier }: Import): string => `${file} imports ${specifier}`;
