import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decoderLab } from "../../../src/engine/models/decoderLab";
import { openModel, openWeights, readParams } from "../../../src/engine/models/folder";
import { LoadedModel } from "../../../src/engine/models/loadedModel";

const SHIPPED = resolve(import.meta.dirname, "../../../media/model");

let dir: string;
let count = 0;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-hostile-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function copy(): Promise<string> {
  const model = join(dir, `model-${++count}`);
  await cp(SHIPPED, model, { recursive: true });
  return model;
}

async function editJson(file: string, changes: object): Promise<void> {
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), ...changes }));
}

const refused = (model: string, message: RegExp) =>
  expect(openModel(model)).rejects.toMatchObject({ name: "EngineError", message: expect.stringMatching(message) });

describe("a model folder that is not what it says is refused in one sentence", () => {
  test("fewer layers than the weights have", async () => {
    const model = await copy();
    await editJson(join(model, "config.json"), { nLayers: 3 });
    await refused(model, /has a tensor "blocks\.3\..*", which its config\.json knows nothing of/);
  });

  test("more layers than any model has, before a name is made for each", async () => {
    const json = JSON.parse(await readFile(join(SHIPPED, "config.json"), "utf8"));
    expect(() => decoderLab.config({ ...json, nLayers: 1 << 24 }, "config.json")).toThrow(
      /nLayers is 16777216, which is not a whole number from 1 to 1000/,
    );
  });

  test("weights that are not numbers", async () => {
    const model = await copy();
    const file = join(model, "model.safetensors");
    const bytes = await readFile(file);
    bytes.writeFloatLE(Number.NaN, bytes.length - 4);
    await writeFile(file, bytes);
    await expect(readParams(await openWeights(model))).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(/has values that are not numbers; go back/),
    });
    const loaded = await LoadedModel.open(model, "cpu");
    const options = { temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: 1, maxNewTokens: 1 };
    await expect(loaded.generate([1], options)).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(/computes values that are not numbers; its weights are damaged/),
    });
    await loaded.release();
  });

  test.each(["config.json", "model.safetensors", "tokenizer.json"])("a folder in the place of %s", async (name) => {
    const model = await copy();
    await rm(join(model, name));
    await mkdir(join(model, name));
    await refused(model, /is a folder and should be a file/);
  });

  test("a file in the place of the folder", () => refused(join(SHIPPED, "config.json"), /lies below a file/));

  test("keys of every object's prototype change nothing", async () => {
    const model = await copy();
    await writeFile(join(model, "training.json"), '{"__proto__":{"name":"evil","step":7},"constructor":1}');
    const { info } = await openModel(model);
    expect(info).toMatchObject({ name: `model-${count}`, step: 0 });
    expect("step" in {}).toBe(false);
  });
});
