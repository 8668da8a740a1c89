/** "Fine-Tune Model": trains a model further on a text, all of its parameters or adapters beside them. */

import * as vscode from "vscode";
import type { MemoryEstimate, TrainParams } from "../../protocol/engineApi";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { isUsable, type Model } from "../models/modelFolders";
import { pickModel } from "../models/pickModel";
import { memoryOf } from "./memoryText";
import { type Changed, pickRunSettings } from "./pickRunSettings";
import { pickText } from "./pickText";
import type { TrainingPanel } from "./trainingPanel";
import { showRun } from "./trainingProgress";

const PRESET = "finetune";
/** Eight columns are enough for most texts (Hu et al. 2021, section 7.2). */
const ADAPTERS: Changed = { "lora.rank": 8 };

export function fineTuneModel(lab: LabServices, panel: TrainingPanel) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Fine-Tune: choose a model"), isUsable));
    if (!model) return;
    // Refuses a model that cannot be fine-tuned before other questions are asked.
    await lab.engine.call("fineTuning", { dir: model.dir, set: {} });
    const data = await pickText(l10n.t("Fine-tune “{0}”: choose a text", model.name), null);
    if (!data) return;

    await lab.models.refresh();
    const reserved = lab.models.reserve(l10n.t("{0} on {1}", model.name, data.name));
    const { name, dir: out } = reserved;
    const { deviceChoice: device } = lab.engine;
    const params: TrainParams = { preset: PRESET, from: model.dir, data: data.source, out, name, device };
    const estimate = (set: Changed, signal: AbortSignal) => lab.engine.call("estimate", { ...params, set }, { signal });
    try {
      const first = await pickParameters(model.name, estimate);
      if (!first) return lab.models.release(reserved);
      const info = await lab.engine.call("fineTuning", { dir: model.dir, set: first });
      const title = l10n.t("Fine-tune “{0}”: start, or change a setting first", model.name);
      const changed = await pickRunSettings(title, info, {
        estimate: (set, signal) => estimate({ ...first, ...set }, signal),
      });
      if (!changed) return lab.models.release(reserved);
      panel.show();
      const steps = Number(changed["train.steps"] ?? info.settings["train.steps"]);
      await showRun(lab, panel, { kind: "train", params: { ...params, set: { ...first, ...changed } }, steps });
    } catch (error) {
      lab.models.release(reserved);
      throw error;
    }
  };
}

/** Asks for the parameters to train, with the memory that each choice needs. Returns their settings. */
async function pickParameters(
  name: string,
  estimate: (set: Changed, signal: AbortSignal) => Promise<MemoryEstimate>,
): Promise<Changed | undefined> {
  const abort = new AbortController();
  const choices = [
    {
      label: l10n.t("All parameters"),
      detail: l10n.t("Changes the model the most. Also keeps gradients and two averages of each parameter in memory."),
      set: {},
    },
    {
      label: l10n.t("Adapters (LoRA)"),
      detail: l10n.t(
        "Trains two small matrices beside each weight matrix. The new model has them added to its weights.",
      ),
      set: ADAPTERS,
    },
  ];
  const items = Promise.all(
    choices.map(async (choice) => ({
      ...choice,
      description: (await memoryOf(estimate(choice.set, abort.signal))).text,
    })),
  );
  const title = l10n.t("Fine-tune “{0}”: choose the parameters to train", name);
  const picked = Promise.resolve(vscode.window.showQuickPick(items, { title, ignoreFocusOut: true }));
  return (await picked.finally(() => abort.abort()))?.set;
}
