/** Adapters in PEFT's file format, and the model that results from merging them into their base model. */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Node } from "../graph/node";
import { exportNames, type FamilyNames, moduleNameIn } from "../models/family";
import { type ModelWeights, readParamsOf } from "../models/folder";
import { adapterSpecs, type Lora, mergedMatrix } from "../nn/adapters";
import type { DecoderConfig } from "../nn/config";
import { type Params, paramSpecs } from "../nn/params";
import { lower } from "../runtime/lower";
import { Session } from "../runtime/session";
import type { DeviceWeights } from "../runtime/weights";
import { ADAPTER_FILES, readStored, type StoredTensor, writeSafetensors } from "../weights";
import { writeSafetensorsInParts } from "../weights/safetensors";

/** For Llama, `blocks.3.q.loraA` is `base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight`. */
function nameInFile(family: FamilyNames, name: string): string {
  const end = name.lastIndexOf(".");
  return `base_model.model.${moduleNameIn(family, name.slice(0, end))}.lora_${name.at(-1)}.weight`;
}

/** Writes adapter_model.safetensors and adapter_config.json. */
export async function writeAdapters(
  folder: string,
  family: FamilyNames,
  cfg: DecoderConfig,
  lora: Lora,
  params: Params,
  base: string,
): Promise<void> {
  const tensors = adapterSpecs(cfg, lora).map(({ name, shape }) => {
    const data = params.get(name) as Float32Array;
    return [nameInFile(family, name), { shape, dtype: "F32" as const, data }] as const;
  });
  await writeSafetensors(join(folder, ADAPTER_FILES.weights), new Map(tensors), { format: "pt" });
  const modules = tensors.map(([name]) => name.split(".").at(-3) as string);
  const config = {
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    base_model_name_or_path: base,
    r: lora.rank,
    lora_alpha: lora.alpha,
    lora_dropout: 0,
    bias: "none",
    fan_in_fan_out: cfg.weightLayout === "inOut",
    target_modules: [...new Set(modules)],
  };
  await writeFile(join(folder, ADAPTER_FILES.config), `${JSON.stringify(config, null, 2)}\n`);
}

export const readAdapters = (folder: string, family: FamilyNames, cfg: DecoderConfig, lora: Lora): Promise<Params> =>
  readParamsOf(join(folder, ADAPTER_FILES.weights), adapterSpecs(cfg, lora), (name) => nameInFile(family, name));

/** Writes the base model with its adapters merged: W + alpha / rank * B A. */
export async function writeMerged(
  path: string,
  { family, cfg, weights }: ModelWeights,
  adapted: DeviceWeights,
): Promise<void> {
  const names = exportNames(family, cfg);
  const tensors = paramSpecs(cfg).map(
    ({ name, shape }) => [names.get(name) as string, { shape: [...shape], dtype: "F32" as const }] as const,
  );
  const fill = async (write: (name: string, at: number, bytes: Uint8Array) => Promise<void>) => {
    for (const { name } of paramSpecs(cfg)) {
      const merged = mergedMatrix(name, adapted.param, cfg);
      // Quantized models were rejected before, so all tensors are stored as plain values.
      const values = merged ? await computed(merged, adapted) : await readStored(weights.get(name) as StoredTensor);
      await write(names.get(name) as string, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    }
  };
  await writeSafetensorsInParts(path, new Map(tensors), fill, { format: "pt" });
}

async function computed(node: Node, { feeds }: DeviceWeights): Promise<Float32Array> {
  const session = await Session.create(lower({ y: node }, "cpu"), "cpu");
  try {
    return (await session.compute(feeds)).y as Float32Array;
  } finally {
    await session.release();
  }
}
