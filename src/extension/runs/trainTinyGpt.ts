/** "Train Tiny GPT": asks for a preset, a text and optional settings, then trains in the background. */

import * as vscode from "vscode";
import type { PresetInfo, TrainParams } from "../../protocol/engineApi";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { findLearningRate } from "./findLearningRate";
import { fineTuneModel } from "./fineTune";
import { pickRunSettings } from "./pickRunSettings";
import { pickText } from "./pickText";
import type { TrainingPanel } from "./trainingPanel";
import { showRun } from "./trainingProgress";

export function trainTinyGpt(lab: LabServices, panel: TrainingPanel) {
  return async (): Promise<void> => {
    const preset = await pickPreset(lab);
    if (preset === "fineTune") return fineTuneModel(lab, panel)();
    if (!preset) return;
    const title = l10n.t("Train Tiny GPT: choose a text");
    const data = preset.needsText ? await pickText(title, preset.sample) : null;
    if (data === undefined) return;

    await lab.models.refresh();
    const reserved = lab.models.reserve(data?.name ?? preset.title);
    const params: TrainParams = {
      preset: preset.name,
      out: reserved.dir,
      name: reserved.name,
      device: lab.engine.deviceChoice,
      ...(data && { data: data.source }),
    };
    try {
      const title = l10n.t("{0}: start, or change a setting first", preset.title);
      const set = await pickRunSettings(title, preset, {
        estimate: (changed, signal) => lab.engine.call("estimate", { ...params, set: changed }, { signal }),
        findRate: (changed) => findLearningRate(lab, panel, { ...params, set: changed }),
      });
      if (!set) return lab.models.release(reserved);
      panel.show();
      const steps = Number(set["train.steps"] ?? preset.settings["train.steps"]);
      await showRun(lab, panel, { kind: "train", params: { ...params, set }, steps });
    } catch (error) {
      lab.models.release(reserved);
      throw error;
    }
  };
}

async function pickPreset({ engine }: LabServices): Promise<PresetInfo | "fineTune" | undefined> {
  const fineTune = {
    label: l10n.t("Fine-tune a model…"),
    description: "",
    detail: l10n.t("Trains a model that you imported or trained further, on another text."),
    preset: "fineTune" as const,
  };
  const items = engine.call("presets", {}).then((presets) => [
    ...presets.map((preset) => ({
      label: preset.title,
      description: preset.name,
      detail: [preset.description, ...preset.expected].join(" "),
      preset,
    })),
    fineTune,
  ]);
  const title = l10n.t("Train Tiny GPT: choose a preset");
  return (await vscode.window.showQuickPick(items, { title, ignoreFocusOut: true }))?.preset;
}
