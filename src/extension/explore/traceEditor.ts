/** Opens saved runs, `.dltrace` files, in an Explorer of their own. */

import type * as vscode from "vscode";
import type { LabServices } from "../labServices";
import { Explorer } from "./explorer";

export class TraceEditor implements vscode.CustomReadonlyEditorProvider {
  readonly #lab: LabServices;
  readonly #open = new Set<Explorer>();

  constructor(lab: LabServices) {
    this.#lab = lab;
  }

  /** The engine reads the file when it is shown. */
  openCustomDocument(uri: vscode.Uri): vscode.CustomDocument {
    return { uri, dispose: () => undefined };
  }

  resolveCustomEditor({ uri }: vscode.CustomDocument, panel: vscode.WebviewPanel): void {
    const explorer = new Explorer(this.#lab, panel, { kind: "saved", file: uri });
    this.#open.add(explorer);
    panel.onDidDispose(() => this.#open.delete(explorer));
  }

  engineStarted(): void {
    for (const explorer of this.#open) explorer.engineStarted();
  }
}
