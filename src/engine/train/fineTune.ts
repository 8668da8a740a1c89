/** Runs that start from a model instead of fresh parameters. */

import { totalmem } from "node:os";
import { EngineError } from "../errors";
import { type Model, openModel, requireUnquantized } from "../models/folder";
import type { Lora } from "../nn/adapters";
import type { DecoderConfig } from "../nn/config";
import { countParameters } from "../nn/params";
import { FINE_TUNING, type FineTuning, LORA_LEARNING_RATE } from "../presets/presets";
import { gigabytes, keptBytes, type Settings, withSettings } from "../presets/settings";
import type { TrainConfig } from "./config";
import { loraOf } from "./runFolder";

/** The model of a folder and how it is to be trained, with what is known to fail refused. */
export async function fineTuningOf(
  dir: string,
  changes: Settings,
): Promise<{ readonly base: Model; readonly recipe: FineTuning; readonly lora: Lora | null }> {
  const base = await openModel(dir);
  requireUnquantized(base);
  const { nCtx } = base.cfg;
  const blockSize = Math.min(FINE_TUNING.train.blockSize, nCtx);
  const isLora = Number(changes["lora.rank"] ?? 0) > 0;
  const recipe = withSettings(FINE_TUNING, {
    "train.blockSize": blockSize,
    ...(isLora && { "train.schedule.lr": LORA_LEARNING_RATE }),
    ...changes,
  });
  if (recipe.train.blockSize > nCtx) {
    throw new EngineError(
      "config",
      `train.blockSize is ${recipe.train.blockSize}, but ${base.info.name} has a context of ${nCtx}; choose at most that.`,
    );
  }
  const { rank, alpha } = recipe.lora;
  const lora = loraOf({ "lora.rank": rank, "lora.alpha": alpha });
  requireMemory(base.cfg, recipe.train, lora, base.info.name, totalmem());
  return { base, recipe, lora };
}

// Measured on GPT-2 124M: full steps took 6.8 GB, those of adapters 3.2 GB.
/** Bytes for each number that is trained: itself, its gradient, two moments, their successors, and copies of these. */
const TRAINED_BYTES = 11 * 4;
/** Bytes for each number that is not: as float32, for training and for evaluation. */
const FROZEN_BYTES = 2 * 4;
/** What a step holds besides, by what it keeps for its backward pass at the least. */
const STEP_FACTOR = 6;

/** Refuses a run that this machine cannot hold, with what to do. */
export function requireMemory(
  cfg: DecoderConfig,
  train: Pick<TrainConfig, "batchSize" | "blockSize">,
  lora: Lora | null,
  name: string,
  bytes: number,
): void {
  const parameters = countParameters(cfg);
  const weights = parameters * (lora ? FROZEN_BYTES : TRAINED_BYTES);
  const needed = weights + STEP_FACTOR * keptBytes(cfg, train);
  if (needed <= bytes) return;
  const problem = `Training ${lora ? "adapters of" : "all parameters of"} ${name} needs about ${gigabytes(needed)} of memory, and this machine has ${gigabytes(bytes)}`;
  const advice =
    weights > bytes && !lora
      ? "train adapters instead with lora.rank=8 (LoRA)"
      : weights > bytes
        ? "choose a smaller model"
        : "choose a smaller train.batchSize or train.blockSize";
  throw new EngineError("config", `${problem}; ${advice}.`);
}
