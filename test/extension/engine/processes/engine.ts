/**
 * A small service for src/worker in place of the engine's. The prompt of `generate` decides what happens:
 * "sleep" waits for the cancellation, "busy" blocks, "abort" and "exit" end the process, others are returned.
 */

import type { GenerateResult } from "../../../../src/protocol/engineApi";

/** Stands in for the cleaner of src/worker, which would bundle the whole engine. */
export const removeLeftovers = async (): Promise<void> => {};

export function engineService() {
  return {
    generate: (
      { prompt }: { prompt: string },
      { signal }: { signal: AbortSignal },
    ): Promise<GenerateResult> | GenerateResult => {
      if (prompt === "abort") process.abort();
      if (prompt === "exit") {
        console.error("last words");
        process.exit(7);
      }
      if (prompt === "device") return result(process.env.DECODER_LAB_DEVICE ?? "");
      if (prompt === "busy") {
        // Like a native call that never returns.
        for (;;);
      }
      if (prompt !== "sleep") return result(prompt);
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve(result("canceled"))));
    },
  };
}

const result = (text: string): GenerateResult => ({
  ids: [],
  text,
  reason: "length",
  promptTokens: 0,
  reusedTokens: 0,
  droppedTokens: 0,
  milliseconds: 0,
});
