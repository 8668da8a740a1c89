/** The commands around the engine, and the menu of the status item that leads to them. */

import * as vscode from "vscode";
import type { Commands } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { setSetting, setting } from "../settings";

export function restartEngine(lab: LabServices) {
  return async (): Promise<void> => {
    if (lab.trainings.current?.active) {
      const go = l10n.t("Restart Engine");
      const detail = l10n.t("It goes back to its last saved step and can be resumed from there.");
      const question = l10n.t("“{0}” is training. Restart the engine anyway?", lab.trainings.current.name);
      if ((await vscode.window.showWarningMessage(question, { modal: true, detail }, go)) !== go) return;
    }
    lab.activity.problem = null;
    await lab.engine.restart();
  };
}

export function chooseDevice(lab: LabServices) {
  return async (): Promise<void> => {
    const devices = await lab.engine.call("devices", {});
    const now = setting("engine.device");
    const mark = (label: string, choice: string) => (choice === now ? `$(check) ${label}` : label);
    const items = [
      {
        label: mark(l10n.t("Automatic"), "auto"),
        detail: l10n.t("Measures what there is and takes the faster."),
        choice: "auto" as const,
      },
      ...devices.map(({ device, available, detail }) => ({
        label: mark(device === "cpu" ? l10n.t("Processor (CPU)") : l10n.t("Graphics card (WebGPU)"), device),
        description: available ? "" : l10n.t("not available"),
        detail,
        choice: available ? device : null,
      })),
    ];
    const picked = await vscode.window.showQuickPick(items, { title: l10n.t("Where do models run?") });
    if (!picked) return;
    if (!picked.choice) throw new Error(l10n.t("This device is not available here: {0}", picked.detail));
    // The engine is started again with it, by the listener to the settings.
    await setSetting("engine.device", picked.choice);
  };
}

export const toggleCompletions = () => async (): Promise<void> => {
  await setSetting("completion.enabled", !setting("completion.enabled"));
};

export function showMenu(lab: LabServices) {
  return async (): Promise<void> => {
    const { models, trainings } = lab;
    const item = (command: keyof Commands, label: string, description = "") => ({ command, label, description });
    const run = trainings.current;
    const completions = setting("completion.enabled")
      ? l10n.t("Turn Inline Completions Off")
      : l10n.t("Turn Inline Completions On");
    const items = [
      ...(run?.active
        ? [
            item("decoderLab.showTraining", `$(graph-line) ${l10n.t("Show Training")}`, run.name),
            item(
              "decoderLab.stopTraining",
              `$(debug-stop) ${l10n.t("Stop Training")}`,
              l10n.t("keeps what was learned"),
            ),
          ]
        : [item("decoderLab.trainTinyGpt", `$(add) ${l10n.t("Train Tiny GPT")}`)]),
      item("decoderLab.importModel", `$(cloud-download) ${l10n.t("Import Model")}`),
      item("decoderLab.chooseModel", `$(circuit-board) ${l10n.t("Choose Active Model")}`, models.active?.name),
      item("decoderLab.inspectSelection", `$(search) ${l10n.t("Inspect Selection or Line")}`),
      item("decoderLab.toggleCompletions", `$(sparkle) ${completions}`),
      item("decoderLab.chooseDevice", `$(chip) ${l10n.t("Choose Device")}`, setting("engine.device")),
      item("decoderLab.restartEngine", `$(debug-restart) ${l10n.t("Restart Engine")}`),
      item("decoderLab.showLog", `$(output) ${l10n.t("Show Log")}`),
    ];
    const picked = await vscode.window.showQuickPick(items, { title: "Decoder Lab" });
    if (picked) await vscode.commands.executeCommand(picked.command);
  };
}
