/** The scores of prompts with one model and one choice of tokens, computed one after the other. */

import type { PromptScore } from "../../../src/protocol/traceApi";
import type { Inspection } from "../../trace/inspection";
import type { PromptRow } from "./layout";

export interface Scores {
  readonly rows: (prompts: readonly string[]) => PromptRow[];
  /** Discards the scores: they are those of another model or of other tokens. */
  readonly clear: () => void;
  /** Scores the prompts that have no score yet. Resolves to false if it was canceled. */
  readonly run: (
    prompts: readonly string[],
    inspection: Pick<Inspection, "scorePrompt">,
    ids: readonly number[],
    progress: (done: number, total: number) => void,
  ) => Promise<boolean>;
  readonly cancel: () => void;
}

export function createScores(): Scores {
  let known = new Map<string, PromptScore | Error>();
  let running: AbortController | null = null;
  const cancel = () => {
    running?.abort();
    running = null;
  };
  return {
    rows: (prompts) => prompts.map((prompt, i) => ({ number: i + 1, prompt, outcome: known.get(prompt) ?? null })),
    clear() {
      cancel();
      known = new Map();
    },
    cancel,
    async run(prompts, inspection, ids, progress) {
      cancel();
      const own = new AbortController();
      running = own;
      const scores = known;
      // A prompt that failed is tried again.
      const missing = [...new Set(prompts)].filter(
        (prompt) => !scores.has(prompt) || scores.get(prompt) instanceof Error,
      );
      for (const [done, prompt] of missing.entries()) {
        progress(done, missing.length);
        try {
          const score = await inspection.scorePrompt({ text: prompt, ids }, own.signal);
          if (!own.signal.aborted) scores.set(prompt, score);
        } catch (error) {
          if (!own.signal.aborted) scores.set(prompt, error instanceof Error ? error : new Error(String(error)));
        }
        if (own.signal.aborted) return false;
      }
      progress(missing.length, missing.length);
      if (running === own) running = null;
      return true;
    },
  };
}
