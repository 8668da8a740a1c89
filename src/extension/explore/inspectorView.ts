/** The Layer Inspector's host side: which text is inspected, and the trace that is shown. */

import * as vscode from "vscode";
import { type Server, serve } from "../../protocol/rpc";
import type { InspectorHost, ScrubberHost } from "../../protocol/webviewApi";
import { viewIds } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { setting } from "../settings";
import { act, save } from "../webviews/hostActions";
import { inspectorChecks, scrubberChecks } from "../webviews/messageChecks";
import { openPage, webviewPort } from "../webviews/webviewPage";
import { type ShownText, showsText, textOf, typedText } from "./editorText";
import { type RunEvents, ShownTrace } from "./shownTrace";
import { traceHandlers } from "./traceHandlers";

/** How long the cursor rests before its line is inspected. */
const REST = 250;

type Host = InspectorHost & ScrubberHost;

export class InspectorView implements vscode.WebviewViewProvider, vscode.Disposable {
  readonly #lab: LabServices;
  readonly #subscriptions: vscode.Disposable;
  #view: vscode.WebviewView | undefined;
  readonly #runs: ShownTrace;
  #server: Server<RunEvents> | undefined;
  #follow = true;
  #typed: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** Stays while a view and not a text is in front. */
  #text: ShownText | null = null;

  constructor(lab: LabServices) {
    this.#lab = lab;
    this.#runs = new ShownTrace(lab, (name, value) => this.#server?.tell(name, value));
    const moved = (document: vscode.TextDocument) => {
      if (document === vscode.window.activeTextEditor?.document) this.#soon();
    };
    this.#subscriptions = vscode.Disposable.from(
      vscode.window.onDidChangeActiveTextEditor(() => this.#soon()),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => moved(textEditor.document)),
      vscode.workspace.onDidChangeTextDocument(({ document }) => moved(document)),
      lab.models.onDidChange(() => this.#soon()),
      lab.trainings.onDidReport((event) => {
        if (event.kind !== "checkpoint") return;
        this.#runs.outdateCheckpoints();
        this.#soon();
      }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("decoderLab.inspector")) this.#soon(true);
      }),
    );
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.#view = view;
    const server = serve<Host, RunEvents>(webviewPort(view.webview), this.#handlers(), {
      ...inspectorChecks,
      ...scrubberChecks,
    });
    this.#server = server;
    view.onDidChangeVisibility(() => this.#soon());
    view.onDidDispose(() => {
      server.close();
      this.#view = undefined;
      this.#server = undefined;
      this.#cancel();
    });
    openPage(view.webview, this.#lab.extensionUri, "inspector", l10n.t("Layer Inspector"));
  }

  /** What is inspected; null where nothing is. */
  get text(): ShownText | null {
    return this.#text;
  }

  /** Shows the view with the selection or line of the active editor. */
  async reveal(): Promise<void> {
    this.#follow = true;
    this.#typed = null;
    this.#server?.tell("follow", { follow: true });
    await vscode.commands.executeCommand(`${viewIds.inspector}.focus`);
    this.#soon(true);
  }

  /**
   * A new engine knows nothing of the trace that is shown: it is made again. Not after a problem, which may be what
   * ended the engine before.
   */
  engineStarted(): void {
    if (this.#runs.engineStarted()) this.#soon(true);
  }

  dispose(): void {
    this.#cancel();
    this.#subscriptions.dispose();
  }

  #handlers(): Parameters<typeof serve<Host, RunEvents>>[1] {
    return {
      ready: () => {
        // After this answer, what the page needs is told.
        setTimeout(() => this.#soon(true), 0);
        return { strings: vscode.l10n.bundle ?? {}, follow: this.#follow };
      },
      inspectText: ({ text }) => {
        this.#follow = false;
        this.#typed = text;
        this.#server?.tell("follow", { follow: false });
        void this.#inspect();
        return null;
      },
      follow: ({ follow }) => {
        this.#follow = follow;
        if (follow) this.#typed = null;
        this.#soon();
        return null;
      },
      ...traceHandlers(this.#lab),
      select: (selected) => {
        this.#runs.select(selected);
        return null;
      },
      scrub: async ({ step }) => {
        this.#runs.scrub(step);
        await this.#inspect();
        return null;
      },
      retry: () => {
        this.#soon(true);
        return null;
      },
      act,
      save,
    };
  }

  /** Inspects when the cursor has rested, if the view can be seen. */
  #soon(again = false): void {
    if (again) this.#runs.forget();
    if (!this.#view?.visible) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#inspect(), again ? 0 : REST);
  }

  #cancel(): void {
    clearTimeout(this.#timer);
    this.#runs.cancel();
  }

  async #inspect(): Promise<void> {
    if (!this.#server || !this.#view?.visible) return;
    const find = () => {
      this.#text = this.#findText();
      return this.#text?.source ?? null;
    };
    await this.#runs.run(find, setting("inspector.maxTokens"));
  }

  /** The text to inspect; what it was before, where no text is in front or the inspector does not follow. */
  #findText(): ShownText | null {
    if (this.#typed !== null) return this.#typed === "" ? null : { source: typedText(this.#typed), place: null };
    const editor = vscode.window.activeTextEditor;
    // Looking at the log leaves the text that is inspected.
    if (!editor || !showsText(editor) || (!this.#follow && this.#text)) return this.#text;
    return textOf(editor);
  }
}
