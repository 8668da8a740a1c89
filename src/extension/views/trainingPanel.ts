/** The training view, in the editor area: the curves, samples and buttons of the current run. */

import * as vscode from "vscode";
import { serve } from "../../protocol/rpc";
import type { TrainingEvents, TrainingHost } from "../../protocol/webviewApi";
import { trainingPanelType } from "../contributions";
import { l10n } from "../l10n";
import type { Lab } from "../lab";
import { trainingChecks } from "./checks";
import { act, save } from "./hostActions";
import { openPage, webviewPort } from "./webviewPage";

export class TrainingPanel implements vscode.WebviewPanelSerializer, vscode.Disposable {
  readonly #lab: Lab;
  readonly #resume: () => void;
  #panel: vscode.WebviewPanel | undefined;

  /** `resume` goes on with the run that is shown, and shows its own errors. */
  constructor(lab: Lab, resume: () => void) {
    this.#lab = lab;
    this.#resume = resume;
  }

  show(): void {
    if (this.#panel) {
      this.#panel.reveal(undefined, true);
      return;
    }
    const title = l10n.t("Training");
    const place = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    this.#fill(vscode.window.createWebviewPanel(trainingPanelType, title, place));
  }

  /** VS Code brings the panel back after a reload. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    this.#fill(panel);
  }

  dispose(): void {
    this.#panel?.dispose();
  }

  #fill(panel: vscode.WebviewPanel): void {
    const { extensionUri, trainings } = this.#lab;
    this.#panel = panel;
    panel.iconPath = vscode.Uri.joinPath(extensionUri, "media", "icon.svg");
    this.#setTitle();

    const server = serve<TrainingHost, TrainingEvents>(webviewPort(panel.webview), this.#handlers(), trainingChecks);
    const subscriptions = vscode.Disposable.from(
      trainings.onDidStart((run) => {
        this.#setTitle();
        server.tell("run", run.snapshot());
      }),
      trainings.onDidReport((event) => server.tell("train", event)),
      trainings.onDidChangeState((state) => server.tell("state", state)),
    );
    panel.onDidDispose(() => {
      subscriptions.dispose();
      server.close();
      if (this.#panel === panel) this.#panel = undefined;
    });
    openPage(panel.webview, extensionUri, "training", l10n.t("Training"));
  }

  #setTitle(): void {
    const name = this.#lab.trainings.current?.name;
    if (this.#panel) this.#panel.title = name ? l10n.t("Training: {0}", name) : l10n.t("Training");
  }

  #handlers(): Parameters<typeof serve<TrainingHost, TrainingEvents>>[1] {
    const { trainings, models } = this.#lab;
    return {
      ready: () => ({ strings: vscode.l10n.bundle ?? {}, run: trainings.current?.snapshot() ?? null }),
      pause: async ({ paused }) => {
        await trainings.current?.pause(paused);
        return null;
      },
      stop: () => {
        trainings.current?.stop();
        return null;
      },
      resume: () => {
        this.#resume();
        return null;
      },
      activate: async ({ inspect }) => {
        const dir = trainings.current?.dir;
        if (dir) await models.activate(dir);
        if (inspect) void vscode.commands.executeCommand("decoderLab.inspectSelection");
        return null;
      },
      act,
      save,
    };
  }
}
