/** The commands of the Models view; without a model they ask for one. */

import * as vscode from "vscode";
import type { InspectorView } from "../explore/inspectorView";
import { count, deviceName, grouped } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { TrainingPanel } from "../runs/trainingPanel";
import { showRun } from "../runs/trainingProgress";
import type { Model } from "./modelFolders";

const usable = (model: Model) => model.problem === null;
const own = (model: Model) => !model.bundled;
const trainedHere = (model: Model) => own(model) && model.source === null;

export function chooseModel(lab: LabServices) {
  return async (): Promise<void> => {
    const model = await pickModel(lab, l10n.t("Which model is used to complete, inspect and show tokens?"), usable);
    if (model) await lab.models.activate(model.dir);
  };
}

export function activateModel(lab: LabServices) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Activate"), usable));
    if (model) await lab.models.activate(model.dir);
  };
}

export function inspectModel(lab: LabServices, inspector: InspectorView) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Inspect"), usable));
    if (!model) return;
    await lab.models.activate(model.dir);
    await inspector.reveal();
  };
}

export function resumeTraining(lab: LabServices, panel: TrainingPanel) {
  return async (given?: Model): Promise<void> => {
    const trained = (model: Model) => usable(model) && trainedHere(model) && !lab.trainings.isTaken(model.dir);
    const model = given ?? (await pickModel(lab, l10n.t("Resume Training"), trained));
    if (!model) return;
    const steps = await askForSteps(model);
    if (steps === undefined) return;
    panel.show();
    const params = { dir: model.dir, device: lab.engine.deviceChoice, ...(steps === null ? {} : { steps }) };
    await showRun(lab, panel, { kind: "resume", params, name: model.name, preset: model.preset ?? "" }, false);
  };
}

/**
 * Goes on with the run of a folder, by default the one of the training view: from its last checkpoint or, where nothing
 * was saved yet, from the start.
 */
export async function resumeRun(
  lab: LabServices,
  panel: TrainingPanel,
  dir = lab.trainings.current?.dir,
): Promise<void> {
  const { request } = lab.trainings;
  await lab.models.refresh();
  const model = lab.models.models.find((each) => each.dir === dir);
  if (model && usable(model)) return resumeTraining(lab, panel)(model);
  if (request?.kind !== "train" || request.params.out !== dir) {
    throw new Error(l10n.t("There is no run to go on with. Train a model first."));
  }
  const place = lab.models.place(request.params.name);
  const params = { ...request.params, name: place.name, out: place.dir, device: lab.engine.deviceChoice };
  await showRun(lab, panel, { ...request, params }, params.data !== undefined);
}

/** How far to go: null to where the run was meant to go. A run that is done needs a new end. */
async function askForSteps({ step, steps, name }: Model): Promise<number | null | undefined> {
  if (step === null || steps === null || step < steps) return null;
  const typed = await vscode.window.showInputBox({
    title: l10n.t("Resume Training"),
    prompt: l10n.t("“{0}” has done its {1} steps. Up to which step shall it go on?", name, grouped(steps)),
    value: String(step * 2),
    validateInput: (text) =>
      /^\d+$/.test(text.trim()) && Number(text) > step ? undefined : l10n.t("Type a whole number above {0}.", step),
  });
  return typed === undefined ? undefined : Number(typed);
}

export function renameModel(lab: LabServices) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Rename"), (each) => own(each) && usable(each)));
    if (!model) return;
    refuseWhileTraining(lab, model);
    const name = await vscode.window.showInputBox({
      title: l10n.t("Rename {0}", model.name),
      value: model.name,
      validateInput: (text) => (text.trim() === "" ? l10n.t("Type a name.") : undefined),
    });
    if (name && name.trim() !== model.name) await lab.models.rename(model, name.trim());
  };
}

export function deleteModel(lab: LabServices) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Delete"), own));
    if (!model) return;
    if (model.bundled) throw new Error(l10n.t("“{0}” comes with the extension and cannot be deleted.", model.name));
    refuseWhileTraining(lab, model);
    const yes = l10n.t("Delete");
    const answer = await vscode.window.showWarningMessage(
      l10n.t("Delete the model “{0}”?", model.name),
      { modal: true, detail: l10n.t("Its folder with the weights is removed. This cannot be undone.\n{0}", model.dir) },
      yes,
    );
    if (answer !== yes) return;
    // An engine that is not running has nothing open.
    if (lab.engine.state.kind === "running") await lab.engine.call("closeModel", { dir: model.dir });
    await lab.models.delete(model);
  };
}

export function revealModel(lab: LabServices) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Reveal Folder"), own));
    if (!model) return;
    const folder = vscode.Uri.file(model.dir);
    if (vscode.env.remoteName === undefined && vscode.env.uiKind === vscode.UIKind.Desktop) {
      await vscode.commands.executeCommand("revealFileInOS", folder);
      return;
    }
    // On another machine there is no file manager to open; the folder's files can be opened here.
    const files = await vscode.window.showOpenDialog({ title: model.name, defaultUri: folder, canSelectMany: false });
    if (files?.[0]) await vscode.commands.executeCommand("vscode.open", files[0]);
  };
}

export function copyModuleTree(lab: LabServices) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Copy Module Tree"), usable));
    if (!model) return;
    await vscode.env.clipboard.writeText(await lab.engine.call("printModules", { dir: model.dir }));
    vscode.window.setStatusBarMessage(l10n.t("The module tree of “{0}” is in the clipboard.", model.name), TOLD_FOR);
  };
}

/** Milliseconds that the status bar tells what was done. */
const TOLD_FOR = 4000;

function refuseWhileTraining(lab: LabServices, model: Model): void {
  if (lab.trainings.isTaken(model.dir)) {
    throw new Error(l10n.t("“{0}” is still training. Stop it first, or wait until it is done.", model.name));
  }
}

export async function pickModel(
  lab: LabServices,
  title: string,
  which: (model: Model) => boolean,
): Promise<Model | undefined> {
  await lab.models.refresh();
  const models = lab.models.models.filter(which);
  if (models.length === 0) throw new Error(l10n.t("There is no model for this yet. Train or import one first."));
  const active = lab.models.active?.dir;
  const items = models.map((model) => ({
    label: `${model.dir === active ? "$(pass-filled) " : ""}${model.name}`,
    description: [
      model.parameters === null ? "" : count(model.parameters),
      model.precision ?? "",
      model.loss === null ? "" : l10n.t("loss {0}", (model.valLoss ?? model.loss).toFixed(2)),
      model.device ? deviceName(model.device) : "",
    ]
      .filter(Boolean)
      .join(" · "),
    model,
  }));
  return (await vscode.window.showQuickPick(items, { title, matchOnDescription: true }))?.model;
}
