import type { TrainEvent } from "../api/run";

/** How the caller of a run stops it, pauses it and follows it. */
export interface RunControl {
  /** Stops the run; progress so far is kept. */
  readonly signal: AbortSignal;
  /** Resolves when the run may continue. */
  readonly whilePaused: () => Promise<void>;
  readonly report: (event: TrainEvent) => void;
}
