import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  chooseActive,
  folderFor,
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

const whole = ["config.json", "model.safetensors", "tokenizer.json"];

async function folder(name: string, record: string | object | null, files = whole): Promise<string> {
  const dir = join(root, name);
  await mkdir(dir);
  for (const file of files) await writeFile(join(dir, file), "{}");
  if (record !== null) {
    await writeFile(join(dir, "training.json"), typeof record === "string" ? record : JSON.stringify(record));
  }
  return dir;
}

describe("a model folder", () => {
  test("shows what its record says", async () => {
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
      createdAt: Date.UTC(2026, 2, 1),
    });
  });

  test("with any field missing, or of another type, is still a model", async () => {
    const model = await readModel(await folder("odd", { name: 3, loss: "low", steps: null }));
    expect(model).toMatchObject({ name: "odd", loss: null, steps: null, preset: null, problem: null });
  });

  test("without a record is a model named after its folder", async () => {
    expect(await readModel(await folder("imported", null))).toMatchObject({ name: "imported", problem: null });
  });

  test("with a file missing is broken, and says which", async () => {
    const model = await readModel(await folder("half", { name: "Half" }, ["config.json"]));
    expect(model).toMatchObject({ name: "Half", problem: "Missing files: model.safetensors, tokenizer.json." });
  });

  test.each([
    ["shards", ["model.safetensors.index.json", "model-1.safetensors", "tokenizer.json"]],
    ["pytorch_model.bin", ["pytorch_model.bin", "tokenizer.json"]],
    ["vocab.json and merges.txt", ["model.safetensors", "vocab.json", "merges.txt"]],
  ])("of the hub with %s is a model", async (name, files) => {
    expect((await readModel(await folder(name, null, ["config.json", ...files]))).problem).toBeNull();
  });

  test("with half of a tokenizer is broken", async () => {
    const model = await readModel(await folder("half", null, ["config.json", "model.safetensors", "vocab.json"]));
    expect(model.problem).toBe("Missing files: tokenizer.json.");
  });

  test.each(["{", "[1]", "null"])("with the record %s is broken", async (record) => {
    expect((await readModel(await folder("bad", record))).problem).toBe(
      "training.json is damaged. It should contain a JSON object.",
    );
  });
});

describe("the list", () => {
  test("is newest first, keeps broken folders, and leaves out checkpoints that are being written", async () => {
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

  test("is named after its source until it has a name, and says where it comes from", async () => {
    const dir = await folder("fox", null);
    await writeFile(join(dir, "source.json"), JSON.stringify(source));
    const listed = { source: "org/fox", revision: "abc", createdAt: Date.UTC(2026, 2, 1) };
    expect(await readModel(dir)).toMatchObject({ name: "org/fox", ...listed });
    await noteImport(dir, "fox (8-bit)", facts);
    expect(await readModel(dir)).toMatchObject({ name: "fox (8-bit)", ...listed, ...facts });
  });

  test("keeps its record when it is renamed, and gets none of a run", async () => {
    const dir = await folder("fox", null);
    await writeFile(join(dir, "source.json"), JSON.stringify(source));
    await renameModel(dir, "Hare");
    expect(JSON.parse(await readFile(join(dir, "source.json"), "utf8"))).toEqual({ ...source, name: "Hare" });
    expect(await readdir(dir)).not.toContain("training.json");
    expect((await readModel(dir)).name).toBe("Hare");
  });
});

test("renaming reaches the checkpoints, from which a resumed run takes its name", async () => {
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
])("the folder for %j beside %j is %s", (name, taken, expected) => expect(folderFor(name, taken)).toBe(expected));

test("a new model has a name of its own", () => expect(nameFor("Fox", ["Fox", "Fox 2"])).toBe("Fox 3"));

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
    createdAt: 0,
    ...more,
  });
  const bundled = model("bundled", { bundled: true });

  test("is the chosen one", () => expect(chooseActive([model("a"), model("b"), bundled], "b")?.dir).toBe("b"));
  test("is the bundled one when the chosen one is gone or broken", () => {
    expect(chooseActive([model("a"), bundled], "gone")?.dir).toBe("bundled");
    expect(chooseActive([model("a", { problem: "?" }), bundled], "a")?.dir).toBe("bundled");
  });
  test("is the newest where none is bundled", () =>
    expect(chooseActive([model("a"), model("b")], undefined)?.dir).toBe("a"));
  test("is none where there is none", () => expect(chooseActive([], "a")).toBeUndefined());
});
