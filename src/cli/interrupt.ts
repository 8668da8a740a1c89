import { EngineError } from "../engine";

/** Runs a task that Ctrl+C cancels. `message` is the error in that case. */
export async function cancelable<T>(message: string, task: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  return task(stop.signal).catch((error: unknown) => {
    if (error !== stop.signal.reason) throw error;
    throw new EngineError("canceled", message, { cause: error });
  });
}
