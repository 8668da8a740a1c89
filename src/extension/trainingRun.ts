/** A training run as this window knows it: what it reported so far, and the requests that steer it. */

import type { EngineApi, TrainEvent, TrainResult } from "../protocol/engineApi";
import { type CallOptions, isCancelled, type Params, type Progress, type Result } from "../protocol/rpc";
import type { RunPhase, RunSnapshot, RunState } from "../protocol/webviewApi";
import { l10n } from "./l10n";

/** The part of the engine client that a run needs. */
export interface Engine {
  call<M extends keyof EngineApi & string>(
    method: M,
    params: Params<EngineApi, M>,
    options?: CallOptions<Progress<EngineApi, M>>,
  ): Promise<Result<EngineApi, M>>;
}

/** How a run begins: anew, or from the last checkpoint of a folder. */
export type RunRequest =
  | { readonly kind: "train"; readonly params: EngineApi["train"]["params"] }
  | {
      readonly kind: "resume";
      readonly params: EngineApi["resume"]["params"];
      readonly name: string;
      readonly preset: string;
    };

/** What is known of a run before it is resumed. */
export type Before = Pick<RunSnapshot, "reports" | "evals" | "samples" | "checkpointStep">;

export interface RunListener {
  event(event: TrainEvent): void;
  state(state: RunState): void;
}

/** A chart of more points than this shows no more; then every second report is dropped. */
const MAX_REPORTS = 4000;

export class TrainingRun {
  readonly dir: string;
  readonly name: string;
  readonly preset: string;
  readonly #engine: Engine;
  readonly #listener: RunListener;
  readonly #abort = new AbortController();
  readonly #evals: RunSnapshot["evals"][number][] = [];
  readonly #samples: RunSnapshot["samples"][number][] = [];
  #reports: RunSnapshot["reports"][number][] = [];
  #keepEvery = 1;
  #started: RunSnapshot["started"] = null;
  #checkpointStep: number | null = null;
  #state: RunState = { phase: "preparing", message: null, secondsLeft: null };
  #step = 0;

  constructor(engine: Engine, request: RunRequest, listener: RunListener, before?: Before) {
    this.#engine = engine;
    this.#listener = listener;
    const { kind, params } = request;
    this.dir = kind === "train" ? params.out : params.dir;
    this.name = kind === "train" ? params.name : request.name;
    this.preset = kind === "train" ? params.preset : request.preset;
    if (before) this.#continueFrom(before);
  }

  get state(): RunState {
    return this.#state;
  }

  /** The last step that was reported. */
  get step(): number {
    return this.#step;
  }

  get steps(): number | null {
    return this.#started?.train.steps ?? null;
  }

  get loss(): number | null {
    return this.#reports.at(-1)?.loss ?? null;
  }

  /** Whether it is going on, paused or about to. */
  get active(): boolean {
    return isActive(this.#state.phase);
  }

  snapshot(): RunSnapshot {
    return {
      dir: this.dir,
      name: this.name,
      preset: this.preset,
      state: this.#state,
      started: this.#started,
      reports: this.#reports,
      evals: this.#evals,
      samples: this.#samples,
      checkpointStep: this.#checkpointStep,
    };
  }

  /** Runs until done or stopped. What fails is told as the state "failed", and thrown. */
  async go(request: RunRequest): Promise<TrainResult> {
    const options = { signal: this.#abort.signal, onProgress: (event: TrainEvent) => this.#take(event) };
    try {
      const result =
        request.kind === "train"
          ? await this.#engine.call("train", request.params, options)
          : await this.#engine.call("resume", request.params, options);
      this.#step = Math.max(this.#step, result.step);
      this.#setState(result.reason, null);
      return result;
    } catch (error) {
      // Stopped while it was prepared: there is no run yet, and nothing went wrong.
      if (isCancelled(error)) {
        this.#setState("stopped", null);
        throw error;
      }
      const message = this.#withWhatIsKept(error instanceof Error ? error.message : String(error));
      this.#setState("failed", message);
      throw new Error(message, { cause: error });
    }
  }

  async pause(paused: boolean): Promise<void> {
    if (!this.active) return;
    await this.#engine.call("pauseRun", { dir: this.dir, paused });
  }

  /** Ends it; what was learned is kept. */
  stop(): void {
    if (!this.active) return;
    this.#setState("stopping", null);
    this.#abort.abort();
  }

  #take(event: TrainEvent): void {
    switch (event.kind) {
      case "prepare":
        this.#setState("preparing", event.message);
        break;
      case "start": {
        const { model, train, device, deviceReason } = event;
        this.#started = { model, train, device, deviceReason };
        this.#setState("running", null);
        break;
      }
      case "steps":
        this.#addReports(event.reports);
        this.#state = { ...this.#state, secondsLeft: event.secondsLeft };
        break;
      case "eval":
        this.#evals.push(event.report);
        break;
      case "sample":
        this.#samples.push({ step: event.step, text: event.text });
        break;
      case "checkpoint":
        this.#checkpointStep = event.step;
        break;
      case "paused":
        if (this.#state.phase !== "stopping") this.#setState(event.paused ? "paused" : "running", null);
        break;
    }
    this.#listener.event(event);
  }

  #addReports(reports: RunSnapshot["reports"]): void {
    this.#step = reports.at(-1)?.step ?? this.#step;
    this.#reports.push(...reports.filter((report) => report.step % this.#keepEvery === 0));
    if (this.#reports.length > MAX_REPORTS) {
      this.#keepEvery *= 2;
      this.#reports = this.#reports.filter((report) => report.step % this.#keepEvery === 0);
    }
  }

  /** The curves go on where an earlier run of the same folder was saved last. */
  #continueFrom(before: Before): void {
    const last = before.checkpointStep ?? Number.POSITIVE_INFINITY;
    this.#addReports(before.reports.filter((report) => report.step <= last));
    this.#evals.push(...before.evals.filter((report) => report.step <= last));
    this.#samples.push(...before.samples.filter((sample) => sample.step <= last));
    this.#checkpointStep = before.checkpointStep;
  }

  #withWhatIsKept(message: string): string {
    if (this.#checkpointStep === null) return message;
    return `${message} ${l10n.t("Step {0} is saved; Resume goes on from there.", this.#checkpointStep)}`;
  }

  #setState(phase: RunPhase, message: string | null): void {
    const secondsLeft = phase === "running" || phase === "paused" ? this.#state.secondsLeft : null;
    this.#state = { phase, message, secondsLeft };
    this.#listener.state(this.#state);
  }
}

export const isActive = (phase: RunPhase): boolean =>
  phase === "preparing" || phase === "running" || phase === "paused" || phase === "stopping";
