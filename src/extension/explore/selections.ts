import * as vscode from "vscode";

/** What is chosen in a text, counted from its end: views run more or fewer of its last tokens. */
export interface Chosen {
  /** The view that it was chosen in. */
  readonly by: object;
  /** The model's folder, and the text as it was run. */
  readonly dir: string;
  readonly text: string;
  /** 1 is the last token. */
  readonly tokenFromEnd: number;
  /** Left out where only a token was chosen, as by the cursor in an editor. */
  readonly layer?: number;
  readonly head?: number;
}

/** Tells views of the same text and model what is chosen in one of them. */
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
