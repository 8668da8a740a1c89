/** A training run as this window knows it: what it reported so far, and the requests that steer it. */

import type { EngineApi, TrainEvent, TrainResult } from "../../protocol/engineApi";
import { type CallOptions, isCanceled, type Params, type Progress, RemoteError, type Result } from "../../protocol/rpc";
import type { RunPhase, RunSnapshot, RunState } from "../../protocol/webviewApi";
import { grouped } from "../format";
import { l10n } from "../l10n";
import { thin, upTo } from "./runReports";
import { settingLabel } from "./trainingChoices";

/** The part of the engine client that a run needs. */
export interface Engine {
  call<M extends keyof EngineApi & string>(
    method: M,
    params: Params<EngineApi, M>,
    options?: CallOptions<Progress<EngineApi, M>>,
  ): Promise<Result<EngineApi, M>>;
}

/** How a run begins: anew, from the last checkpoint of a folder, or in a new folder from a checkpoint of another run. */
export type RunRequest =
  | {
      readonly kind: "train";
      readonly params: EngineApi["train"]["params"];
      /** How far it goes. */
      readonly steps: number;
    }
  | {
      readonly kind: "branch";
      readonly params: EngineApi["branch"]["params"];
      readonly preset: string;
      /** Of the checkpoint. */
      readonly step: number;
    }
  | {
      readonly kind: "resume";
      readonly params: EngineApi["resume"]["params"];
      readonly name: string;
      readonly preset: string;
    };

/** What is known of a run before it is resumed. */
export type Before = Pick<RunSnapshot, "reports" | "evals" | "updates" | "warnings" | "samples" | "checkpointStep">;

/** The model folder that a run makes, or goes on with. */
export const folderOf = (request: RunRequest): string =>
  request.kind === "resume" ? request.params.dir : request.params.out;

export const nameOf = (request: RunRequest): string => (request.kind === "resume" ? request.name : request.params.name);

export const presetOf = (request: RunRequest): string =>
  request.kind === "train" ? request.params.preset : request.preset;

/** What tells a run from others of its preset: how far it goes, and the settings that were changed. */
export function aboutOf(request: RunRequest): string {
  const { "train.steps": wanted, ...changed } = request.kind === "resume" ? {} : (request.params.set ?? {});
  const steps = request.kind === "train" ? request.steps : request.kind === "resume" ? request.params.steps : wanted;
  const settings = Object.entries(changed).map(([name, value]) => `${settingLabel(name)} ${value}`);
  return [...(typeof steps === "number" ? [l10n.t("{0} steps", grouped(steps))] : []), ...settings].join(" · ");
}

export interface RunListener {
  event(event: TrainEvent): void;
  state(state: RunState): void;
}

export class TrainingRun {
  readonly dir: string;
  readonly name: string;
  readonly preset: string;
  readonly #engine: Engine;
  readonly #listener: RunListener;
  readonly #abort = new AbortController();
  readonly #evals: RunSnapshot["evals"][number][] = [];
  readonly #updates: RunSnapshot["updates"][number][] = [];
  readonly #warnings: RunSnapshot["warnings"][number][] = [];
  readonly #samples: RunSnapshot["samples"][number][] = [];
  #reports: RunSnapshot["reports"] = [];
  #keepEvery = 1;
  #started: RunSnapshot["started"] = null;
  #checkpointStep: number | null = null;
  #state: RunState = { phase: "preparing", message: null, secondsLeft: null };
  #step = 0;

  constructor(engine: Engine, request: RunRequest, listener: RunListener, before?: Before) {
    this.#engine = engine;
    this.#listener = listener;
    this.dir = folderOf(request);
    this.name = nameOf(request);
    this.preset = presetOf(request);
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
      updates: this.#updates,
      warnings: this.#warnings,
      samples: this.#samples,
      checkpointStep: this.#checkpointStep,
      record: null,
    };
  }

  /** Runs until done or stopped. What fails is told as the state "failed", and thrown. */
  async go(request: RunRequest): Promise<TrainResult> {
    const options = { signal: this.#abort.signal, onProgress: (event: TrainEvent) => this.#take(event) };
    try {
      const result = await this.#ask(request, options);
      this.#step = Math.max(this.#step, result.step);
      this.#setState(result.reason, null);
      return result;
    } catch (error) {
      // Stopped while it was prepared: there is no run yet, and nothing went wrong.
      if (isCanceled(error)) {
        this.#setState("stopped", null);
        throw error;
      }
      const diverged = error instanceof RemoteError && error.code === "diverged";
      const reason = error instanceof Error ? error.message : String(error);
      // Of a run that diverged the engine says itself what to do: resumed, it would only do so again.
      const message = diverged ? reason : this.#withWhatIsKept(reason);
      this.#setState("failed", message, diverged);
      throw new Error(message, { cause: error });
    }
  }

  #ask(request: RunRequest, options: CallOptions<TrainEvent>): Promise<TrainResult> {
    switch (request.kind) {
      case "train":
        return this.#engine.call("train", request.params, options);
      case "branch":
        return this.#engine.call("branch", request.params, options);
      case "resume":
        return this.#engine.call("resume", request.params, options);
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
      case "updates":
        this.#updates.push({ step: event.step, layers: event.layers });
        break;
      case "warning":
        this.#warnings.push({ step: event.step, message: event.message });
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
    const { kept, every } = thin([...this.#reports, ...reports], this.#keepEvery);
    this.#reports = kept;
    this.#keepEvery = every;
  }

  /** The curves go on where an earlier run of the same folder was saved last. */
  #continueFrom(before: Before): void {
    const { reports, evals, updates, warnings, samples } = upTo(before, before.checkpointStep ?? Infinity);
    this.#addReports(reports);
    this.#evals.push(...evals);
    this.#updates.push(...updates);
    this.#warnings.push(...warnings);
    this.#samples.push(...samples);
    this.#checkpointStep = before.checkpointStep;
  }

  #withWhatIsKept(message: string): string {
    if (this.#checkpointStep === null) return message;
    return `${message} ${l10n.t("Step {0} is saved; Resume goes on from there.", grouped(this.#checkpointStep))}`;
  }

  #setState(phase: RunPhase, message: string | null, diverged = false): void {
    const secondsLeft = phase === "running" || phase === "paused" ? this.#state.secondsLeft : null;
    this.#state = { phase, message, secondsLeft, ...(diverged && { diverged }) };
    this.#listener.state(this.#state);
  }
}

export const isActive = (phase: RunPhase): boolean =>
  phase === "preparing" || phase === "running" || phase === "paused" || phase === "stopping";
