/** A pause of inline completions, which ends by itself. */

import * as vscode from "vscode";

const STEP_MINUTES = 5;

export class Snooze implements vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<void>();
  /** Time of the end, in milliseconds since 1970; 0 without a pause. */
  #end = 0;
  #timer: NodeJS.Timeout | undefined;

  readonly onDidChange = this.#changed.event;

  /** Whole minutes until the end, rounded up; 0 without a pause. */
  get minutesLeft(): number {
    return Math.max(0, Math.ceil((this.#end - Date.now()) / 60_000));
  }

  /** Pauses for another few minutes. */
  extend(): void {
    this.#end = Math.max(this.#end, Date.now()) + STEP_MINUTES * 60_000;
    this.#wait();
  }

  end(): void {
    this.#end = 0;
    this.#wait();
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#changed.dispose();
  }

  /** Reports the change, each minute that passes, and the end. */
  #wait(): void {
    clearTimeout(this.#timer);
    this.#changed.fire();
    const left = this.#end - Date.now();
    if (left > 0) this.#timer = setTimeout(() => this.#wait(), left % 60_000 || 60_000);
  }
}
