import type { CheckpointInfo, EngineApi, TraceInfo } from "../../protocol/engineApi";
import type { CheckpointsShown } from "../../protocol/webviewApi";
import type { EngineClient } from "../engine/engineClient";
import { errorTextForLog } from "../errorText";
import type { Model } from "../models/modelFolders";

type InspectParams = EngineApi["inspect"]["params"];

interface CachedTrace {
  readonly trace: Promise<TraceInfo>;
  readonly abort: AbortController;
  isDone: boolean;
}

/** Traces to cache for a text, shown before or prefetched. */
const CACHE_SIZE = 12;
/** Sizes in bytes. For larger models or traces, only the trace that is shown is cached, and none is prefetched. */
const MAX_MODEL_SIZE = 100e6;
const MAX_TRACE_SIZE = 16e6;

/**
 * The checkpoints of a model and the selected one. Prefetches the traces of neighboring checkpoints, so that the
 * scrubber moves without waiting.
 */
export class CheckpointScrubber {
  readonly #engine: Pick<EngineClient, "call">;
  readonly #log: { warn(message: string): void };
  #model: Pick<Model, "dir" | "step"> = { dir: "", step: null };
  #checkpoints: readonly CheckpointInfo[] = [];
  /** The selected step; null for the model itself, which a training run may still change. */
  #selected: number | null = null;
  #isStale = true;
  #movesForward = true;
  /** In the order of their last use. */
  readonly #cache = new Map<string, CachedTrace>();

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

  /** The selected step; null for a model without a step. */
  get step(): number | null {
    return this.#selected ?? this.#model.step;
  }

  /** The folder of the selected checkpoint, or of the model. */
  get dir(): string {
    return this.#checkpoint(this.#selected)?.dir ?? this.#model.dir;
  }

  /** Makes the next `look` read the checkpoints again. */
  outdate(): void {
    this.#isStale = true;
  }

  /** Releases every trace. */
  dispose(): void {
    for (const key of [...this.#cache.keys()]) this.#drop(key);
  }

  /** Clears the cache without releasing traces, whose engine has exited. */
  forget(): void {
    this.#cache.clear();
  }

  /** Loads the checkpoints of a model, and selects the model itself if it is a new one. Returns true on a change. */
  async look({ dir, step }: Pick<Model, "dir" | "step">): Promise<boolean> {
    const isOther = dir !== this.#model.dir;
    if (!isOther && step === this.#model.step && !this.#isStale) return false;
    this.#isStale = false;
    if (isOther) {
      this.#selected = null;
      this.#checkpoints = [];
    }
    this.#model = { dir, step };
    const found = await this.#engine.call("checkpoints", { dir }).catch((error: unknown) => {
      this.#log.warn(`checkpoints: ${errorTextForLog(error)}`);
      return [];
    });
    if (dir !== this.#model.dir) return false;
    this.#checkpoints = found;
    // If the selected checkpoint was deleted, the one before it is selected.
    if (this.#selected !== null && !this.#checkpoint(this.#selected)) {
      const before = found.filter((each) => each.step <= (this.#selected as number));
      this.#selected = before.at(-1)?.step ?? null;
    }
    return true;
  }

  /** Selects the checkpoint at a step. */
  move(step: number): void {
    this.#movesForward = step >= (this.step ?? 0);
    this.#selected = step === this.#model.step || !this.#checkpoint(step) ? null : step;
  }

  /** Runs the selected checkpoint over a text, or returns the cached trace. */
  trace(text: string, maxTokens: number): Promise<TraceInfo> {
    const params = { dir: this.dir, text, maxTokens };
    // Finished traces of other texts stay until `showed`, because the page still shows one of them.
    for (const key of this.#others(params)) if (!this.#cache.get(key)?.isDone) this.#drop(key);
    return this.#request(params);
  }

  /**
   * Releases the traces of other texts and prefetches those of neighboring checkpoints, first in the direction of the
   * last move. Called once the page shows `trace`.
   */
  async showed(trace: TraceInfo, text: string, maxTokens: number): Promise<void> {
    const params = { dir: this.dir, text, maxTokens };
    const isCheap = this.#checkpoints.length > 1 && isSmall(trace);
    const alike = [...this.#cache.keys()].filter((key) => key !== this.#keyOf(params) && this.#isOf(key, params));
    for (const key of [...this.#others(params), ...alike.slice(0, isCheap ? -CACHE_SIZE : undefined)]) this.#drop(key);
    const { step } = this;
    const index = this.#checkpoints.findIndex((each) => each.step === step);
    if (index < 0 || !isCheap) return;
    const one = this.#movesForward ? 1 : -1;
    for (const next of [index + one, index + 2 * one, index - one]) {
      const checkpoint = this.#checkpoints[next];
      if (!checkpoint || this.step !== step) continue;
      const dir = checkpoint.step === this.#model.step ? this.#model.dir : checkpoint.dir;
      // Any error is shown when the user selects the checkpoint.
      await this.#request({ ...params, dir }).catch(() => undefined);
    }
  }

  #request(params: InspectParams): Promise<TraceInfo> {
    const key = this.#keyOf(params);
    const cached = this.#cache.get(key) ?? this.#start(key, params);
    this.#cache.delete(key);
    this.#cache.set(key, cached);
    return cached.trace;
  }

  #start(key: string, params: InspectParams): CachedTrace {
    const abort = new AbortController();
    const cached: CachedTrace = {
      trace: this.#engine.call("inspect", params, { signal: abort.signal }),
      abort,
      isDone: false,
    };
    const forget = () => {
      if (this.#cache.get(key) === cached) this.#cache.delete(key);
    };
    cached.trace.then(() => {
      cached.isDone = true;
    }, forget);
    return cached;
  }

  #drop(key: string): void {
    const cached = this.#cache.get(key);
    this.#cache.delete(key);
    cached?.abort.abort();
    // An engine that exited no longer has the trace.
    cached?.trace.then(({ trace }) => this.#engine.call("releaseTrace", { trace })).catch(() => undefined);
  }

  /** The model's own folder changes during training, so its key contains the step. */
  #keyOf(params: InspectParams): string {
    return `${this.#prefixOf(params)}${params.dir === this.#model.dir ? `step ${this.#model.step}` : params.dir}`;
  }

  /** Keys of the traces of other texts. */
  #others(params: InspectParams): string[] {
    return [...this.#cache.keys()].filter((key) => !this.#isOf(key, params));
  }

  #isOf(key: string, params: InspectParams): boolean {
    return key.startsWith(this.#prefixOf(params));
  }

  #prefixOf({ text, maxTokens }: InspectParams): string {
    return `${JSON.stringify([this.#model.dir, text, maxTokens])} `;
  }

  #checkpoint(step: number | null): CheckpointInfo | undefined {
    return this.#checkpoints.find((each) => each.step === step);
  }
}

const isSmall = ({ model, values }: TraceInfo): boolean =>
  model.bytes <= MAX_MODEL_SIZE &&
  4 * values.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0) <= MAX_TRACE_SIZE;
