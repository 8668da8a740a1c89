import * as vscode from "vscode";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { statusText } from "./statusText";

/** The main item in the status bar. Updates arrive often, so it is drawn at most every 100 ms. */
export class StatusItem implements vscode.Disposable {
  readonly #item = vscode.window.createStatusBarItem("decoderLab.status", vscode.StatusBarAlignment.Right, 100);
  readonly #lab: LabServices;
  #timer: NodeJS.Timeout | undefined;

  constructor(lab: LabServices) {
    this.#lab = lab;
    this.#item.name = "Decoder Lab";
    this.#item.command = "decoderLab.showMenu";
    this.#draw();
    this.#item.show();
  }

  update(): void {
    this.#timer ??= setTimeout(() => this.#draw(), 100);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#item.dispose();
  }

  #draw(): void {
    this.#timer = undefined;
    const { engine, models, trainings, activity, snooze } = this.#lab;
    const run = trainings.current;
    const { text, tooltip, failed } = statusText({
      model: models.active?.name ?? null,
      device: engine.device ?? engine.deviceChoice,
      engine: engine.state,
      run: run ? { name: run.name, state: run.state, step: run.step, steps: run.steps, loss: run.loss } : null,
      generating: activity.generating,
      problem: activity.problem,
      snoozedMinutes: snooze.minutesLeft,
    });
    this.#item.text = text;
    this.#item.tooltip = tooltip.join("\n");
    this.#item.backgroundColor = failed ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
    this.#item.accessibilityInformation = { label: l10n.t("Decoder Lab: {0}", tooltip.join(", ")) };
  }
}
