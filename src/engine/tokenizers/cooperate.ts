import { setImmediate } from "node:timers/promises";

/** Milliseconds of work before the event loop gets a turn. */
const SLICE = 10;

/**
 * Yields to the event loop during long work: call the returned function between small pieces of it. It throws the
 * signal's reason once the signal is aborted.
 */
export function cooperate(signal?: AbortSignal): () => Promise<void> | undefined {
  signal?.throwIfAborted();
  let since = performance.now();
  return () => {
    if (performance.now() - since < SLICE) return undefined;
    return setImmediate().then(() => {
      signal?.throwIfAborted();
      since = performance.now();
    });
  };
}
