import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TrainParams } from "../../../src/engine/api/run";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { openModel, openWeights, readParams } from "../../../src/engine/models/folder";
import { LoadedModel } from "../../../src/engine/models/loadedModel";
import { FINE_TUNING } from "../../../src/engine/presets/presets";
import { mapWeights } from "../../../src/engine/runtime/weights";
import { saveTokenizer, trainCharacters } from "../../../src/engine/tokenizers";
import { evaluateModel } from "../../../src/engine/train/evaluate";
import { requireMemory } from "../../../src/engine/train/memory";
import { branch, resume, train } from "../../../src/engine/train/run";
import { checkpointsOf, openRunFolder } from "../../../src/engine/train/runFolder";
import { adaptersOf } from "../../../src/engine/train/trained";
import { quantizeFolder, readHeader } from "../../../src/engine/weights";
import { baseFolder, fineTuning, LORA, SMALL, TEXT, watched } from "../../helpers/fineTuning";
import { temporaryFolder } from "../../helpers/storedTensors";
import { largestDifference } from "../../helpers/tinyModel";

const paramsOf = async (dir: string) => readParams(await openWeights(dir));
const configOf = (dir: string) => JSON.parse(readFileSync(join(dir, "config.json"), "utf8"));
const checkpointOf = (dir: string) =>
  join(dir, "checkpoints", readdirSync(join(dir, "checkpoints")).sort().at(-1) ?? "");

async function expectSameWeights(a: string, b: string): Promise<void> {
  const [ours, expected] = [await paramsOf(a), await paramsOf(b)];
  expect([...ours.keys()]).toEqual([...expected.keys()]);
  for (const [name, values] of expected) expect(largestDifference(ours.get(name) ?? [], values), name).toBe(0);
}

/** Fused and separate, [in, out] and [out, in], tied and untied, pre-norm and post-norm. */
const families = ["gpt2", "opt", "gpt_neox", "llama", "qwen3", "gemma2", "phi", "olmo2"];

describe.each([
  ["all parameters", SMALL],
  ["adapters", LORA],
])("a run that trains %s", (_name, set) => {
  test.each(families)("%s: learns, and saves a model of the same family", async (variant) => {
    const base = await baseFolder(variant);
    const control = watched();
    const { dir } = await train(fineTuning(base, set), control);
    expect(control.losses.at(-1)).toBeLessThan((control.losses[0] as number) - 0.3);

    const { torch_dtype, ...config } = configOf(dir);
    const { torch_dtype: _, ...expected } = configOf(base);
    expect([config, torch_dtype]).toEqual([expected, "float32"]);
    const { info, weights } = await openModel(dir);
    expect(info).toMatchObject({ family: expected.model_type, preset: "finetune", step: 12, precision: "float32" });
    expect(weights.size).toBe((await openWeights(base)).weights.size);

    const text = { kind: "text", name: "cats", text: TEXT } as const;
    const [after, before] = [await evaluateModel(dir, text, "cpu"), await evaluateModel(base, text, "cpu")];
    expect(after.loss).toBeLessThan(before.loss - 0.3);
    // Also on its own held-out text.
    expect((await evaluateModel(dir, undefined, "cpu")).tokens).toBeGreaterThan(16);

    const loaded = await LoadedModel.open(dir, "cpu");
    const prompt = loaded.model.tokenizer.encodePrompt("the ");
    const sampling = { temperature: 0, topK: 0, topP: 1, seed: 0 };
    expect((await loaded.generate(prompt, { ...sampling, maxNewTokens: 5 })).ids.length).toBeLessThanOrEqual(5);
    await loaded.release();
  });

  test("repeats the losses of an uninterrupted one after a stop, bit for bit", async () => {
    const base = await baseFolder("llama");
    const whole = watched();
    const reference = await train(fineTuning(base, set), whole);
    const first = watched(5);
    const stopped = await train(fineTuning(base, set), first);
    expect(stopped.step).toBeLessThan(12);
    const second = watched();
    await resume(stopped.dir, {}, second);
    expect([...first.losses, ...second.losses]).toEqual(whole.losses);
    await expectSameWeights(stopped.dir, reference.dir);
  });

  test("with a learning rate of 0 leaves the weights unchanged", async () => {
    const base = await baseFolder("gpt2");
    const { dir } = await train(
      fineTuning(base, { ...set, "train.schedule.lr": 0, "train.schedule.minLr": 0 }),
      watched(),
    );
    await expectSameWeights(dir, base);
  });
});

describe("a run that trains adapters", () => {
  test("saves only the adapters in its checkpoints, with PEFT's names, and maps the base weights", async () => {
    const base = await baseFolder("llama");
    const { dir } = await train(fineTuning(base, LORA), watched());
    const checkpoint = checkpointOf(dir);
    expect(existsSync(join(checkpoint, "model.safetensors"))).toBe(false);
    const { tensors } = await readHeader(join(checkpoint, "adapter_model.safetensors"));
    const { hidden_size: D, intermediate_size: F } = configOf(base);
    const layer = "base_model.model.model.layers.1";
    expect(tensors.get(`${layer}.mlp.down_proj.lora_A.weight`)?.shape).toEqual([4, F]);
    expect(tensors.get(`${layer}.mlp.down_proj.lora_B.weight`)?.shape).toEqual([D, 4]);
    expect(tensors.size).toBe(2 * 2 * 7);
    expect(JSON.parse(readFileSync(join(checkpoint, "adapter_config.json"), "utf8"))).toMatchObject({
      r: 4,
      lora_alpha: 8,
      base_model_name_or_path: base,
      fan_in_fan_out: false,
      target_modules: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    });
    const { model } = await openRunFolder(dir);
    const { base: weights, lora } = model.adapters as NonNullable<typeof model.adapters>;
    expect((await adaptersOf(weights, lora, "cpu")).feeds).toEqual({});
  });

  test("saves checkpoints that are not models, and that a new run can continue from", async () => {
    const whole = watched();
    const { dir } = await train(fineTuning(await baseFolder("llama"), LORA), whole);
    const [first = ""] = readdirSync(join(dir, "checkpoints")).sort().slice(-2);
    const checkpoint = join(dir, "checkpoints", first);
    await expect(openModel(checkpoint)).rejects.toThrow(
      /contains only adapters, .*\. Choose the model folder of their training run\.$/,
    );
    expect(await checkpointsOf(dir)).toEqual([]);
    const control = watched();
    const { step } = await branch({ dir: checkpoint, out: `${dir}-branch`, name: "branch", device: "cpu" }, control);
    expect(control.losses).toEqual(whole.losses.slice(-control.losses.length));
    expect([step, control.losses.length]).toEqual([whole.losses.length, whole.losses.length - Number(first.slice(5))]);
  });

  test.each(families)("%s: publishes a model equal to the base with its adapters", async (variant) => {
    const { dir } = await train(fineTuning(await baseFolder(variant), { ...LORA, "train.steps": 3 }), watched());
    const { model, state } = await openRunFolder(dir);
    const { base, lora } = model.adapters as NonNullable<typeof model.adapters>;
    const adapted = await (await adaptersOf(base, lora, "cpu")).weights(state.params);
    const merged = await mapWeights(model.cfg, (await openWeights(dir)).weights, "cpu");
    const ids = [[3, 14, 15, 9, 2, 6, 5]];
    const logits = async (weights: typeof merged) =>
      (await new Tracer(base.cfg, weights).trace(ids)).get("logits")?.data as Float32Array;
    const [ours, expected] = [await logits(merged), await logits(adapted)];
    expect(largestDifference(ours, expected)).toBeLessThan(1e-4);
    const untouched = await logits(await mapWeights(model.cfg, base.weights, "cpu"));
    expect(largestDifference(untouched, expected)).toBeGreaterThan(1e-2);
  });

  test("does not resume with other base weights", async () => {
    const base = await baseFolder("llama");
    const { dir } = await train(fineTuning(base, LORA), watched(4));
    const other = await train(fineTuning(base, { ...SMALL, "train.steps": 1 }), watched());
    cpSync(join(other.dir, "model.safetensors"), join(base, "model.safetensors"));
    await expect(resume(dir, {}, watched())).rejects.toThrow(/is no longer the base model of tuned\. Restore that/);
    await rm(base, { recursive: true });
    await expect(resume(dir, {}, watched())).rejects.toMatchObject({ name: "EngineError" });
  });
});

describe("one sentence explains", () => {
  const refused = async (run: TrainParams, message: RegExp) => {
    await expect(train(run, watched())).rejects.toMatchObject({
      name: "EngineError",
      message: expect.stringMatching(message),
    });
    expect(existsSync(run.out), "nothing is left behind").toBe(false);
  };

  test("a missing base model", async () => {
    const { from: _, ...run } = fineTuning("");
    await refused(run, /^Fine-tuning needs a base model; specify its model folder\.$/);
  });
  test("no text", async () => {
    const { data: _none, ...run } = fineTuning(await baseFolder("gpt2"));
    await refused(run, /trains on a text\. Choose a file or a folder/);
  });
  test("a preset that trains a new model", async () =>
    refused(
      { ...fineTuning(await baseFolder("gpt2")), preset: "char" },
      /trains a new model and cannot start from an existing one/,
    ));
  test("a setting that the base model determines", async () =>
    refused(fineTuning(await baseFolder("gpt2"), { "model.nLayers": 3 }), /no setting "model.nLayers"/));
  test("sequences longer than the context", async () =>
    refused(
      fineTuning(await baseFolder("llama"), { "train.blockSize": 4096 }),
      /train.blockSize is 4096, but .* has a context of/,
    ));
  test("a model without a tokenizer", async () => {
    const dir = await baseFolder("llama");
    await rm(join(dir, "tokenizer.json"));
    await refused(fineTuning(dir), /has no tokenizer/);
  });
  test.each([SMALL, LORA])("quantized weights", async (set) => {
    const [base, dir] = [await baseFolder("llama"), join(temporaryFolder(), "q")];
    await quantizeFolder(base, dir, 8, (_name, shape) => shape.length === 2 && shape.every((n) => n % 32 === 0));
    await saveTokenizer(await trainCharacters([TEXT]), dir);
    await refused(
      fineTuning(dir, set),
      /is quantized to 8 bits and cannot be trained\. Train the unquantized model instead\.$/,
    );
  });

  test("a lack of memory, with advice: adapters, then smaller batches, then a smaller model", async () => {
    const { cfg } = await openModel(await baseFolder("llama"));
    const large = { ...cfg, dModel: 2048, dMlp: 8192, nLayers: 24, vocabSize: 50_000 };
    const batch = { ...FINE_TUNING.train, batchSize: 4, blockSize: 128 };
    const lora = { rank: 8, alpha: 16 };
    const check = (given: typeof lora | null, gigabytes: number, train = batch) =>
      requireMemory({ cfg: large, train, lora: given }, gigabytes * 2 ** 30);
    expect(() => check(null, 16)).toThrow(
      /^Training \d+\.\d million parameters with batches of 4 sequences of 128 tokens needs about [\d.]+ GB of memory, but only 17\.2 GB are free\. .* train adapters with lora\.rank=8\.$/,
    );
    expect(() => check(lora, 24)).not.toThrow();
    expect(() => check(lora, 24, { ...batch, batchSize: 512 })).toThrow(
      /Choose a smaller train\.batchSize: \d+ with train\.gradientAccumulation=\d+ is equivalent\.$/,
    );
    expect(() => check(lora, 4)).toThrow(/Choose a smaller model\.$/);
  });
});
