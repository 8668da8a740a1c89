/** The training view in the editor area: the curves, samples and buttons of a run, alone or compared with others. */

import * as vscode from "vscode";
import type { CheckpointInfo } from "../../protocol/engineApi";
import { type Server, serve } from "../../protocol/rpc";
import type { FinderState, PaintedText, RunSnapshot, TrainingEvents, TrainingHost } from "../../protocol/webviewApi";
import { trainingPanelType } from "../contributions";
import { errorTextForLog } from "../errorText";
import { grouped } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { act, save } from "../webviews/hostActions";
import { trainingChecks } from "../webviews/messageChecks";
import { openPage, webviewPort } from "../webviews/webviewPage";
import { readRecord, readRun } from "./runReports";
import { listRuns } from "./runTable";

/** Actions that the view shares with commands; each shows its own errors. */
export interface RunActions {
  /** Resumes a run from its last checkpoint. */
  resume(dir: string | undefined): void;
  /** Continues from a checkpoint of a run in a new folder. */
  branch(run: RunSnapshot, checkpoint: CheckpointInfo): void;
  exportProject(dir: string): void;
}

export class TrainingPanel implements vscode.WebviewPanelSerializer, vscode.Disposable {
  readonly #lab: LabServices;
  readonly #actions: RunActions;
  #panel: vscode.WebviewPanel | undefined;
  #page: Server<TrainingEvents> | undefined;
  /** The folder of the shown run; undefined for the current or last run of this window. */
  #dir: string | undefined;
  /** The folders of the compared runs. */
  #compared: readonly string[] = [];
  #comparedRuns: readonly RunSnapshot[] = [];
  #checkpoints: readonly CheckpointInfo[] = [];
  #finder: { readonly state: FinderState; readonly stop: () => void } | null = null;

  constructor(lab: LabServices, actions: RunActions) {
    this.#lab = lab;
    this.#actions = actions;
  }

  /** Shows the run of a folder, by default the current or last run of this window. */
  show(dir?: string): void {
    this.#dir = dir;
    if (this.#panel) {
      this.#panel.reveal(undefined, true);
      void this.#showRun();
      return;
    }
    const title = l10n.t("Training");
    const column = { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true };
    this.#fill(vscode.window.createWebviewPanel(trainingPanelType, title, column));
  }

  /** Shows a learning rate search, which `stop` ends; null hides it. */
  showFinder(state: FinderState | null, stop: () => void = () => {}): void {
    this.#finder = state && { state, stop };
    this.#page?.send("finder", state);
  }

  /** Restores the panel after a window reload, with the state that its page saved. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const dir = typeof state === "object" && state !== null && "dir" in state ? state.dir : undefined;
    await this.#lab.models.refresh();
    const known = this.#lab.models.models.some((model) => model.dir === dir);
    this.#dir = typeof dir === "string" && known && dir !== this.#lab.trainings.current?.dir ? dir : undefined;
    this.#fill(panel);
  }

  dispose(): void {
    this.#panel?.dispose();
  }

  #fill(panel: vscode.WebviewPanel): void {
    const { extensionUri, models, trainings } = this.#lab;
    this.#panel = panel;
    panel.iconPath = vscode.Uri.joinPath(extensionUri, "media", "icon.svg");
    this.#setTitle(null);

    const page = serve<TrainingHost, TrainingEvents>(webviewPort(panel.webview), this.#handlers(), trainingChecks);
    this.#page = page;
    const subscriptions = vscode.Disposable.from(
      // A run that the user opened stays when the queue starts another.
      trainings.onDidStart(() => this.#isLive() && void this.#showRun()),
      trainings.onDidReport((event) => {
        if (this.#isLive()) page.send("train", event);
        if (event.kind === "checkpoint" && this.#isLive()) void this.#sendSaved();
        if (event.kind === "eval") this.#updateCompared();
      }),
      trainings.onDidChangeState((state) => this.#isLive() && page.send("state", state)),
      trainings.onDidChangeQueue((queue) => page.send("queue", queue)),
      models.onDidChange(() => void this.#sendRuns()),
    );
    panel.onDidDispose(() => {
      subscriptions.dispose();
      page.close();
      if (this.#panel !== panel) return;
      this.#panel = undefined;
      this.#page = undefined;
    });
    openPage(panel.webview, extensionUri, "training", l10n.t("Training"));
  }

  /** True if the shown run is this window's own, whose events arrive live. */
  #isLive(): boolean {
    return this.#shownDir() === this.#lab.trainings.current?.dir;
  }

  /** A page may only name folders of the library. */
  #isKnown(dir: string): boolean {
    return this.#lab.models.models.some((model) => model.dir === dir && model.preset !== null);
  }

  #shownDir(): string | undefined {
    return this.#dir ?? this.#lab.trainings.current?.dir;
  }

  async #snapshot(): Promise<RunSnapshot | null> {
    const dir = this.#shownDir();
    if (dir === undefined) return null;
    const run = await this.#read(dir);
    // Another run may have started while the folder was read; showing this one now would hide it.
    return dir === this.#shownDir() ? run : this.#snapshot();
  }

  async #read(dir: string): Promise<RunSnapshot> {
    const { current } = this.#lab.trainings;
    return current?.dir === dir ? { ...current.snapshot(), record: await readRecord(dir) } : readRun(dir);
  }

  async #showRun(): Promise<void> {
    const run = await this.#snapshot();
    this.#setTitle(run);
    this.#page?.send("run", run);
    await Promise.all([this.#sendSaved(), this.#sendCompared()]);
  }

  #setTitle(run: RunSnapshot | null): void {
    if (this.#panel) this.#panel.title = run ? l10n.t("Training: {0}", run.name) : l10n.t("Training");
  }

  /** Sends the record, which the first checkpoint writes, and the checkpoints, which can be branched from. */
  async #sendSaved(): Promise<void> {
    const dir = this.#shownDir();
    if (dir === undefined) return;
    const { engine, log } = this.#lab;
    const found = engine.call("checkpoints", { dir }).catch((error: unknown) => {
      log.warn(`checkpoints: ${errorTextForLog(error)}`);
      return [];
    });
    const record = await readRecord(dir);
    if (record && dir === this.#shownDir()) this.#page?.send("record", record);
    const checkpoints = await found;
    if (dir !== this.#shownDir()) return;
    this.#checkpoints = checkpoints;
    this.#page?.send("checkpoints", checkpoints);
  }

  async #sendCompared(): Promise<void> {
    const shown = this.#shownDir();
    this.#comparedRuns = await Promise.all(this.#compared.filter((dir) => dir !== shown).map((dir) => this.#read(dir)));
    this.#page?.send("compared", this.#comparedRuns);
  }

  async #sendRuns(): Promise<void> {
    this.#page?.send("runs", await listRuns(this.#lab));
  }

  /** Sends the compared runs again if the run of this window is one of them. */
  #updateCompared(): void {
    const { current } = this.#lab.trainings;
    if (!current || !this.#comparedRuns.some(({ dir }) => dir === current.dir)) return;
    this.#comparedRuns = this.#comparedRuns.map((run) =>
      run.dir === current.dir ? { ...current.snapshot(), record: run.record } : run,
    );
    this.#page?.send("compared", this.#comparedRuns);
  }

  #checkpoint(step: number): CheckpointInfo {
    const found = this.#checkpoints.find((each) => each.step === step);
    if (!found) throw new Error(l10n.t("The checkpoint of step {0} has been deleted. Choose another.", grouped(step)));
    return found;
  }

  /** The folder of the shown run; throws if there is none. */
  #requireDir(): string {
    const dir = this.#shownDir();
    if (dir === undefined) throw new Error(l10n.t("No training run is open. Train a model first."));
    return dir;
  }

  async #paint(step: number | null, page: number): Promise<PaintedText> {
    const { engine } = this.#lab;
    const dir = this.#requireDir();
    const excerpt = await engine.call("trainingExcerpt", { dir, page });
    const checkpoint = step === null ? (this.#checkpoints.at(-1) ?? { dir, step: 0 }) : this.#checkpoint(step);
    const surprisal = await engine.call("surprisal", { dir: checkpoint.dir, text: excerpt.text, alternatives: 5 });
    return { ...excerpt, step: checkpoint.step, surprisal };
  }

  #handlers(): Parameters<typeof serve<TrainingHost, TrainingEvents>>[1] {
    const { trainings, models } = this.#lab;
    return {
      ready: async () => {
        const run = await this.#snapshot();
        this.#setTitle(run);
        this.#page?.send("queue", trainings.queue);
        this.#page?.send("finder", this.#finder?.state ?? null);
        void this.#sendSaved();
        void this.#sendCompared();
        await models.refresh();
        void this.#sendRuns();
        const hasRuns = models.models.some(({ preset }) => preset !== null);
        return { strings: vscode.l10n.bundle ?? {}, run, hasRuns };
      },
      pause: async ({ paused }) => {
        await trainings.current?.pause(paused);
        return null;
      },
      stop: () => {
        trainings.current?.stop();
        return null;
      },
      resume: () => {
        this.#actions.resume(this.#shownDir());
        return null;
      },
      activate: async ({ inspect }) => {
        await models.activate(this.#requireDir());
        if (inspect) void vscode.commands.executeCommand("decoderLab.inspectSelection");
        return null;
      },
      compare: async ({ dirs }) => {
        this.#compared = dirs.filter((dir) => this.#isKnown(dir));
        await this.#sendCompared();
        return null;
      },
      openRun: async ({ dir }) => {
        if (this.#isKnown(dir)) this.show(dir);
        return null;
      },
      branch: async ({ step }) => {
        const run = await this.#snapshot();
        if (run) this.#actions.branch(run, this.#checkpoint(step));
        return null;
      },
      paint: ({ step, page }) => this.#paint(step, page),
      changeQueue: async ({ id, change }) => {
        if (change !== "now" || (await mayStop(this.#lab))) trainings.changeQueue(id, change);
        return null;
      },
      resumeQueue: () => {
        trainings.resumeQueue();
        return null;
      },
      exportProject: () => {
        this.#actions.exportProject(this.#requireDir());
        return null;
      },
      stopFinding: () => {
        this.#finder?.stop();
        return null;
      },
      act,
      save,
    };
  }
}

/** Asks whether the current run may be stopped for another; true if nothing is training. */
export async function mayStop({ trainings }: LabServices): Promise<boolean> {
  const { current } = trainings;
  if (!current?.active) return true;
  const yes = l10n.t("Stop It and Start This Run");
  const detail = l10n.t("Its model is saved. Resume Training continues from there.");
  const question = l10n.t("“{0}” is training. Stop it and start this run?", current.name);
  return (await vscode.window.showWarningMessage(question, { modal: true, detail }, yes)) === yes;
}
