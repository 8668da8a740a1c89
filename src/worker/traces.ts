/** Traces in memory, by the numbers under which views ask for them. */

import {
  type AnyLoaded,
  bytesOf,
  EngineError,
  type Inspection,
  type Intervention,
  type SavedTrace,
  type Trace,
} from "../engine";

/** The values of a trace and their summary: enough for questions that do not need the model. */
export interface TraceValues {
  readonly summary: SavedTrace;
  readonly trace: Trace;
}

/** The trace of a model. */
export interface KeptTrace extends TraceValues {
  /** The model may have been unloaded since; its tokenizer and configuration are still valid. */
  readonly loaded: AnyLoaded;
  readonly inspection: Inspection;
  readonly interventions: readonly Intervention[];
}

export class Traces {
  readonly #kept = new Map<number, KeptTrace>();
  readonly #opened = new Map<number, TraceValues>();
  #count = 0;

  keep(trace: KeptTrace): number {
    const id = ++this.#count;
    this.#kept.set(id, trace);
    let bytes = 0;
    [...this.#kept].reverse().forEach(([each, kept], i) => {
      bytes += bytesOf(kept.trace);
      if (i >= TRACES_KEPT && (bytes > TRACE_BYTES || i >= SMALL_TRACES_KEPT)) this.#kept.delete(each);
    });
    return id;
  }

  /** Keeps a trace that was read from a file. */
  open(trace: TraceValues): number {
    const id = ++this.#count;
    this.#opened.set(id, trace);
    for (const oldest of [...this.#opened.keys()].slice(0, -TRACES_KEPT)) this.#opened.delete(oldest);
    return id;
  }

  /** The trace of a model or from a file. */
  values(id: number): TraceValues {
    return this.#opened.get(id) ?? this.get(id);
  }

  /** The trace of a model; fails for one from a file. */
  get(id: number): KeptTrace {
    if (this.#opened.has(id)) {
      throw new EngineError(
        "notFound",
        "This needs the model, which a trace file does not contain. Type the text above to run it with the active model.",
      );
    }
    const trace = this.#kept.get(id);
    if (!trace) throw new EngineError("notFound", "These values are no longer in memory. Inspect the text again.");
    return trace;
  }

  release(id: number): null {
    this.#kept.delete(id);
    this.#opened.delete(id);
    return null;
  }
}

/** The latest traces are kept whatever their size, and more while they fit: scrubbing through checkpoints revisits them. */
const TRACES_KEPT = 4;
const SMALL_TRACES_KEPT = 32;
const TRACE_BYTES = 256 * 2 ** 20;
