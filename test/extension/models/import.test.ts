import { describe, expect, test } from "vitest";
import {
  fileSource,
  folderSource,
  foundText,
  hubSource,
  importedName,
  precisions,
  typedModel,
} from "../../../src/extension/models/importChoices";
import { progressText, shareDone } from "../../../src/extension/models/importProgress";
import { moduleNode } from "../../../src/extension/models/moduleNodes";
import type { ImportProgress, ModuleTree } from "../../../src/protocol/engineApi";

test.each([
  ["facebook/opt-125m", "facebook/opt-125m"],
  [" org/name@v1.0 ", "org/name@v1.0"],
  ["https://huggingface.co/org/name", "org/name"],
  ["https://huggingface.co/org/name/tree/main", "org/name@main"],
  ["org/name:model.Q8_0.gguf", "org/name:model.Q8_0.gguf"],
  ["gpt2", null],
  ["a story of a fox", null],
  ["/etc/passwd", null],
  ["../up/down", null],
  ["org/", null],
])("%j typed in full names %j", (text, name) => expect(typedModel(text)).toBe(name));

const weight = { name: "a.weight", shape: [32, 64], dtype: "float32", bytes: 8192 };
const leaf: ModuleTree = {
  name: "a",
  kind: "Linear()",
  parameters: 2048,
  bytes: 8192,
  tensors: [weight],
  children: [],
};
const tree: ModuleTree = { name: "", kind: "FoxModel", parameters: 2048, bytes: 8192, tensors: [], children: [leaf] };

describe("a source", () => {
  test("of the hub is an address, and its model is named without its owner", () => {
    const source = hubSource("facebook/opt-125m@main", 125_239_296);
    expect(source).toMatchObject({ source: "https://huggingface.co/facebook/opt-125m@main", name: "opt-125m" });
  });
  test.each(["/models/fox/", "C:\\models\\fox"])("of the folder %s is named after it", (path) =>
    expect(folderSource(path, tree)).toMatchObject({ source: path, name: "fox", bytes: 8192, isQuantized: false }),
  );
  test("that is quantized is known as such", () => {
    const quantized = { ...leaf, tensors: [{ ...weight, dtype: "uint8 (8-bit)" }] };
    expect(folderSource("/fox", { ...tree, children: [quantized] }).isQuantized).toBe(true);
  });
  test("in a GGUF file is named without its ending", () =>
    expect(fileSource("/models/fox-q8.gguf").name).toBe("fox-q8"));
});

test("a model that was found shows what is known of it", () => {
  const found = { id: "gpt2", downloads: 12_345_678, likes: 2100, modelType: "gpt2" };
  expect(foundText({ ...found, parameters: 124_439_808 })).toBe(
    "gpt2 · 124 M parameters · 12.3 M downloads · 2.10 k likes",
  );
  expect(foundText(found)).toBe("gpt2 · 12.3 M downloads · 2.10 k likes");
});

describe("precisions", () => {
  test("tell the memory that each takes, scales included", () =>
    expect(precisions(hubSource("org/fox", 100_000_000)).map(({ description }) => description)).toEqual([
      "200 MB of memory in float16, 400 MB in float32",
      "about 113 MB of memory",
      "about 62.5 MB of memory",
    ]));
  test("tell nothing that is not known", () =>
    expect(precisions(fileSource("/fox.gguf")).map(({ description }) => description)).toEqual(["", "", ""]));
  test("are in the name of the model", () => {
    expect(importedName("fox", undefined)).toBe("fox");
    expect(importedName("fox", "int4")).toBe("fox (4-bit)");
  });
});

describe("the progress of an import", () => {
  const progress: ImportProgress = {
    phase: "download",
    file: "model.safetensors",
    bytes: 50e6,
    totalBytes: 200e6,
    bytesPerSecond: 1.5e6,
    secondsLeft: 100,
  };

  test("says bytes, speed and time left", () =>
    expect(progressText(progress)).toBe("Downloading model.safetensors: 50.0 MB of 200 MB, 1.50 MB/s, 2 min left"));
  test("says what is going on before any size is known", () =>
    expect(progressText({ ...progress, phase: "connect", file: "", totalBytes: 0 })).toBe("Looking for the model"));

  test.each<[string, Partial<ImportProgress>, boolean, number | null]>([
    ["a download", {}, false, 25],
    ["a download before quantizing", {}, true, 20],
    ["quantizing", { phase: "quantize" }, true, 85],
    ["a small file, which says nothing of the whole", { file: "config.json" }, false, null],
    ["what is not known yet", { totalBytes: 0 }, false, null],
  ])("of %s fills the bar as it should", (_, change, quantizes, share) =>
    expect(shareDone({ ...progress, ...change }, quantizes)).toBe(share),
  );
});

describe("a module tree", () => {
  test("is listed as PyTorch prints it, with the tensors of each module", () => {
    const root = moduleNode(tree, "/fox");
    expect([root.label, root.description]).toEqual(["FoxModel", "2.05 k"]);
    const [module] = root.children;
    expect([module?.label, module?.description]).toEqual(["(a)", "Linear() · 2.05 k"]);
    expect(module?.children[0]).toMatchObject({
      label: "weight",
      description: "[32, 64] float32 · 8.19 kB",
      tooltip: ["a.weight", "[32, 64] float32", "8.19 kB"],
    });
  });

  test("shows what quantizing a tensor cost", () => {
    const quantized = { ...weight, dtype: "uint8 (4-bit)", relativeError: 0.0712 };
    const [module] = moduleNode({ ...tree, children: [{ ...leaf, tensors: [quantized] }] }, "/fox").children;
    expect(module?.children[0]?.description).toBe("[32, 64] uint8 (4-bit) · 8.19 kB · quantization error 7.1 %");
  });

  test("has an id of its own for every node, in every model", () => {
    const ids = (node: ReturnType<typeof moduleNode>): string[] => [node.id, ...node.children.flatMap(ids)];
    const all = [...ids(moduleNode(tree, "/fox")), ...ids(moduleNode(tree, "/hare"))];
    expect(new Set(all).size).toBe(all.length);
  });
});
