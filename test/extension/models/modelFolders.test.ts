import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  chooseActive,
  folderFor,
  isModelOrCheckpoint,
  listModels,
  nameFor,
  noteImport,
  readModel,
  renameModel,
} from "../../../src/extension/models/modelFolders";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "decoder-lab-models-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const allFiles = ["config.json", "model.safetensors", "tokenizer.json"];

async function folder(name: string, record: string | object | null, files = allFiles): Promise<string> {
  const dir = join(root, name);
  await mkdir(dir);
  for (const file of files) await writeFile(join(dir, file), "{}");
  if (record !== null) {
    await writeFile(join(dir, "training.json"), typeof record === "string" ? record : JSON.stringify(record));
  }
  return dir;
}

describe("a model folder", () => {
  test("has the values of its record", async () => {
    const record = { name: "Fox", preset: "char", parameters: 800_000, step: 10, steps: 20, loss: 2.5, valLoss: 2.75 };
    const dir = await folder("fox", { ...record, device: "cpu", createdAt: "2026-03-01T00:00:00Z" });
    expect(await readModel(dir)).toEqual({
      ...record,
      dir,
      bundled: false,
      problem: null,
      source: null,
      revision: null,
      family: null,
      precision: null,
      bytes: null,
      device: "cpu",
      readsCode: false,
      createdAt: Date.UTC(2026, 2, 1),
    });
  });

  test("is usable if fields are missing or have another type", async () => {
    const model = await readModel(await folder("odd", { name: 3, loss: "low", steps: null }));
    expect(model).toMatchObject({ name: "odd", loss: null, steps: null, preset: null, problem: null });
  });

  test.each<[string, object, boolean]>([
    ["a small text file", { data: { kind: "paths", paths: ["/a/stories.txt", "/a/notes.md"] } }, false],
    ["an unknown text", { data: { kind: "text" } }, false],
    ["a folder", { data: { kind: "paths", paths: ["/a/stories"] } }, false],
    ["source files", { data: { kind: "paths", paths: ["/a/readme.md", "/a/main.py"] } }, true],
    ["a pattern of source files", { data: { kind: "paths", paths: ["src/**/*.ts"] } }, true],
    ["enough text for 20 million parameters", { parameters: 20e6 }, true],
    ["text for 19 million parameters", { parameters: 19e6, data: { paths: 3 } }, false],
  ])("of a model that was trained on %s", async (name, record, readsCode) => {
    expect((await readModel(await folder(`code-${name.length}`, record))).readsCode).toBe(readsCode);
  });

  test("without a record is named after the folder", async () => {
    expect(await readModel(await folder("imported", null))).toMatchObject({ name: "imported", problem: null });
  });

  test("reports missing files as a problem", async () => {
    const model = await readModel(await folder("half", { name: "Half" }, ["config.json"]));
    expect(model).toMatchObject({ name: "Half", problem: "Missing files: model.safetensors, tokenizer.json." });
  });

  test.each([
    ["shards", ["model.safetensors.index.json", "model-1.safetensors", "tokenizer.json"]],
    ["pytorch_model.bin", ["pytorch_model.bin", "tokenizer.json"]],
    ["vocab.json and merges.txt", ["model.safetensors", "vocab.json", "merges.txt"]],
  ])("from Hugging Face with %s is usable", async (name, files) => {
    expect((await readModel(await folder(name, null, ["config.json", ...files]))).problem).toBeNull();
  });

  test("with half a tokenizer has a problem", async () => {
    const model = await readModel(await folder("half", null, ["config.json", "model.safetensors", "vocab.json"]));
    expect(model.problem).toBe("Missing files: tokenizer.json.");
  });

  test.each(["{", "[1]", "null"])("with the record %s has a problem", async (record) => {
    expect((await readModel(await folder("bad", record))).problem).toBe(
      "training.json is damaged. It should contain a JSON object.",
    );
  });
});

describe("the list of models", () => {
  test("is sorted by date, with unusable folders and without those that are being written", async () => {
    await folder("old", { createdAt: "2026-01-01" });
    await folder("new", { createdAt: "2026-02-01" });
    await folder("broken", { createdAt: "2026-01-15" }, []);
    await folder(".new-checkpoint", null);
    await folder("new.tmp-3", null);
    expect((await listModels(root)).map((model) => model.name)).toEqual(["new", "broken", "old"]);
  });

  test("of a folder that does not exist is empty", async () => {
    expect(await listModels(join(root, "nowhere"))).toEqual([]);
  });
});

test("renaming changes the name and nothing else", async () => {
  const dir = await folder("fox", { name: "Fox", loss: 1, more: { kept: true } });
  await renameModel(dir, "Hare");
  expect(JSON.parse(await readFile(join(dir, "training.json"), "utf8"))).toEqual({
    name: "Hare",
    loss: 1,
    more: { kept: true },
  });
});

describe("an imported model", () => {
  const source = { id: "org/fox", revision: "abc", date: "2026-03-01T00:00:00Z", files: [{ name: "config.json" }] };
  const facts = { parameters: 124_439_808, family: "gpt2", precision: "8-bit", bytes: 1000 } as const;

  test("is named after its source until it has a name", async () => {
    const dir = await folder("fox", null);
    await writeFile(join(dir, "source.json"), JSON.stringify(source));
    const listed = { source: "org/fox", revision: "abc", createdAt: Date.UTC(2026, 2, 1) };
    expect(await readModel(dir)).toMatchObject({ name: "org/fox", ...listed });
    await noteImport(dir, "fox (8-bit)", facts);
    expect(await readModel(dir)).toMatchObject({ name: "fox (8-bit)", ...listed, ...facts });
  });

  test("keeps its import record when renamed, and gets no training record", async () => {
    const dir = await folder("fox", null);
    await writeFile(join(dir, "source.json"), JSON.stringify(source));
    await renameModel(dir, "Hare");
    expect(JSON.parse(await readFile(join(dir, "source.json"), "utf8"))).toEqual({ ...source, name: "Hare" });
    expect(await readdir(dir)).not.toContain("training.json");
    expect((await readModel(dir)).name).toBe("Hare");
  });
});

test("renaming changes the checkpoints too, because a resumed run reads its name there", async () => {
  const dir = await folder("fox", { name: "Fox" });
  await mkdir(join(dir, "checkpoints", "step-00000010"), { recursive: true });
  const record = join(dir, "checkpoints", "step-00000010", "training.json");
  await writeFile(record, JSON.stringify({ name: "Fox", step: 10 }));
  await renameModel(dir, "Hare");
  expect(JSON.parse(await readFile(record, "utf8"))).toEqual({ name: "Hare", step: 10 });
});

test.each([
  ["Shakespeare, all of it!", [], "shakespeare-all-of-it"],
  ["Ünïcode", [], "unicode"],
  ["../../etc", [], "etc"],
  ["漢字", [], "model"],
  ["fox", ["fox", "fox-2"], "fox-3"],
])("the folder of %j next to %j is %s", (name, taken, expected) => expect(folderFor(name, taken)).toBe(expected));

test("a new model has a unique name", () => expect(nameFor("Fox", ["Fox", "Fox 2"])).toBe("Fox 3"));

describe("the active model", () => {
  const model = (dir: string, more = {}) => ({
    dir,
    name: dir,
    bundled: false,
    problem: null,
    source: null,
    revision: null,
    family: null,
    precision: null,
    bytes: null,
    preset: null,
    parameters: null,
    step: null,
    steps: null,
    loss: null,
    valLoss: null,
    device: null,
    readsCode: false,
    createdAt: 0,
    ...more,
  });
  const bundled = model("bundled", { bundled: true });

  test("is the chosen one", () => expect(chooseActive([model("a"), model("b"), bundled], "b")?.dir).toBe("b"));
  test("is the bundled one if the chosen one is missing or unusable", () => {
    expect(chooseActive([model("a"), bundled], "gone")?.dir).toBe("bundled");
    expect(chooseActive([model("a", { problem: "?" }), bundled], "a")?.dir).toBe("bundled");
  });
  test("is the newest one without a bundled model", () =>
    expect(chooseActive([model("a"), model("b")], undefined)?.dir).toBe("a"));
  test("is undefined without models", () => expect(chooseActive([], "a")).toBeUndefined());
});

test("only listed models and their checkpoints are accepted", () => {
  const models = ["/models/fox"];
  expect(isModelOrCheckpoint("/models/fox", models)).toBe(true);
  expect(isModelOrCheckpoint("/models/fox/checkpoints/step-100", models)).toBe(true);
  for (const dir of ["/models", "/models/hare", "/models/fox/checkpoints/..", "/models/fox/other/step-1", "/etc"])
    expect(isModelOrCheckpoint(dir, models), dir).toBe(false);
});
