/** Progress of an import. */

import type { ImportProgress } from "../api/hub";
import type { OnBytes } from "./download";

export type OnProgress = (progress: ImportProgress) => void;

const REPORT_EVERY_MS = 100;
/** The speed is an average over this window, so that an import recovers from a stall. */
const WINDOW_MS = 5000;

/** Counts the bytes of a phase across its files. */
export class Meter {
  #done = 0;
  #fresh = 0;
  #reported = Number.NEGATIVE_INFINITY;
  #samples: { readonly at: number; readonly fresh: number }[] = [];

  constructor(
    private readonly phase: ImportProgress["phase"],
    private readonly totalBytes: number,
    private readonly onProgress: OnProgress,
  ) {}

  /** Starts a file. The first count that `onBytes` receives was there before, so it does not affect the speed. */
  file(name: string, size: number): { readonly onBytes: OnBytes; readonly end: () => void } {
    let last: number | null = null;
    return {
      onBytes: (bytes) => {
        this.#fresh += Math.max(0, bytes - (last ?? bytes));
        last = bytes;
        this.#report(name, this.#done + bytes, false);
      },
      end: () => {
        this.#done += size;
        this.#report(name, this.#done, true);
      },
    };
  }

  #report(file: string, bytes: number, always: boolean): void {
    const now = performance.now();
    if (!always && now - this.#reported < REPORT_EVERY_MS) return;
    this.#reported = now;
    this.#samples = [...this.#samples.filter(({ at }) => now - at < WINDOW_MS), { at: now, fresh: this.#fresh }];
    const first = this.#samples[0] as { at: number; fresh: number };
    const bytesPerSecond = now > first.at ? ((this.#fresh - first.fresh) / (now - first.at)) * 1000 : 0;
    this.onProgress({
      phase: this.phase,
      file,
      bytes,
      totalBytes: this.totalBytes,
      bytesPerSecond,
      secondsLeft: bytesPerSecond > 0 ? Math.max(0, this.totalBytes - bytes) / bytesPerSecond : null,
    });
  }
}
