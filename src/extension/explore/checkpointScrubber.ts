/**
 * The checkpoints of the run whose model is looked at: which there are, which is shown, and the traces of those beside
 * it, made ahead so that a scrubber moves without waiting.
 */

import type { CheckpointInfo, EngineApi, TraceInfo } from "../../protocol/engineApi";
import type { CheckpointsShown } from "../../protocol/webviewApi";
import type { EngineClient } from "../engine/engineClient";
import { errorTextForLog } from "../errorText";
import type { Model } from "../models/modelFolders";

type Ask = EngineApi["inspect"]["params"];

interface Kept {
  readonly trace: Promise<TraceInfo>;
  readonly abort: AbortController;
  isDone: boolean;
}

/** Traces that are kept of a text: those that were shown last, and those made ahead. */
const KEPT = 12;
/** Of larger models only the trace that is shown is kept, and none is made ahead. */
const SMALL_MODEL = 100e6;
const SMALL_TRACE = 16e6;

export class CheckpointScrubber {
  readonly #engine: Pick<EngineClient, "call">;
  readonly #log: { warn(message: string): void };
  #model: Pick<Model, "dir" | "step"> = { dir: "", step: null };
  #checkpoints: readonly CheckpointInfo[] = [];
  /** The step that was chosen; null is the model itself, which a run may still change. */
  #at: number | null = null;
  #isStale = true;
  #forwards = true;
  readonly #kept = new Map<string, Kept>();

  constructor(engine: Pick<EngineClient, "call">, log: { warn(message: string): void }) {
    this.#engine = engine;
    this.#log = log;
  }

  get shown(): CheckpointsShown {
    const checkpoints = this.#checkpoints.map(({ step, loss, valLoss, accuracy }) => ({
      step,
      loss,
      valLoss,
      accuracy,
    }));
    return { checkpoints, at: this.step ?? 0 };
  }

  /** The step that is shown; null of a model that says none. */
  get step(): number | null {
    return this.#at ?? this.#model.step;
  }

  /** The folder to look into: the model's own, or that of the checkpoint that was chosen. */
  get dir(): string {
    return this.#checkpoint(this.#at)?.dir ?? this.#model.dir;
  }

  /** The run may have made or deleted checkpoints. */
  outdate(): void {
    this.#isStale = true;
  }

  /** Lets go of every trace. */
  dispose(): void {
    for (const key of [...this.#kept.keys()]) this.#drop(key);
  }

  /** The engine that knew the traces has gone. */
  forget(): void {
    this.#kept.clear();
  }

  /** Finds the checkpoints of a model. Another model is looked at as it is now. Answers whether they are others. */
  async look({ dir, step }: Pick<Model, "dir" | "step">): Promise<boolean> {
    const isOther = dir !== this.#model.dir;
    if (!isOther && step === this.#model.step && !this.#isStale) return false;
    this.#isStale = false;
    if (isOther) {
      this.#at = null;
      this.#checkpoints = [];
    }
    this.#model = { dir, step };
    const found = await this.#engine.call("checkpoints", { dir }).catch((error: unknown) => {
      this.#log.warn(`checkpoints: ${errorTextForLog(error)}`);
      return [];
    });
    if (dir !== this.#model.dir) return false;
    this.#checkpoints = found;
    // One that was deleted meanwhile is shown as the one before it.
    if (this.#at !== null && !this.#checkpoint(this.#at)) {
      const before = found.filter((each) => each.step <= (this.#at as number));
      this.#at = before.at(-1)?.step ?? null;
    }
    return true;
  }

  /** Shows the model as it was at a step. */
  move(step: number): void {
    this.#forwards = step >= (this.step ?? 0);
    this.#at = step === this.#model.step || !this.#checkpoint(step) ? null : step;
  }

  /** Runs the model that is shown over a text, or answers with what was made ahead. */
  trace(text: string, maxTokens: number): Promise<TraceInfo> {
    const params = { dir: this.dir, text, maxTokens };
    // What is shown stays until another trace takes its place.
    for (const key of this.#others(params)) if (!this.#kept.get(key)?.isDone) this.#drop(key);
    return this.#ask(params);
  }

  /**
   * A trace is shown: those of other texts are let go of, and those of the checkpoints beside it are made, in the
   * direction of the last move first.
   */
  async showed(trace: TraceInfo, text: string, maxTokens: number): Promise<void> {
    const params = { dir: this.dir, text, maxTokens };
    const isCheap = this.#checkpoints.length > 1 && isSmall(trace);
    const alike = [...this.#kept.keys()].filter((key) => key !== this.#keyOf(params) && this.#isOf(key, params));
    for (const key of [...this.#others(params), ...alike.slice(0, isCheap ? -KEPT : undefined)]) this.#drop(key);
    const at = this.step;
    const index = this.#checkpoints.findIndex(({ step }) => step === at);
    if (index < 0 || !isCheap) return;
    const one = this.#forwards ? 1 : -1;
    for (const next of [index + one, index + 2 * one, index - one]) {
      const checkpoint = this.#checkpoints[next];
      if (!checkpoint || this.step !== at) continue;
      const dir = checkpoint.step === this.#model.step ? this.#model.dir : checkpoint.dir;
      // What is wrong with it is told when it is shown.
      await this.#ask({ ...params, dir }).catch(() => undefined);
    }
  }

  #ask(params: Ask): Promise<TraceInfo> {
    const key = this.#keyOf(params);
    const kept = this.#kept.get(key) ?? this.#start(key, params);
    // The newest last, as the oldest go first.
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept.trace;
  }

  #start(key: string, params: Ask): Kept {
    const abort = new AbortController();
    const kept: Kept = {
      trace: this.#engine.call("inspect", params, { signal: abort.signal }),
      abort,
      isDone: false,
    };
    const forget = () => {
      if (this.#kept.get(key) === kept) this.#kept.delete(key);
    };
    kept.trace.then(() => {
      kept.isDone = true;
    }, forget);
    return kept;
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    kept?.abort.abort();
    // An engine that has gone has let go of it too.
    kept?.trace.then(({ trace }) => this.#engine.call("releaseTrace", { trace })).catch(() => undefined);
  }

  /** Of the model's own folder, which changes as it is trained, with its step. */
  #keyOf(params: Ask): string {
    return `${this.#about(params)}${params.dir === this.#model.dir ? `step ${this.#model.step}` : params.dir}`;
  }

  /** Keys of traces of other texts. */
  #others(params: Ask): string[] {
    return [...this.#kept.keys()].filter((key) => !this.#isOf(key, params));
  }

  #isOf(key: string, params: Ask): boolean {
    return key.startsWith(this.#about(params));
  }

  #about({ text, maxTokens }: Ask): string {
    return `${JSON.stringify([this.#model.dir, text, maxTokens])} `;
  }

  #checkpoint(step: number | null): CheckpointInfo | undefined {
    return this.#checkpoints.find((each) => each.step === step);
  }
}

const isSmall = ({ model, values }: TraceInfo): boolean =>
  model.bytes <= SMALL_MODEL &&
  4 * values.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0) <= SMALL_TRACE;
