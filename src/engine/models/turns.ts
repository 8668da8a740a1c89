/** Something that runs a model: its compiled graphs, which may hold a copy of the weights. */
interface Use {
  release(): Promise<void>;
}

/** Runs the uses of a loaded model one at a time. */
export class Turns {
  readonly #uses: Use[] = [];
  #last: Promise<unknown> = Promise.resolve();

  /** With `keepsOne`, every other use is unloaded before a turn: the model is too large for two copies of its weights. */
  constructor(readonly keepsOne: boolean) {}

  /** Adds a use to unload and release with the others. */
  add<U extends Use>(use: U): U {
    this.#uses.push(use);
    return use;
  }

  /** Runs `work` with one use, or with none of them, after the turns before it. */
  take<T>(use: Use | null, work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(async () => {
      if (this.keepsOne && use) await this.#unload(use);
      return work();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Unloads every use, after the turns before it. */
  release(): Promise<void> {
    return this.take(null, () => this.#unload());
  }

  async #unload(except?: Use): Promise<void> {
    for (const use of this.#uses) if (use !== except) await use.release();
  }
}
