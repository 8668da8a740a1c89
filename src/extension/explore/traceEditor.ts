import type * as vscode from "vscode";
import type { LabServices } from "../labServices";
import { Explorer } from "./explorer";

/** Opens each trace file (`.dltrace`) in a Model Explorer of its own. */
export class TraceEditor implements vscode.CustomReadonlyEditorProvider {
  readonly #lab: LabServices;
  readonly #open = new Set<Explorer>();

  constructor(lab: LabServices) {
    this.#lab = lab;
  }

  /** The engine reads the file when the editor shows it. */
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
