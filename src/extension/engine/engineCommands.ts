/** The commands around the engine, and the menu of the status bar item. */

import * as vscode from "vscode";
import type { Commands } from "../contributions";
import { deviceName } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { setSetting, setting } from "../settings";
import type { EngineState } from "./engineClient";

export const engineCommands = (lab: LabServices) =>
  ({
    "decoderLab.restartEngine": async () => {
      if (lab.trainings.current?.active) {
        const restart = l10n.t("Restart Engine");
        const detail = l10n.t("Training falls back to its last checkpoint and can be resumed from there.");
        const question = l10n.t("“{0}” is training. Restart the engine anyway?", lab.trainings.current.name);
        const answer = await vscode.window.showWarningMessage(question, { modal: true, detail }, restart);
        if (answer !== restart) return;
      }
      lab.activity.problem = null;
      await lab.engine.restart();
    },

    "decoderLab.chooseDevice": async () => {
      const devices = await lab.engine.call("devices", {});
      const current = setting("engine.device");
      const mark = (label: string, choice: string) => (choice === current ? `$(check) ${label}` : label);
      const items = [
        {
          label: mark(l10n.t("Automatic"), "auto"),
          detail: l10n.t("Benchmarks the CPU and the GPU once and uses the faster one."),
          choice: "auto" as const,
        },
        ...devices.map(({ device, available, detail }) => ({
          label: mark(device === "cpu" ? "CPU" : l10n.t("GPU (WebGPU)"), device),
          description: available ? "" : l10n.t("not available"),
          detail,
          choice: available ? device : null,
        })),
      ];
      const picked = await vscode.window.showQuickPick(items, { title: l10n.t("Device for training and inference") });
      if (!picked) return;
      if (!picked.choice) throw new Error(l10n.t("This device is not available: {0}", picked.detail));
      // The listener to settings restarts the engine.
      await setSetting("engine.device", picked.choice);
    },

    "decoderLab.showLog": async () => lab.log.show(),
    "decoderLab.showMenu": () => showMenu(lab),
  }) satisfies Partial<Commands>;

async function showMenu({ models, trainings }: LabServices): Promise<void> {
  const item = (command: keyof Commands, label: string, description = "") => ({ command, label, description });
  const run = trainings.current;
  const completions = setting("completion.enabled")
    ? l10n.t("Turn Inline Completions Off")
    : l10n.t("Turn Inline Completions On");
  const items = [
    ...(run?.active
      ? [
          item("decoderLab.showTraining", `$(graph-line) ${l10n.t("Show Training")}`, run.name),
          item("decoderLab.stopTraining", `$(debug-stop) ${l10n.t("Stop Training")}`, l10n.t("saves a checkpoint")),
        ]
      : [item("decoderLab.trainTinyGpt", `$(add) ${l10n.t("Train Tiny GPT")}`)]),
    item("decoderLab.importModel", `$(cloud-download) ${l10n.t("Import Model")}`),
    item("decoderLab.chooseModel", `$(circuit-board) ${l10n.t("Choose Active Model")}`, models.active?.name),
    item("decoderLab.inspectSelection", `$(search) ${l10n.t("Inspect Selection or Line")}`),
    item("decoderLab.toggleCompletions", `$(sparkle) ${completions}`),
    item("decoderLab.chooseDevice", `$(chip) ${l10n.t("Choose Device")}`, deviceName(setting("engine.device"))),
    item("decoderLab.restartEngine", `$(debug-restart) ${l10n.t("Restart Engine")}`),
    item("decoderLab.showLog", `$(output) ${l10n.t("Show Log")}`),
  ];
  const picked = await vscode.window.showQuickPick(items, { title: "Decoder Lab" });
  if (picked) await vscode.commands.executeCommand(picked.command);
}

/** Restarts a running engine after its settings changed, unless that would interrupt a training run. */
export async function restartWithSettings({ engine, trainings }: LabServices): Promise<void> {
  if (engine.state.kind === "idle") return;
  if (trainings.current?.active) {
    void vscode.window.showInformationMessage(
      l10n.t("A model is training. Restart the engine to apply the new settings."),
    );
    return;
  }
  await engine.restart();
}

/** Notifies the user of a crash that changes something: another device, or no engine any more. */
export async function notifyOfCrash(state: EngineState): Promise<void> {
  if (state.kind === "restarting" && state.fallsBack) void vscode.window.showWarningMessage(state.message);
  if (state.kind !== "stopped") return;
  const [restart, showLog] = [l10n.t("Restart Engine"), l10n.t("Show Log")];
  const chosen = await vscode.window.showErrorMessage(state.message, restart, showLog);
  if (chosen === restart) await vscode.commands.executeCommand("decoderLab.restartEngine");
  if (chosen === showLog) await vscode.commands.executeCommand("decoderLab.showLog");
}
