/** The Layer Inspector's host side: which text is inspected, and the trace that is shown. */

import * as vscode from "vscode";
import type { TraceInfo } from "../../protocol/engineApi";
import { isCancelled, RemoteError, type Server, serve } from "../../protocol/rpc";
import type {
  Action,
  InspectedSource,
  InspectorEvents,
  InspectorHost,
  ScrubberEvents,
  ScrubberHost,
} from "../../protocol/webviewApi";
import { viewIds } from "../contributions";
import { l10n } from "../l10n";
import type { Lab } from "../lab";
import { logged } from "../logged";
import { textSchemes } from "../providers/tokenHover";
import { setting } from "../settings";
import { inspectorChecks, MAX_INSPECTED, scrubberChecks } from "./checks";
import { act, save } from "./hostActions";
import { Scrub } from "./scrub";
import { traceAnswers } from "./traceAnswers";
import { openPage, webviewPort } from "./webviewPage";

/** How long the cursor rests before its line is inspected. */
const REST = 250;
/** What takes no longer is not worth a sign that it goes on. */
const BUSY_AFTER = 150;

type Host = InspectorHost & ScrubberHost;
type Events = InspectorEvents & ScrubberEvents;

export class InspectorView implements vscode.WebviewViewProvider, vscode.Disposable {
  readonly #lab: Lab;
  readonly #subscriptions: vscode.Disposable;
  #view: vscode.WebviewView | undefined;
  readonly #scrub: Scrub;
  #server: Server<Events> | undefined;
  #follow = true;
  #typed: string | null = null;
  #timer: NodeJS.Timeout | undefined;
  #running: AbortController | undefined;
  #hasTrace = false;
  /** What is shown: it is not inspected again. */
  #shown: string | null = null;
  /** Stays while a view and not a text is in front. */
  #source: InspectedSource | null = null;

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#scrub = new Scrub(lab.engine, lab.log);
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
        this.#scrub.outdate();
        this.#soon();
      }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("decoderLab.inspector")) this.#soon(true);
      }),
    );
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    this.#view = view;
    const server = serve<Host, Events>(webviewPort(view.webview), this.#handlers(), {
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
    this.#scrub.forget();
    if (!this.#hasTrace) return;
    this.#hasTrace = false;
    this.#soon(true);
  }

  dispose(): void {
    this.#cancel();
    this.#subscriptions.dispose();
  }

  #handlers(): Parameters<typeof serve<Host, Events>>[1] {
    return {
      ready: () => {
        // After this answer, what the page needs is told.
        setTimeout(() => {
          this.#server?.tell("checkpoints", this.#scrub.shown);
          this.#soon(true);
        }, 0);
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
      ...traceAnswers(this.#lab),
      scrub: async ({ step }) => {
        this.#scrub.move(step);
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
    if (again) this.#shown = null;
    if (!this.#view?.visible) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#inspect(), again ? 0 : REST);
  }

  #cancel(): void {
    clearTimeout(this.#timer);
    this.#running?.abort();
  }

  async #inspect(): Promise<void> {
    const server = this.#server;
    if (!server || !this.#view?.visible) return;
    const model = this.#lab.models.active;
    if (!model) {
      return this.#empty(l10n.t("There is no model yet."), [
        { id: "trainModel", label: l10n.t("Train Tiny GPT") },
        { id: "importModel", label: l10n.t("Import Model") },
      ]);
    }
    if (await this.#scrub.look(model)) server.tell("checkpoints", this.#scrub.shown);
    this.#source = this.#findSource();
    const source = this.#source;
    if (!source) return this.#empty(l10n.t("Put the cursor on a line with text, or type some here."), []);

    const key = JSON.stringify([model.dir, model.name, this.#scrub.step, source]);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#running?.abort();
    const abort = new AbortController();
    this.#running = abort;
    const busy = setTimeout(() => server.tell("busy", { busy: true }), BUSY_AFTER);
    try {
      const maxTokens = setting("inspector.maxTokens");
      // Models learn line breaks as "\n" alone.
      const text = source.text.replaceAll("\r\n", "\n");
      const trace = await this.#run(text, maxTokens, abort.signal);
      this.#lab.engine.noteDevice(trace.device);
      if (abort.signal.aborted) return;
      this.#hasTrace = true;
      server.tell("trace", { trace, source });
      void this.#scrub.showed(trace, text, maxTokens);
    } catch (error) {
      if (isCancelled(error) || abort.signal.aborted) return;
      this.#shown = null;
      this.#problem(server, error);
    } finally {
      clearTimeout(busy);
      if (this.#running === abort) server.tell("busy", { busy: false });
    }
  }

  /** Asks once more when the engine ended meanwhile: it may have been other work that ended it, or the GPU. */
  async #run(text: string, maxTokens: number, signal: AbortSignal): Promise<TraceInfo> {
    const { engine } = this.#lab;
    try {
      return await this.#scrub.trace(text, maxTokens);
    } catch (error) {
      const again = error instanceof RemoteError && error.code === "gone" && engine.state.kind !== "stopped";
      if (!again || signal.aborted) throw error;
      return this.#scrub.trace(text, maxTokens);
    }
  }

  #empty(reason: string, actions: readonly Action[]): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#shown = null;
    this.#server?.tell("empty", { reason, actions });
    this.#server?.tell("busy", { busy: false });
  }

  #problem(server: Server<Events>, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.#lab.log.warn(`inspect: ${logged(error)}`);
    const stopped = this.#lab.engine.state.kind === "stopped";
    const action = stopped
      ? ({ id: "restartEngine", label: l10n.t("Restart Engine") } as const)
      : ({ id: "showLog", label: l10n.t("Show Log") } as const);
    server.tell("problem", { message, action });
    this.#hasTrace = false;
  }

  /** The text to inspect; what it was before, where no text is in front or the inspector does not follow. */
  #findSource(): InspectedSource | null {
    if (this.#typed !== null) {
      return this.#typed === "" ? null : sourceOf("typed", l10n.t("typed text"), this.#typed);
    }
    const editor = vscode.window.activeTextEditor;
    // The log is an editor too; looking at it leaves the text that is inspected.
    if (!editor || !textSchemes.includes(editor.document.uri.scheme) || (!this.#follow && this.#source))
      return this.#source;
    const { document, selection } = editor;
    const name = document.uri.path.split("/").at(-1) || document.fileName;
    if (!selection.isEmpty) {
      const label = l10n.t("{0}, selection from line {1}", name, selection.start.line + 1);
      return sourceOf("selection", label, textBefore(document, selection));
    }
    const line = document.lineAt(selection.active.line);
    if (line.isEmptyOrWhitespace) return null;
    return sourceOf("line", l10n.t("{0}, line {1}", name, line.lineNumber + 1), line.text);
  }
}

/** The end of a range, without reading all of a large one. */
function textBefore(document: vscode.TextDocument, range: vscode.Range): string {
  const end = document.offsetAt(range.end);
  const start = Math.max(document.offsetAt(range.start), end - MAX_INSPECTED - 1);
  return document.getText(new vscode.Range(document.positionAt(start), range.end));
}

function sourceOf(kind: InspectedSource["kind"], label: string, text: string): InspectedSource {
  const truncated = text.length > MAX_INSPECTED;
  return { kind, label, text: truncated ? text.slice(-MAX_INSPECTED) : text, truncated };
}
