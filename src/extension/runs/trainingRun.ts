/** A training run of this window: its reported state, and the requests that control it. */

import type { EngineApi, TrainEvent, TrainResult } from "../../protocol/engineApi";
import { type CallOptions, isCanceled, type Params, type Progress, RemoteError, type Result } from "../../protocol/rpc";
import { applyEvent, inPhase, type LiveRun, newRun, type RunReports, reportsUntil } from "../../protocol/runState";
import type { RunPhase, RunSnapshot, RunState } from "../../protocol/webviewApi";
import { errorText } from "../errorText";
import { grouped } from "../format";
import { l10n } from "../l10n";
import { settingLabel } from "./trainingChoices";

/** The part of the engine client that a run needs. */
export interface Engine {
  call<M extends keyof EngineApi & string>(
    method: M,
    params: Params<EngineApi, M>,
    options?: CallOptions<Progress<EngineApi, M>>,
  ): Promise<Result<EngineApi, M>>;
}

/** A new run, one that resumes from the last checkpoint of its folder, or a branch: a new folder, from another run's checkpoint. */
export type RunRequest =
  | {
      readonly kind: "train";
      readonly params: EngineApi["train"]["params"];
      readonly steps: number;
    }
  | {
      readonly kind: "branch";
      readonly params: EngineApi["branch"]["params"];
      readonly preset: string;
      /** The checkpoint's step. */
      readonly step: number;
    }
  | {
      readonly kind: "resume";
      readonly params: EngineApi["resume"]["params"];
      readonly name: string;
      readonly preset: string;
    };

/** The reports of a run before it is resumed, and the step that it resumes from. */
export type EarlierReports = RunReports & Pick<RunSnapshot, "checkpointStep">;

/** The model folder that a run creates or continues. */
export const folderOf = (request: RunRequest): string =>
  request.kind === "resume" ? request.params.dir : request.params.out;

export const nameOf = (request: RunRequest): string => (request.kind === "resume" ? request.name : request.params.name);

export const presetOf = (request: RunRequest): string =>
  request.kind === "train" ? request.params.preset : request.preset;

/** The number of steps and the changed settings: what distinguishes a run from others of its preset. */
export function summaryOf(request: RunRequest): string {
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
  readonly #engine: Engine;
  readonly #listener: RunListener;
  readonly #abort = new AbortController();
  readonly #run: LiveRun;
  #endStep = 0;

  constructor(engine: Engine, request: RunRequest, listener: RunListener, earlier?: EarlierReports) {
    this.#engine = engine;
    this.#listener = listener;
    this.#run = {
      ...newRun(folderOf(request), nameOf(request), presetOf(request)),
      ...(earlier && reportsUntil(earlier, earlier.checkpointStep ?? Infinity)),
      checkpointStep: earlier?.checkpointStep ?? null,
    };
  }

  get dir(): string {
    return this.#run.dir;
  }

  get name(): string {
    return this.#run.name;
  }

  get state(): RunState {
    return this.#run.state;
  }

  /** The last step that was reported. */
  get step(): number {
    return Math.max(this.#endStep, this.#run.reports.at(-1)?.step ?? 0);
  }

  get steps(): number | null {
    return this.#run.started?.train.steps ?? null;
  }

  get loss(): number | null {
    return this.#run.reports.at(-1)?.loss ?? null;
  }

  /** True until the run ends. */
  get active(): boolean {
    return isActive(this.#run.state.phase);
  }

  /** The run's state; its lists keep growing. */
  snapshot(): RunSnapshot {
    return { ...this.#run };
  }

  /** Runs until done or stopped. A failure sets the phase "failed" and is thrown. */
  async start(request: RunRequest): Promise<TrainResult> {
    const options = { signal: this.#abort.signal, onProgress: (event: TrainEvent) => this.#apply(event) };
    try {
      const result = await this.#call(request, options);
      this.#endStep = result.step;
      this.#setState(inPhase(this.state, result.reason));
      return result;
    } catch (error) {
      // Stopped during preparation: there is no run yet, and nothing failed.
      if (isCanceled(error)) {
        this.#setState(inPhase(this.state, "stopped"));
        throw error;
      }
      const diverged = error instanceof RemoteError && error.code === "diverged";
      const reason = errorText(error);
      // A resumed run would diverge again, so the engine's own advice is enough.
      const message = diverged ? reason : this.#withSavedStep(reason);
      this.#setState({ ...inPhase(this.state, "failed", message), ...(diverged && { diverged }) });
      throw new Error(message, { cause: error });
    }
  }

  #call(request: RunRequest, options: CallOptions<TrainEvent>): Promise<TrainResult> {
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

  /** Ends the run after it has saved its model. */
  stop(): void {
    if (!this.active) return;
    this.#setState(inPhase(this.state, "stopping"));
    this.#abort.abort();
  }

  #apply(event: TrainEvent): void {
    const { state } = this.#run;
    applyEvent(this.#run, event);
    if (event.kind !== "steps" && this.#run.state !== state) this.#listener.state(this.#run.state);
    this.#listener.event(event);
  }

  #withSavedStep(message: string): string {
    const { checkpointStep } = this.#run;
    if (checkpointStep === null) return message;
    return `${message} ${l10n.t("Step {0} is saved. Choose Resume to continue from there.", grouped(checkpointStep))}`;
  }

  #setState(state: RunState): void {
    this.#run.state = state;
    this.#listener.state(state);
  }
}

export const isActive = (phase: RunPhase): boolean =>
  phase === "preparing" || phase === "running" || phase === "paused" || phase === "stopping";
