/** The queue of runs: one trains, the others wait in an order that the user can change. Does not depend on VS Code. */

import { RemoteError } from "../../protocol/rpc";
import type { QueueChange, QueuedRun, RunQueueState } from "../../protocol/webviewApi";
import { l10n } from "../l10n";

interface Waiting extends QueuedRun {
  readonly start: (end: EndTurn) => void;
  readonly leave: (reason: Error) => void;
}

/** Ends a turn. With a reason, the queue is held until the user resumes it. */
export type EndTurn = (hold?: string) => void;

export class RunQueue {
  readonly #changed: () => void;
  #waiting: readonly Waiting[] = [];
  #isBusy = false;
  #held: string | null = null;
  #count = 0;

  /** `changed` is called when `state` changes. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get state(): RunQueueState {
    const waiting = this.#waiting.map(({ id, name, preset, about }) => ({ id, name, preset, about }));
    return { waiting, held: this.#held };
  }

  /** Waits for a turn, which lasts until the caller ends it. Rejects as canceled when the run is removed from the queue. */
  turn(name: string, preset: string, about: string): Promise<EndTurn> {
    return new Promise((start, leave) => {
      this.#waiting = [...this.#waiting, { id: ++this.#count, name, preset, about, start, leave }];
      this.#next();
    });
  }

  /** "now" moves a run to the front and resumes the queue; the caller must stop the current run. */
  change(id: number, change: QueueChange): void {
    const at = this.#waiting.findIndex((each) => each.id === id);
    const chosen = this.#waiting[at];
    if (!chosen) return;
    const others = this.#waiting.filter((each) => each !== chosen);
    if (change === "remove") {
      this.#waiting = others;
      if (others.length === 0) this.#held = null;
      chosen.leave(new RemoteError("canceled", l10n.t("“{0}” was removed from the queue.", chosen.name)));
      this.#changed();
      return;
    }
    const target = { up: Math.max(0, at - 1), down: at + 1, now: 0 }[change];
    this.#waiting = [...others.slice(0, target), chosen, ...others.slice(target)];
    if (change === "now") this.#held = null;
    this.#next();
  }

  /** Resumes a held queue. */
  resume(): void {
    this.#held = null;
    this.#next();
  }

  #next(): void {
    const [first, ...others] = this.#waiting;
    if (first && !this.#isBusy && this.#held === null) {
      this.#isBusy = true;
      this.#waiting = others;
      first.start(this.#endOf());
    }
    this.#changed();
  }

  #endOf(): EndTurn {
    let ended = false;
    return (hold) => {
      if (ended) return;
      ended = true;
      this.#isBusy = false;
      if (hold !== undefined && this.#waiting.length > 0) this.#held = hold;
      this.#next();
    };
  }
}
