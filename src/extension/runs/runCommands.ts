/** Commands for a run: open its record, compare it, branch from it, export it to PyTorch. */

import { basename, join } from "node:path";
import * as vscode from "vscode";
import type { CheckpointInfo } from "../../protocol/engineApi";
import type { RunSnapshot } from "../../protocol/webviewApi";
import { bytes, grouped } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { isUsable, type Model } from "../models/modelFolders";
import { pickModel } from "../models/pickModel";
import { pickSetting } from "./pickSetting";
import { readRun } from "./runReports";
import { isSetting, type SettingValue } from "./trainingChoices";
import type { TrainingPanel } from "./trainingPanel";
import { showRun } from "./trainingProgress";

const trained = (model: Model) => model.preset !== null;

/** Shows the run of a model, with its record, in the training view. */
export function openRunRecord(lab: LabServices, panel: TrainingPanel) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Open Run Record"), trained));
    if (model) panel.show(model.dir);
  };
}

/** Continues from a checkpoint in a new folder. */
export function branchTraining(lab: LabServices, panel: TrainingPanel) {
  return async (given?: Model): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Branch Training"), (each) => trained(each) && !each.bundled));
    if (!model) return;
    const checkpoints = await lab.engine.call("checkpoints", { dir: model.dir });
    if (checkpoints.length === 0) {
      throw new Error(
        l10n.t("“{0}” has no checkpoint to branch from. Train it further, or train a new model.", model.name),
      );
    }
    const items = [...checkpoints].reverse().map((checkpoint) => ({
      label: l10n.t("Step {0}", grouped(checkpoint.step)),
      description: checkpoint.valLoss === null ? "" : l10n.t("validation loss {0}", checkpoint.valLoss.toFixed(3)),
      checkpoint,
    }));
    const title = l10n.t("Branch “{0}”: choose a checkpoint", model.name);
    const picked = await vscode.window.showQuickPick(items, { title });
    if (picked) await branchFrom(lab, panel, await readRun(model.dir), picked.checkpoint);
  };
}

/** Asks for settings to change, and continues from a checkpoint in a new folder. */
export async function branchFrom(
  lab: LabServices,
  panel: TrainingPanel,
  run: RunSnapshot,
  checkpoint: CheckpointInfo,
): Promise<void> {
  const settings = Object.fromEntries(
    Object.entries(run.record?.settings ?? {}).filter(
      (entry): entry is [string, SettingValue] => entry[0].startsWith("train.") && isSetting(entry[1]),
    ),
  );
  const changed: Record<string, SettingValue> = {};
  const start = {
    label: `$(git-branch) ${l10n.t("Branch from step {0}", grouped(checkpoint.step))}`,
    description: l10n.t("continues in a new folder"),
    value: "start" as const,
  };
  for (;;) {
    const title = l10n.t("Branch “{0}”: start, or change a setting first", run.name);
    const picked = await pickSetting(title, [start], { settings }, changed);
    if (!picked) return;
    if (picked === "start") break;
  }
  await lab.models.refresh();
  const reserved = lab.models.reserve(l10n.t("{0} from step {1}", run.name, checkpoint.step));
  const params = {
    dir: checkpoint.dir,
    out: reserved.dir,
    name: reserved.name,
    device: lab.engine.deviceChoice,
    set: changed,
  };
  try {
    await showRun(lab, panel, { kind: "branch", params, preset: run.preset, step: checkpoint.step });
  } catch (error) {
    lab.models.release(reserved);
    throw error;
  }
}

/** Exports a model's run as a PyTorch project to a folder that the user chooses. */
export function exportProject(lab: LabServices) {
  return async (given?: Pick<Model, "dir" | "name">): Promise<void> => {
    const model = given ?? (await pickModel(lab, l10n.t("Export to PyTorch"), isUsable));
    if (!model) return;
    const parent = await vscode.window.showOpenDialog({
      title: l10n.t("Choose a parent folder for the PyTorch project of “{0}”", model.name),
      openLabel: l10n.t("Export Here"),
      canSelectFiles: false,
      canSelectFolders: true,
    });
    if (!parent?.[0]) return;
    if (parent[0].scheme !== "file")
      throw new Error(l10n.t("This folder is not on the local disk. Choose a local folder."));
    const out = join(parent[0].fsPath, `${basename(model.dir)}-pytorch`);
    const location = vscode.ProgressLocation.Notification;
    const title = l10n.t("Exporting {0}", model.name);
    await vscode.window.withProgress({ location, title, cancellable: true }, (progress, token) => {
      const stop = new AbortController();
      token.onCancellationRequested(() => stop.abort());
      let shown = 0;
      const onProgress = (done: { readonly bytes: number; readonly totalBytes: number }) => {
        const share = done.totalBytes > 0 ? (100 * done.bytes) / done.totalBytes : 0;
        const message = l10n.t("{0} of {1}", bytes(done.bytes), bytes(done.totalBytes));
        progress.report({ message, increment: Math.max(0, share - shown) });
        shown = Math.max(shown, share);
      };
      const params = { dir: model.dir, format: "torch" as const, out };
      return lab.engine.call("exportModel", params, { signal: stop.signal, onProgress });
    });
    void offerProject(model.name, out);
  };
}

async function offerProject(name: string, out: string): Promise<void> {
  const open = l10n.t("Open README");
  const message = l10n.t("The PyTorch project of “{0}” was exported to {1}.", name, out);
  if ((await vscode.window.showInformationMessage(message, open)) !== open) return;
  await vscode.commands.executeCommand("vscode.open", vscode.Uri.file(join(out, "README.md")));
}
