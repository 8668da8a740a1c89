import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decoderLab } from "../../../src/engine/models/decoderLab";
import { openModel, openWeights, readParams } from "../../../src/engine/models/folder";
import { LoadedModel } from "../../../src/engine/models/loadedModel";

const CHARACTERS = resolve(import.meta.dirname, "../../golden/characters");

let dir: string;
let count = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-hostile-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function copy(): Promise<string> {
  const model = join(dir, `model-${++count}`);
  await cp(CHARACTERS, model, { recursive: true });
  return model;
}

async function editJson(file: string, changes: object): Promise<void> {
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), ...changes }));
}

const rejected = (model: string, message: RegExp) =>
  expect(openModel(model)).rejects.toMatchObject({ name: "EngineError", message: expect.stringMatching(message) });

describe("an inconsistent model folder is rejected with advice", () => {
  test("more layers than the weights have", async () => {
    const model = await copy();
    await editJson(join(model, "config.json"), { nLayers: 99 });
    await rejected(model, /do not match its config\.json: the tensor "blocks\.\d+\..*" and \d+ others are missing/);
  });

  test("too many layers, before names are generated for them", async () => {
    const json = JSON.parse(await readFile(join(CHARACTERS, "config.json"), "utf8"));
    expect(() => decoderLab.config({ ...json, nLayers: 1 << 24 }, "config.json")).toThrow(
      /nLayers must be an integer from 1 to 1000 but is 16777216/,
    );
  });

  test("weights that are NaN", async () => {
    const model = await copy();
    const file = join(model, "model.safetensors");
    const bytes = await readFile(file);
    bytes.writeFloatLE(Number.NaN, bytes.length - 4);
    await writeFile(file, bytes);
    await expect(readParams(await openWeights(model))).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(/contains NaN or infinite values\. Use an earlier/),
    });
    const loaded = await LoadedModel.open(model, "cpu");
    const options = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 1, maxNewTokens: 1 };
    await expect(loaded.generate([1], options)).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(/computes values that are not numbers, so its weights are damaged/),
    });
    await loaded.release();
  });

  test.each(["config.json", "model.safetensors", "tokenizer.json"])("a folder named %s", async (name) => {
    const model = await copy();
    await rm(join(model, name));
    await mkdir(join(model, name));
    await rejected(model, /it is a folder, not a file/);
  });

  test("a file instead of the folder", () => rejected(join(CHARACTERS, "config.json"), /part of the path is a file/));

  test("keys of the object prototype have no effect", async () => {
    const model = await copy();
    await writeFile(join(model, "training.json"), '{"__proto__":{"name":"evil","step":7},"constructor":1}');
    const { info } = await openModel(model);
    expect(info).toMatchObject({ name: `model-${count}`, step: 0 });
    expect("step" in {}).toBe(false);
  });
});
