import * as vscode from "vscode";
import { type Server, serve } from "../../protocol/rpc";
import type { InspectorHost, ScrubberHost } from "../../protocol/webviewApi";
import { viewIds } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { setting } from "../settings";
import { inspectorChecks, scrubberChecks } from "../webviews/messageChecks";
import { openPage, webviewPort } from "../webviews/webviewPage";
import { type ShownText, showsText, textOf, typedText } from "./editorText";
import type { TraceEvents } from "./shownTrace";
import { TraceHost } from "./traceHost";

const CHECKS = { ...inspectorChecks, ...scrubberChecks };

/** The host of the Layer Inspector: decides which text its page shows. */
export class InspectorView extends TraceHost implements vscode.WebviewViewProvider {
  #view: vscode.WebviewView | undefined;
  #server: Server<TraceEvents> | undefined;
  #typed: string | null = null;
  /** Stays when a webview becomes the active editor. */
  #text: ShownText | null = null;

  constructor(lab: LabServices) {
    super(lab, "decoderLab.inspector", true);
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.#view = view;
    const port = webviewPort(view.webview);
    const server = serve<InspectorHost & ScrubberHost, TraceEvents>(port, this.handlers(), CHECKS);
    this.#server = server;
    view.onDidChangeVisibility(() => this.refreshSoon());
    view.onDidDispose(() => {
      server.close();
      this.#view = undefined;
      this.#server = undefined;
      this.cancel();
    });
    openPage(view.webview, this.lab.extensionUri, "inspector", l10n.t("Layer Inspector"));
  }

  /** The inspected text; null if there is none. */
  get text(): ShownText | null {
    return this.#text;
  }

  /** Shows the view with the selection or line of the active editor. */
  async reveal(): Promise<void> {
    this.#typed = null;
    this.setFollow(true);
    await vscode.commands.executeCommand(`${viewIds.inspector}.focus`);
    this.refreshSoon(true);
  }

  protected send<Name extends keyof TraceEvents>(name: Name, value: TraceEvents[Name]): void {
    this.#server?.send(name, value);
  }

  protected showTyped(text: string): void {
    this.#typed = text;
  }

  protected async refresh(): Promise<void> {
    if (!this.#server || !this.#view?.visible) return;
    const find = () => {
      this.#text = this.#findText();
      return this.#text?.source ?? null;
    };
    await this.shown.run(this.lab.models.active, find, setting("inspector.maxTokens"));
  }

  #findText(): ShownText | null {
    if (this.follow) this.#typed = null;
    if (this.#typed !== null) return this.#typed === "" ? null : { source: typedText(this.#typed), location: null };
    const editor = vscode.window.activeTextEditor;
    // Opening the log, for example, leaves the inspected text as it is.
    if (!editor || !showsText(editor) || (!this.follow && this.#text)) return this.#text;
    return textOf(editor);
  }
}
