import * as vscode from "vscode";
import { grouped } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { isUsable, type Model } from "../models/modelFolders";
import { pickModel } from "../models/pickModel";
import type { TrainingPanel } from "./trainingPanel";
import { showRun } from "./trainingProgress";

/** Resumes the run of a model that was trained on this machine. */
export function resumeTraining(lab: LabServices, panel: TrainingPanel) {
  return async (given?: Model): Promise<void> => {
    const canResume = (model: Model) =>
      isUsable(model) && !model.bundled && model.source === null && !lab.trainings.isTaken(model.dir);
    const model = given ?? (await pickModel(lab, l10n.t("Resume Training"), canResume));
    if (!model) return;
    const steps = await askForSteps(model);
    if (steps === undefined) return;
    panel.show();
    const params = { dir: model.dir, device: lab.engine.deviceChoice, ...(steps === null ? {} : { steps }) };
    await showRun(lab, panel, { kind: "resume", params, name: model.name, preset: model.preset ?? "" });
  };
}

/**
 * Resumes the run in a folder, by default the one in the training view: from its last checkpoint, or from the start if
 * nothing was saved yet.
 */
export async function resumeRun(
  lab: LabServices,
  panel: TrainingPanel,
  dir = lab.trainings.current?.dir,
): Promise<void> {
  const { request } = lab.trainings;
  await lab.models.refresh();
  const model = lab.models.models.find((each) => each.dir === dir);
  if (model && isUsable(model)) return resumeTraining(lab, panel)(model);
  if (request?.kind !== "train" || request.params.out !== dir) {
    throw new Error(l10n.t("No training run to resume. Train a model first."));
  }
  const reservation = lab.models.reserve(request.params.name);
  const params = { ...request.params, name: reservation.name, out: reservation.dir, device: lab.engine.deviceChoice };
  await showRun(lab, panel, { ...request, params });
}

/** The new last step of a finished run; null for an unfinished one, whose end stays. Undefined when dismissed. */
async function askForSteps({ step, steps, name }: Model): Promise<number | null | undefined> {
  if (step === null || steps === null || step < steps) return null;
  const typed = await vscode.window.showInputBox({
    title: l10n.t("Resume Training"),
    prompt: l10n.t("“{0}” has finished its {1} steps. Train until which step?", name, grouped(steps)),
    value: String(step * 2),
    validateInput: (text) =>
      /^\d+$/.test(text.trim()) && Number(text) > step ? undefined : l10n.t("Enter a whole number above {0}.", step),
  });
  return typed === undefined ? undefined : Number(typed);
}
