/** Set-up of runs that start from an existing model. */

import type { Settings, SettingsInfo } from "../api/run";
import { EngineError } from "../errors";
import { type Model, openModel, requireUnquantized } from "../models/folder";
import type { Lora } from "../nn/adapters";
import { FINE_TUNING, type FineTuning, LORA_LEARNING_RATE } from "../presets/presets";
import { settingsInfo, withSettings } from "../presets/settings";
import { loraOf } from "./runFolder";

/** The base model and recipe of a fine-tuning run. Throws for settings that the model does not support. */
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
      `train.blockSize is ${recipe.train.blockSize}, but ${base.info.name} has a context of ${nCtx}. Choose at most ${nCtx}.`,
    );
  }
  const { rank, alpha } = recipe.lora;
  const lora = loraOf({ "lora.rank": rank, "lora.alpha": alpha });
  return { base, recipe, lora };
}

/** The settings for fine-tuning a model. Throws for a model or settings with which it cannot be fine-tuned. */
export const fineTuningInfo = async (dir: string, changes: Settings): Promise<SettingsInfo> =>
  settingsInfo((await fineTuningOf(dir, changes)).recipe);
