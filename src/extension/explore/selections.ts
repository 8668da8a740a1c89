import * as vscode from "vscode";

/** A selection in a text. Tokens are counted from its end, because pages trace more or fewer of its last tokens. */
export interface Chosen {
  /** The sender. */
  readonly by: object;
  /** The model's folder. */
  readonly dir: string;
  /** The text as the model read it. */
  readonly text: string;
  /** 1 for the last token. */
  readonly tokenFromEnd: number;
  /** Missing if only a token was selected, as by the cursor in an editor. */
  readonly layer?: number;
  readonly head?: number;
}

/** Shares selections among the pages that show the same text and model. */
export class Selections implements vscode.Disposable {
  readonly #chosen = new vscode.EventEmitter<Chosen>();
  readonly onDidChoose = this.#chosen.event;

  choose(chosen: Chosen): void {
    this.#chosen.fire(chosen);
  }

  dispose(): void {
    this.#chosen.dispose();
  }
}
