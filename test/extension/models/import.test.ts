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
])("the typed text %j has the full name %j", (text, name) => expect(typedModel(text)).toBe(name));

const file = { parameters: 1000, bytes: 4000, isQuantized: true };
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

describe("an import source", () => {
  test("on Hugging Face is a URL, and its name has no owner", () => {
    const source = hubSource("facebook/opt-125m@main", 125_239_296);
    expect(source).toMatchObject({ source: "https://huggingface.co/facebook/opt-125m@main", name: "opt-125m" });
  });
  test.each(["/models/fox/", "C:\\models\\fox"])("in the folder %s is named after it", (path) =>
    expect(folderSource(path, tree)).toMatchObject({ source: path, name: "fox", bytes: 8192, isQuantized: false }),
  );
  test("with quantized tensors is recognized as quantized", () => {
    const quantized = { ...leaf, tensors: [{ ...weight, dtype: "uint8 (8-bit)" }] };
    expect(folderSource("/fox", { ...tree, children: [quantized] }).isQuantized).toBe(true);
  });
  test("in a GGUF file is named without the extension", () =>
    expect(fileSource("/models/fox-q8.gguf", file)).toMatchObject({ name: "fox-q8", bytes: 4000, isQuantized: true }));
});

test("a search result shows the known facts", () => {
  const found = { id: "gpt2", downloads: 12_345_678, likes: 2100, modelType: "gpt2" };
  expect(foundText({ ...found, parameters: 124_439_808 })).toBe(
    "gpt2 · 124 M parameters · 12.3 M downloads · 2.10 k likes",
  );
  expect(foundText(found)).toBe("gpt2 · 12.3 M downloads · 2.10 k likes");
});

describe("precisions", () => {
  test("show the memory of the weights, including scales", () =>
    expect(precisions(hubSource("org/fox", 100_000_000)).map(({ description }) => description)).toEqual([
      "200 MB of memory in float16, 400 MB in float32",
      "about 113 MB of memory",
      "about 62.5 MB of memory",
    ]));
  test("show no memory if the size is unknown", () =>
    expect(precisions(hubSource("org/fox", null)).map(({ description }) => description)).toEqual(["", "", ""]));
  test("are part of the name of the model", () => {
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

  test("shows bytes, speed, and remaining time", () =>
    expect(progressText(progress)).toBe(
      "Downloading model.safetensors: 50.0 MB of 200 MB, 1.50 MB/s, 2\u00a0min left",
    ));
  test("shows the phase before any size is known", () =>
    expect(progressText({ ...progress, phase: "connect", file: "", totalBytes: 0 })).toBe("Looking for the model"));

  test.each<[string, Partial<ImportProgress>, boolean, number | null]>([
    ["a download", {}, false, 25],
    ["a download before quantizing", {}, true, 20],
    ["quantizing", { phase: "quantize" }, true, 85],
    ["a small file", { file: "config.json" }, false, null],
    ["an unknown size", { totalBytes: 0 }, false, null],
  ])("of %s fills the progress bar", (_, change, quantizes, share) =>
    expect(shareDone({ ...progress, ...change }, quantizes)).toBe(share),
  );
});

describe("a module tree", () => {
  test("is labeled as PyTorch prints it, with the tensors of each module", () => {
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

  test("shows the quantization error of a tensor", () => {
    const quantized = { ...weight, dtype: "uint8 (4-bit)", relativeError: 0.0712 };
    const [module] = moduleNode({ ...tree, children: [{ ...leaf, tensors: [quantized] }] }, "/fox").children;
    expect(module?.children[0]?.description).toBe("[32, 64] uint8 (4-bit) · 8.19 kB · quantization error 7.1 %");
  });

  test("ends with the notes on the files and the ignored tensors", () => {
    const notes = ['Ignored the tensor "v_head.weight" (a value head).'];
    const ignored = [{ name: "v_head.weight", reason: "a value head" }];
    const [, note, list] = moduleNode({ ...tree, notes, ignored }, "/fox").children;
    expect(note).toMatchObject({ kind: "note", label: notes[0], children: [] });
    expect([list?.label, list?.description]).toEqual(["Ignored tensors", "1"]);
    expect(list?.children).toMatchObject([{ label: "v_head.weight", description: "a value head" }]);
  });

  test("has unique ids across models", () => {
    const ids = (node: ReturnType<typeof moduleNode>): string[] => [node.id, ...node.children.flatMap(ids)];
    const all = [...ids(moduleNode(tree, "/fox")), ...ids(moduleNode(tree, "/hare"))];
    expect(new Set(all).size).toBe(all.length);
  });
});
