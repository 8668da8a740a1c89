/** The training runs of this window: the current or last one, and the queue behind it. */

import * as vscode from "vscode";
import type { TrainEvent, TrainResult } from "../../protocol/engineApi";
import { RemoteError } from "../../protocol/rpc";
import type { RunReports } from "../../protocol/runState";
import type { QueueChange, RunQueueState, RunState } from "../../protocol/webviewApi";
import { contextKeys } from "../contributions";
import type { EngineClient } from "../engine/engineClient";
import { l10n } from "../l10n";
import type { ModelLibrary } from "../models/modelLibrary";
import { type EndTurn, RunQueue } from "./runQueue";
import {
  type EarlierReports,
  folderOf,
  isActive,
  nameOf,
  presetOf,
  type RunRequest,
  summaryOf,
  TrainingRun,
} from "./trainingRun";

/** Starts a run whose turn has come, and resolves when it ends. `saved`: the earlier reports in the folder of a resumed run. */
export type StartRun = (saved?: RunReports) => Promise<TrainResult>;

export class Trainings implements vscode.Disposable {
  readonly #engine: EngineClient;
  readonly #models: ModelLibrary;
  readonly #started = new vscode.EventEmitter<TrainingRun>();
  readonly #event = new vscode.EventEmitter<TrainEvent>();
  readonly #state = new vscode.EventEmitter<RunState>();
  readonly #queueChanged = new vscode.EventEmitter<RunQueueState>();
  readonly #queue = new RunQueue(() => this.#queueDidChange());
  /** Folders of runs that are training or queued. */
  readonly #busyFolders = new Set<string>();
  #current: TrainingRun | undefined;
  #request: RunRequest | undefined;

  readonly onDidStart = this.#started.event;
  readonly onDidReport = this.#event.event;
  readonly onDidChangeState = this.#state.event;
  readonly onDidChangeQueue = this.#queueChanged.event;

  constructor(engine: EngineClient, models: ModelLibrary) {
    this.#engine = engine;
    this.#models = models;
  }

  /** The run that is training, or the last one. */
  get current(): TrainingRun | undefined {
    return this.#current;
  }

  /** The request of the current run. */
  get request(): RunRequest | undefined {
    return this.#request;
  }

  get queue(): RunQueueState {
    return this.#queue.state;
  }

  /** True while a run of this folder has not ended. */
  isTraining(dir: string): boolean {
    return this.#current?.dir === dir && this.#current.active;
  }

  /** True while a run of this folder is training or queued. */
  isTaken(dir: string): boolean {
    return this.#busyFolders.has(dir);
  }

  /** Waits until this run may start. Rejects as canceled when it is removed from the queue. */
  async turn(request: RunRequest): Promise<StartRun> {
    const dir = folderOf(request);
    if (this.#busyFolders.has(dir))
      throw new Error(l10n.t("“{0}” is already training or in the queue.", nameOf(request)));
    this.#busyFolders.add(dir);
    try {
      const end = await this.#queue.turn(nameOf(request), presetOf(request), summaryOf(request));
      return (saved) => this.#run(request, saved, end);
    } catch (error) {
      this.#busyFolders.delete(dir);
      throw error;
    }
  }

  /** "now" stops the current run, which saves its model. */
  changeQueue(id: number, change: QueueChange): void {
    this.#queue.change(id, change);
    if (change === "now") this.#current?.stop();
  }

  /** Resumes a queue that is held. */
  resumeQueue(): void {
    this.#queue.resume();
  }

  dispose(): void {
    this.#started.dispose();
    this.#event.dispose();
    this.#state.dispose();
    this.#queueChanged.dispose();
  }

  async #run(request: RunRequest, saved: RunReports | undefined, end: EndTurn): Promise<TrainResult> {
    const listener = {
      event: (event: TrainEvent) => this.#report(event),
      state: (state: RunState) => this.#changeState(state),
    };
    const run = new TrainingRun(this.#engine, request, listener, this.#earlierReports(request, saved));
    this.#current = run;
    this.#request = request;
    this.#started.fire(run);
    this.#changeState(run.state);
    let hold: string | undefined;
    try {
      return await run.start(request);
    } catch (error) {
      // The engine exited, which is not the run's fault: the user may want to resume it before the others.
      if (error instanceof Error && error.cause instanceof RemoteError && error.cause.code === "gone") {
        hold = l10n.t("The engine exited while “{0}” was training. The queue waits until you resume it.", run.name);
      }
      throw error;
    } finally {
      this.#busyFolders.delete(run.dir);
      await this.#models.refresh();
      end(hold);
    }
  }

  /** This window may know more about a run than its folder. */
  #earlierReports(request: RunRequest, saved: RunReports | undefined): EarlierReports | undefined {
    if (request.kind === "train") return undefined;
    if (request.kind === "resume" && this.#current?.dir === request.params.dir) return this.#current.snapshot();
    return saved && { ...saved, checkpointStep: null };
  }

  #report(event: TrainEvent): void {
    if (event.kind === "start") this.#engine.noteDevice(event.device);
    if (event.kind === "start" || event.kind === "checkpoint") void this.#models.refresh();
    this.#event.fire(event);
  }

  #queueDidChange(): void {
    const { state } = this.#queue;
    void vscode.commands.executeCommand("setContext", contextKeys.queueHeld, state.held !== null);
    this.#queueChanged.fire(state);
  }

  #changeState(state: RunState): void {
    void vscode.commands.executeCommand("setContext", contextKeys.training, isActive(state.phase));
    this.#state.fire(state);
  }
}
