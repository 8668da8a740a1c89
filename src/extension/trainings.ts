/** The training runs of this window: one at a time, the last one stays to be looked at. */

import * as vscode from "vscode";
import type { TrainEvent, TrainResult } from "../protocol/engineApi";
import type { RunState } from "../protocol/webviewApi";
import { contextKeys } from "./contributions";
import type { EngineClient } from "./engineClient";
import { l10n } from "./l10n";
import type { ModelLibrary } from "./modelLibrary";
import type { RunReports } from "./runReports";
import { type Before, isActive, type RunRequest, TrainingRun } from "./trainingRun";

export class Trainings implements vscode.Disposable {
  readonly #engine: EngineClient;
  readonly #models: ModelLibrary;
  readonly #started = new vscode.EventEmitter<TrainingRun>();
  readonly #event = new vscode.EventEmitter<TrainEvent>();
  readonly #state = new vscode.EventEmitter<RunState>();
  #current: TrainingRun | undefined;
  #request: RunRequest | undefined;

  readonly onDidStart = this.#started.event;
  readonly onDidReport = this.#event.event;
  readonly onDidChangeState = this.#state.event;

  constructor(engine: EngineClient, models: ModelLibrary) {
    this.#engine = engine;
    this.#models = models;
  }

  /** The run that goes on, or the last one. */
  get current(): TrainingRun | undefined {
    return this.#current;
  }

  /** What the current run was asked for. */
  get request(): RunRequest | undefined {
    return this.#request;
  }

  /** Whether a run of this folder goes on. */
  isTraining(dir: string): boolean {
    return this.#current?.dir === dir && this.#current.active;
  }

  /** Starts a run; the promise ends with it. `saved` is what a resumed run left in its folder. */
  async run(request: RunRequest, saved?: RunReports): Promise<TrainResult> {
    if (this.#current?.active) {
      throw new Error(l10n.t("“{0}” is still training. Stop it first, or wait until it is done.", this.#current.name));
    }
    const listener = {
      event: (event: TrainEvent) => this.#tell(event),
      state: (state: RunState) => this.#changeState(state),
    };
    const run = new TrainingRun(this.#engine, request, listener, this.#before(request, saved));
    this.#current = run;
    this.#request = request;
    this.#started.fire(run);
    this.#changeState(run.state);
    try {
      return await run.go(request);
    } finally {
      await this.#models.refresh();
    }
  }

  dispose(): void {
    this.#started.dispose();
    this.#event.dispose();
    this.#state.dispose();
  }

  /** This window knows more of a run than its folder, such as the samples. */
  #before(request: RunRequest, saved: RunReports | undefined): Before | undefined {
    if (request.kind === "train") return undefined;
    if (this.#current?.dir === request.params.dir) return this.#current.snapshot();
    return saved && { ...saved, samples: [], checkpointStep: null };
  }

  #tell(event: TrainEvent): void {
    if (event.kind === "start") this.#engine.noteDevice(event.device);
    if (event.kind === "start" || event.kind === "checkpoint") void this.#models.refresh();
    this.#event.fire(event);
  }

  #changeState(state: RunState): void {
    void vscode.commands.executeCommand("setContext", contextKeys.training, isActive(state.phase));
    this.#state.fire(state);
  }
}
