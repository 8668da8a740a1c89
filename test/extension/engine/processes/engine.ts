/**
 * A real engine process with a small service: the shell of src/worker around handlers whose behavior the test asks for.
 *
 * generate "prompt": answers it back; "sleep" waits to be canceled; "abort" and "exit" end the process.
 */

import type { GenerateResult } from "../../../../src/protocol/engineApi";

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
        // A native call that does not come back.
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
