/** Fine-tuning of small models. */

import { cpSync } from "node:fs";
import { join } from "node:path";
import type { TrainEvent, TrainParams } from "../../src/engine/api/run";
import { saveTokenizer, trainCharacters } from "../../src/engine/tokenizers";
import type { RunControl } from "../../src/engine/train/control";
import { ARCHITECTURES } from "./architectures";
import { temporaryFolder } from "./storedTensors";

export const TEXT = "the cat sat on the mat and the dog sat on the cat\n".repeat(40);

export const SMALL = {
  "train.steps": 12,
  "train.batchSize": 4,
  "train.blockSize": 16,
  "train.evalEvery": 6,
  "train.sampleEvery": 12,
  "train.checkpointEvery": 6,
  "train.schedule.warmup": 1,
  "train.schedule.lr": 3e-3,
};

export const LORA = { ...SMALL, "lora.rank": 4, "lora.alpha": 8, "train.schedule.lr": 2e-2 };

/** Copies a tiny checkpoint to a new folder and adds a tokenizer for the text. */
export async function baseFolder(variant: string): Promise<string> {
  const dir = join(temporaryFolder(), variant);
  cpSync(join(ARCHITECTURES, variant), dir, { recursive: true });
  await saveTokenizer(await trainCharacters([TEXT]), dir);
  return dir;
}

export const fineTuning = (
  from: string,
  set: TrainParams["set"] = SMALL,
  device: TrainParams["device"] = "cpu",
): TrainParams => ({
  preset: "finetune",
  from,
  data: { kind: "text", name: "cats", text: TEXT },
  out: join(temporaryFolder(), "tuned"),
  name: "tuned",
  device,
  set,
});

/** A control that records the losses and stops after `stopAt` steps. */
export function watched(stopAt = Infinity): RunControl & { readonly losses: number[] } {
  const stop = new AbortController();
  const losses: number[] = [];
  const report = (event: TrainEvent) => {
    if (event.kind !== "steps") return;
    losses.push(...event.reports.map(({ loss }) => loss));
    if (losses.length >= stopAt) stop.abort();
  };
  return { signal: stop.signal, whilePaused: async () => {}, report, losses };
}
