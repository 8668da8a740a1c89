import { setImmediate } from "node:timers/promises";

/** Milliseconds of work between two looks at the event loop. */
const SLICE = 10;

/**
 * Lets others have the event loop during long work: call what this returns between small pieces of it. Throws the
 * signal's reason once it is aborted.
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
