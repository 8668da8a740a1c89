/** The commands around the engine, and the menu of the status bar item. */

import * as vscode from "vscode";
import { isEnabledFor } from "../complete/eligibility";
import type { Commands } from "../contributions";
import { deviceName } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "../models/modelFolders";
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

async function showMenu(lab: LabServices): Promise<void> {
  const { models, trainings } = lab;
  const run = trainings.current;
  const items = [
    section(l10n.t("Look inside")),
    item("decoderLab.openExplorer", `$(telescope) ${l10n.t("Open Model Explorer")}`),
    item("decoderLab.inspectSelection", `$(search) ${l10n.t("Inspect Selection or Line")}`),
    item("decoderLab.toggleSurprisal", `$(symbol-color) ${l10n.t("Toggle Surprisal Lens")}`),
    item("decoderLab.whyThisCompletion", `$(question) ${l10n.t("Why This Completion?")}`),
    section(l10n.t("Inline completions")),
    ...completionItems(lab),
    section(l10n.t("Models")),
    item("decoderLab.chooseModel", `$(circuit-board) ${l10n.t("Choose Active Model")}`, models.active?.name),
    ...(run ? [item("decoderLab.showTraining", `$(graph-line) ${l10n.t("Show Training")}`, run.name)] : []),
    run?.active
      ? item("decoderLab.stopTraining", `$(debug-stop) ${l10n.t("Stop Training")}`, l10n.t("saves a checkpoint"))
      : item("decoderLab.trainTinyGpt", `$(add) ${l10n.t("Train Tiny GPT")}`),
    item("decoderLab.importModel", `$(cloud-download) ${l10n.t("Import Model")}`),
    section(l10n.t("Engine")),
    item("decoderLab.chooseDevice", `$(chip) ${l10n.t("Choose Device")}`, deviceName(setting("engine.device"))),
    item("decoderLab.restartEngine", `$(debug-restart) ${l10n.t("Restart Engine")}`),
    item("decoderLab.showLog", `$(output) ${l10n.t("Show Log")}`),
  ];
  const picked = await vscode.window.showQuickPick(items, { title: "Decoder Lab" });
  if (picked?.command) await vscode.commands.executeCommand(picked.command);
}

interface MenuItem extends vscode.QuickPickItem {
  readonly command?: keyof Commands;
}

const item = (command: keyof Commands, label: string, description = ""): MenuItem => ({ command, label, description });

const section = (label: string): MenuItem => ({ label, kind: vscode.QuickPickItemKind.Separator });

/** Turns completions on or off, everywhere or in the language of the active editor, or pauses them. */
function completionItems({ models, snooze }: LabServices): MenuItem[] {
  const [turnOn, turnOff] = [l10n.t("Turn Completions On"), l10n.t("Turn Completions Off")];
  if (!setting("completion.enabled")) return [item("decoderLab.toggleCompletions", `$(sparkle) ${turnOn}`)];
  const minutes = snooze.minutesLeft;
  return [
    item("decoderLab.toggleCompletions", `$(sparkle) ${turnOff}`),
    ...languageItems(models.active),
    ...(minutes > 0
      ? [
          item("decoderLab.snoozeCompletions", `$(bell-slash) ${l10n.t("Snooze 5 More Minutes")}`),
          item("decoderLab.endSnooze", `$(bell) ${l10n.t("End Snooze")}`, l10n.t("{0} min left", minutes)),
        ]
      : [item("decoderLab.snoozeCompletions", `$(bell-slash) ${l10n.t("Snooze Completions for 5 Minutes")}`)]),
  ];
}

function languageItems(model: Model | undefined): MenuItem[] {
  const document = vscode.window.activeTextEditor?.document;
  if (!document || !model) return [];
  const { languageId } = document;
  const languages = setting("completion.languages", document);
  if (isEnabledFor(languages, languageId, model.readsCode))
    return [item("decoderLab.toggleLanguage", `$(code) ${l10n.t("Turn Completions Off for {0}", languageId)}`)];
  const reason = isEnabledFor(languages, languageId, true) ? l10n.t("“{0}” was not trained on code", model.name) : "";
  return [item("decoderLab.toggleLanguage", `$(code) ${l10n.t("Turn Completions On for {0}", languageId)}`, reason)];
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
