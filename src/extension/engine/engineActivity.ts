/** What the engine is doing right now, for the status item. Short work is not shown: it would only flicker. */

const SHOW_AFTER = 250;

export class EngineActivity {
  readonly #changed: () => void;
  #running = 0;
  #shown = false;
  #timer: NodeJS.Timeout | undefined;

  /** The last thing that failed quietly, such as a completion; null after one has worked. */
  problem: string | null = null;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** Work that takes longer than a moment is going on. */
  get generating(): boolean {
    return this.#shown;
  }

  /** Counts as generating until the promise settles. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#running++;
    this.#timer ??= setTimeout(() => this.#show(true), SHOW_AFTER);
    try {
      return await work;
    } finally {
      if (--this.#running === 0) {
        clearTimeout(this.#timer);
        this.#timer = undefined;
        this.#show(false);
      }
    }
  }

  #show(shown: boolean): void {
    if (this.#shown === shown) return;
    this.#shown = shown;
    this.#changed();
  }
}
