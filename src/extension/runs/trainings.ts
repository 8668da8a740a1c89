/** The training runs of this window: one at a time, others wait for their turn, the last one stays to be looked at. */

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

/** Starts a run whose turn it is; the promise ends with it. `saved` is what a resumed run left in its folder. */
export type StartRun = (saved?: RunReports) => Promise<TrainResult>;

export class Trainings implements vscode.Disposable {
  readonly #engine: EngineClient;
  readonly #models: ModelLibrary;
  readonly #started = new vscode.EventEmitter<TrainingRun>();
  readonly #event = new vscode.EventEmitter<TrainEvent>();
  readonly #state = new vscode.EventEmitter<RunState>();
  readonly #queueChanged = new vscode.EventEmitter<RunQueueState>();
  readonly #queue = new RunQueue(() => this.#tellQueue());
  /** Folders of runs that train or wait. */
  readonly #taken = new Set<string>();
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

  /** The run that goes on, or the last one. */
  get current(): TrainingRun | undefined {
    return this.#current;
  }

  /** What the current run was asked for. */
  get request(): RunRequest | undefined {
    return this.#request;
  }

  /** The runs that wait for their turn. */
  get queue(): RunQueueState {
    return this.#queue.state;
  }

  /** Whether a run of this folder goes on. */
  isTraining(dir: string): boolean {
    return this.#current?.dir === dir && this.#current.active;
  }

  /** Whether a run of this folder goes on, or waits for its turn. */
  isTaken(dir: string): boolean {
    return this.#taken.has(dir);
  }

  /** Waits until this run may start. Rejects as canceled when it is taken out of the queue. */
  async turn(request: RunRequest): Promise<StartRun> {
    const dir = folderOf(request);
    if (this.#taken.has(dir)) throw new Error(l10n.t("“{0}” is training or waits for it already.", nameOf(request)));
    this.#taken.add(dir);
    try {
      const end = await this.#queue.turn(nameOf(request), presetOf(request), summaryOf(request));
      return (saved) => this.#run(request, saved, end);
    } catch (error) {
      this.#taken.delete(dir);
      throw error;
    }
  }

  /** "now" ends the run that goes on; what it learned is kept. */
  changeQueue(id: number, change: QueueChange): void {
    this.#queue.change(id, change);
    if (change === "now") this.#current?.stop();
  }

  /** Lets a queue go on that waits for the user. */
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
      event: (event: TrainEvent) => this.#tell(event),
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
      // Without its engine a run did not end for a reason of its own: it may be wanted again before the others.
      if (error instanceof Error && error.cause instanceof RemoteError && error.cause.code === "gone") {
        hold = l10n.t(
          "The engine ended while “{0}” was training. The runs after it wait until you let them go on.",
          run.name,
        );
      }
      throw error;
    } finally {
      this.#taken.delete(run.dir);
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

  #tell(event: TrainEvent): void {
    if (event.kind === "start") this.#engine.noteDevice(event.device);
    if (event.kind === "start" || event.kind === "checkpoint") void this.#models.refresh();
    this.#event.fire(event);
  }

  #tellQueue(): void {
    const { state } = this.#queue;
    void vscode.commands.executeCommand("setContext", contextKeys.queueHeld, state.held !== null);
    this.#queueChanged.fire(state);
  }

  #changeState(state: RunState): void {
    void vscode.commands.executeCommand("setContext", contextKeys.training, isActive(state.phase));
    this.#state.fire(state);
  }
}
