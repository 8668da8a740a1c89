/** The commands of the Models view. Without a model, as from the command palette, each asks for one. */

import * as vscode from "vscode";
import type { Commands } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { importModel, setHubToken } from "./importModel";
import { isUsable, type Model } from "./modelFolders";
import { pickModel } from "./pickModel";

const isOwn = (model: Model) => !model.bundled;

/** How long the status bar confirms that something was copied, in milliseconds. */
const CONFIRMATION_TIME = 4000;

/** `inspect` shows the active model in the Layer Inspector. */
export const modelCommands = (lab: LabServices, inspect: () => Promise<void>) =>
  ({
    "decoderLab.importModel": importModel(lab),
    "decoderLab.setHubToken": setHubToken(lab),
    "decoderLab.refreshModels": () => lab.models.refresh(),

    "decoderLab.chooseModel": async () => {
      const model = await pickModel(lab, l10n.t("Choose Active Model"), isUsable);
      if (model) await lab.models.activate(model.dir);
    },

    "decoderLab.activateModel": async (given) => {
      const model = given ?? (await pickModel(lab, l10n.t("Activate"), isUsable));
      if (model) await lab.models.activate(model.dir);
    },

    "decoderLab.inspectModel": async (given) => {
      const model = given ?? (await pickModel(lab, l10n.t("Inspect"), isUsable));
      if (!model) return;
      await lab.models.activate(model.dir);
      await inspect();
    },

    "decoderLab.renameModel": async (given) => {
      const model = given ?? (await pickModel(lab, l10n.t("Rename"), (each) => isOwn(each) && isUsable(each)));
      if (!model) return;
      refuseWhileTraining(lab, model);
      const name = await vscode.window.showInputBox({
        title: l10n.t("Rename {0}", model.name),
        value: model.name,
        validateInput: (text) => (text.trim() === "" ? l10n.t("Enter a name.") : undefined),
      });
      if (name && name.trim() !== model.name) await lab.models.rename(model, name.trim());
    },

    "decoderLab.deleteModel": async (given) => {
      const model = given ?? (await pickModel(lab, l10n.t("Delete"), isOwn));
      if (!model) return;
      if (model.bundled) throw new Error(l10n.t("“{0}” comes with the extension and cannot be deleted.", model.name));
      refuseWhileTraining(lab, model);
      const remove = l10n.t("Delete");
      const answer = await vscode.window.showWarningMessage(
        l10n.t("Delete the model “{0}”?", model.name),
        {
          modal: true,
          detail: l10n.t("This deletes its folder with the weights and cannot be undone.\n{0}", model.dir),
        },
        remove,
      );
      if (answer !== remove) return;
      // An engine that is not running has no files open.
      if (lab.engine.state.kind === "running") await lab.engine.call("closeModel", { dir: model.dir });
      await lab.models.delete(model);
    },

    "decoderLab.revealModel": async (given) => {
      const model = given ?? (await pickModel(lab, l10n.t("Reveal Folder"), isOwn));
      if (!model) return;
      const folder = vscode.Uri.file(model.dir);
      if (vscode.env.remoteName === undefined && vscode.env.uiKind === vscode.UIKind.Desktop) {
        await vscode.commands.executeCommand("revealFileInOS", folder);
        return;
      }
      // A remote machine has no file manager to open, but VS Code can open the folder's files.
      const files = await vscode.window.showOpenDialog({
        title: model.name,
        defaultUri: folder,
        canSelectMany: false,
      });
      if (files?.[0]) await vscode.commands.executeCommand("vscode.open", files[0]);
    },

    "decoderLab.copyModuleTree": async (given) => {
      const model = given ?? (await pickModel(lab, l10n.t("Copy Module Tree"), isUsable));
      if (!model) return;
      await vscode.env.clipboard.writeText(await lab.engine.call("printModules", { dir: model.dir }));
      vscode.window.setStatusBarMessage(
        l10n.t("Copied the module tree of “{0}” to the clipboard.", model.name),
        CONFIRMATION_TIME,
      );
    },
  }) satisfies Partial<Commands>;

function refuseWhileTraining(lab: LabServices, model: Model): void {
  if (lab.trainings.isTaken(model.dir)) {
    throw new Error(l10n.t("“{0}” is still training. Stop it first, or wait until it is done.", model.name));
  }
}
