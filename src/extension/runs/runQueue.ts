/** Runs take turns: one trains, the others wait in an order that the user can change. Knows nothing of VS Code. */

import { RemoteError } from "../../protocol/rpc";
import type { QueueChange, QueuedRun, RunQueueState } from "../../protocol/webviewApi";
import { l10n } from "../l10n";

interface Waiting extends QueuedRun {
  readonly start: (end: EndTurn) => void;
  readonly leave: (why: Error) => void;
}

/** Ends a turn. With a reason, the next run waits until the user lets it go on. */
export type EndTurn = (hold?: string) => void;

export class RunQueue {
  readonly #changed: () => void;
  #waiting: readonly Waiting[] = [];
  #taken = false;
  #held: string | null = null;
  #count = 0;

  /** `changed` is called whenever `state` is another. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get state(): RunQueueState {
    const waiting = this.#waiting.map(({ id, name, preset, about }) => ({ id, name, preset, about }));
    return { waiting, held: this.#held };
  }

  /** Waits for a turn, which lasts until it is ended. Rejects as canceled when it is taken out of the queue. */
  turn(name: string, preset: string, about: string): Promise<EndTurn> {
    return new Promise((start, leave) => {
      this.#waiting = [...this.#waiting, { id: ++this.#count, name, preset, about, start, leave }];
      this.#next();
    });
  }

  /** "now" puts a run first and lets the queue go on; whoever has the turn must end it. */
  change(id: number, change: QueueChange): void {
    const at = this.#waiting.findIndex((each) => each.id === id);
    const chosen = this.#waiting[at];
    if (!chosen) return;
    const others = this.#waiting.filter((each) => each !== chosen);
    if (change === "remove") {
      this.#waiting = others;
      if (others.length === 0) this.#held = null;
      chosen.leave(new RemoteError("canceled", l10n.t("“{0}” was taken out of the queue.", chosen.name)));
      this.#changed();
      return;
    }
    const place = { up: Math.max(0, at - 1), down: at + 1, now: 0 }[change];
    this.#waiting = [...others.slice(0, place), chosen, ...others.slice(place)];
    if (change === "now") this.#held = null;
    this.#next();
  }

  /** Starts the next run although the queue was held. */
  resume(): void {
    this.#held = null;
    this.#next();
  }

  #next(): void {
    const [first, ...others] = this.#waiting;
    if (first && !this.#taken && this.#held === null) {
      this.#taken = true;
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
      this.#taken = false;
      if (hold !== undefined && this.#waiting.length > 0) this.#held = hold;
      this.#next();
    };
  }
}
