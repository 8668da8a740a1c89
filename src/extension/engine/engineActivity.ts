/** Shorter work is not shown, because it would only flicker; in milliseconds. */
const SHOW_AFTER = 250;

/** The activity of the engine, for the status bar item. */
export class EngineActivity {
  readonly #changed: () => void;
  #running = 0;
  #shown = false;
  #timer: NodeJS.Timeout | undefined;

  /** The last error that no notification reported, such as a completion's; null after a success. */
  problem: string | null = null;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  /** True during work that is not short. */
  get generating(): boolean {
    return this.#shown;
  }

  /** Counts as work until the promise settles. */
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
