/** Traces of other texts and models, shared by the views that request the same one. */

import type { Inspection } from "../trace/inspection";

interface Shared {
  readonly inspection: Promise<Inspection>;
  readonly key: string;
  users: number;
}

export function createSharedTraces(
  trace: (dir: string, text: string) => Promise<Inspection>,
  releaseTrace: (inspection: Inspection) => void,
) {
  const offered = new Map<string, Shared>();
  const held = new Map<Inspection, Shared>();
  return {
    /** A trace of a text, which each caller releases. */
    async take(dir: string, text: string): Promise<Inspection> {
      const key = JSON.stringify([dir, text]);
      const shared = offered.get(key) ?? { inspection: trace(dir, text), key, users: 0 };
      offered.set(key, shared);
      shared.users += 1;
      try {
        const inspection = await shared.inspection;
        held.set(inspection, shared);
        return inspection;
      } catch (error) {
        if (offered.get(key) === shared) offered.delete(key);
        throw error;
      }
    },
    release(inspection: Inspection): void {
      const shared = held.get(inspection);
      if (shared && --shared.users > 0) return;
      held.delete(inspection);
      if (shared && offered.get(shared.key) === shared) offered.delete(shared.key);
      releaseTrace(inspection);
    },
    /** Shares the present traces with nobody else: another engine does not have them. */
    outdate: () => offered.clear(),
  };
}
