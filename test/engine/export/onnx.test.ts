import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { planOnnx } from "../../../src/engine/export/onnxModel";
import { exportNames } from "../../../src/engine/models/family";
import { openWeights } from "../../../src/engine/models/folder";
import { readTensor } from "../../../src/engine/weights";
import { ARCHITECTURES, VARIANTS } from "../../helpers/architectures";
import { ExportedModel } from "../../helpers/exportedModel";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-export-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe.each(Object.values(VARIANTS).flat())("%s as ONNX", (name) => {
  const checkpoint = join(ARCHITECTURES, name);
  const { prompts, ids: continuations } = JSON.parse(readFileSync(join(checkpoint, "greedy.json"), "utf8")) as {
    readonly prompts: number[][];
    readonly ids: number[][];
  };
  let exported: ExportedModel;
  beforeAll(async () => {
    const model = await openWeights(checkpoint);
    const file = join(dir, `${name}.onnx`);
    const names = exportNames(model.family, model.cfg);
    const positionIds = model.family.modelType !== "opt";
    await planOnnx(model, file, { precision: "float32", names, positionIds }).write(() => undefined);
    exported = await ExportedModel.open(file);
  });
  afterAll(() => exported?.release());

  test("computes PyTorch's logits of a padded batch", async () => {
    const { data, shape } = await readTensor(join(checkpoint, "reference.safetensors"), "logits");
    const [, T, V] = shape as [number, number, number];
    const logits = await exported.logits(prompts, "right");
    expect(logits.length).toBe(data.length);
    let largest = 0;
    prompts.forEach(({ length }, b) => {
      for (let i = b * T * V; i < (b * T + length) * V; i++) {
        largest = Math.max(largest, Math.abs((logits[i] as number) - (data[i] as number)));
      }
    });
    expect(largest).toBeLessThan(2e-4);
  });

  test.each(["left", "right"] as const)("continues a batch with the cache, padded at the %s", async (side) => {
    const count = (continuations[0] as number[]).length;
    expect(await exported.greedy(prompts, count, side)).toEqual(continuations);
  });
});
