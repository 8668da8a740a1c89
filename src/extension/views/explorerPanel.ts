/** The Explorer's host side: which text is run, what is chosen in it, and where it is in the editor. */

import * as vscode from "vscode";
import type { EngineApi, TraceInfo } from "../../protocol/engineApi";
import { type Server, serve } from "../../protocol/rpc";
import type { ExplorerEvents, ExplorerHost } from "../../protocol/webviewApi";
import { explorerPanelType } from "../contributions";
import { l10n } from "../l10n";
import type { Lab } from "../lab";
import { setting } from "../settings";
import { explorerChecks } from "./checks";
import { asRun, type ShownText, showsText, textOf, typedText } from "./editorText";
import { act, save } from "./hostActions";
import { SourceLink } from "./sourceLink";
import { requireKnown, traceAnswers } from "./traceAnswers";
import { TraceRuns } from "./traceRuns";
import { openPage, webviewPort } from "./webviewPage";

/** How long the cursor rests before its line is run. */
const REST = 250;

export class ExplorerPanel implements vscode.WebviewPanelSerializer, vscode.Disposable {
  readonly #lab: Lab;
  readonly #runs: TraceRuns;
  readonly #link: SourceLink;
  readonly #subscriptions: vscode.Disposable;
  #panel: vscode.WebviewPanel | undefined;
  #server: Server<ExplorerEvents> | undefined;
  #follow = false;
  #text: ShownText | null = null;
  #timer: NodeJS.Timeout | undefined;
  /** Runs that the page asked for beside the one that is shown. */
  readonly #beside = new Set<number>();

  constructor(lab: Lab) {
    this.#lab = lab;
    this.#runs = new TraceRuns(lab, (name, value) => {
      // The Explorer is told everything that a run tells, which TypeScript does not see of a name it does not know.
      this.#server?.tell(name, value as never);
      if (name === "trace") this.#showed();
    });
    this.#link = new SourceLink((token) => {
      const { trace } = this.#runs;
      if (!trace) return;
      this.#link.mark(token);
      this.#server?.tell("select", { trace: trace.trace, token });
    });
    const moved = (document: vscode.TextDocument) => {
      if (this.#follow && document === vscode.window.activeTextEditor?.document) this.#soon();
    };
    this.#subscriptions = vscode.Disposable.from(
      this.#link,
      vscode.window.onDidChangeActiveTextEditor((editor) => editor && moved(editor.document)),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => moved(textEditor.document)),
      vscode.workspace.onDidChangeTextDocument(({ document }) => moved(document)),
      lab.models.onDidChange(() => this.#soon()),
      lab.trainings.onDidReport((event) => {
        if (event.kind !== "checkpoint") return;
        this.#runs.outdateCheckpoints();
        this.#soon();
      }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("decoderLab.explorer")) this.#soon(true);
      }),
    );
  }

  /** Opens the Explorer with a text; without one, with that of the active editor, or a sentence to begin with. */
  show(text?: ShownText | null): void {
    const editor = vscode.window.activeTextEditor;
    this.#text =
      text ??
      (editor && showsText(editor) ? textOf(editor) : null) ??
      this.#text ??
      this.#typed(l10n.t("Once upon a time, there was a little fox who lived in the wood."));
    if (text || editor) this.#setFollow(false);
    if (this.#panel) {
      this.#panel.reveal();
      this.#soon(true);
      return;
    }
    const place = editor ? vscode.ViewColumn.Beside : vscode.ViewColumn.Active;
    this.#fill(vscode.window.createWebviewPanel(explorerPanelType, l10n.t("Explorer"), place));
  }

  /** VS Code brings the panel back after a reload, with what its page remembered. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const text = typeof state === "object" && state !== null && "text" in state ? state.text : null;
    if (typeof text === "string" && text !== "") this.#text = this.#typed(text);
    this.#fill(panel);
  }

  /** A new engine knows nothing of the run that is shown: it is made again. */
  engineStarted(): void {
    this.#beside.clear();
    if (this.#runs.engineStarted()) this.#soon(true);
  }

  dispose(): void {
    this.#panel?.dispose();
    clearTimeout(this.#timer);
    this.#runs.cancel();
    this.#subscriptions.dispose();
  }

  #typed(text: string): ShownText {
    return { source: typedText(text), place: null };
  }

  #fill(panel: vscode.WebviewPanel): void {
    const { extensionUri } = this.#lab;
    this.#panel = panel;
    panel.iconPath = vscode.Uri.joinPath(extensionUri, "media", "icon.svg");
    const server = serve<ExplorerHost, ExplorerEvents>(webviewPort(panel.webview), this.#handlers(), explorerChecks);
    this.#server = server;
    panel.onDidDispose(() => {
      server.close();
      if (this.#panel !== panel) return;
      this.#panel = undefined;
      this.#server = undefined;
      clearTimeout(this.#timer);
      this.#runs.cancel();
      this.#link.hide();
      for (const trace of this.#beside) this.#release(trace);
      this.#beside.clear();
    });
    openPage(panel.webview, extensionUri, "explorer", l10n.t("Explorer"));
  }

  #handlers(): Parameters<typeof serve<ExplorerHost, ExplorerEvents>>[1] {
    const { engine, models } = this.#lab;
    const answers = traceAnswers(this.#lab);
    const beside = (trace: TraceInfo) => {
      this.#beside.add(trace.trace);
      return trace;
    };
    return {
      ...answers,
      ready: () => {
        // After this answer, what the page needs is told.
        setTimeout(() => this.#soon(true), 0);
        return { strings: vscode.l10n.bundle ?? {}, follow: this.#follow };
      },
      inspectText: ({ text }) => {
        this.#setFollow(false);
        this.#text = text === "" ? null : this.#typed(text);
        void this.#run();
        return null;
      },
      follow: ({ follow }) => {
        this.#follow = follow;
        if (follow) this.#soon();
        return null;
      },
      scrub: async ({ step }) => {
        this.#runs.scrub(step);
        await this.#run();
        return null;
      },
      select: ({ trace, token }) => {
        if (trace === this.#runs.trace?.trace) this.#link.mark(token);
        return null;
      },
      shade: ({ trace, weights }) => {
        if (trace === this.#runs.trace?.trace) this.#link.shade(weights);
        return null;
      },
      models: () => {
        const active = models.active?.dir;
        const usable = models.models.filter(({ problem }) => problem === null);
        return usable
          .map(({ dir, name }) => ({ dir, name }))
          .sort((a, b) => Number(b.dir === active) - Number(a.dir === active));
      },
      intervene: async (params, context) => beside(await answers.intervene(params, context)),
      inspectAlso: async ({ dir, text }, { signal }) => {
        requireKnown(this.#lab, dir);
        const params = { dir, text: asRun(text), maxTokens: setting("explorer.maxTokens") };
        return beside(await engine.call("inspect", params, { signal }));
      },
      releaseTrace: (params, context) => {
        this.#beside.delete(params.trace);
        return answers.releaseTrace(params, context);
      },
      saveTrace: ({ trace }) => this.#saveTrace(trace),
      retry: () => {
        this.#soon(true);
        return null;
      },
      act,
      save,
    };
  }

  #setFollow(follow: boolean): void {
    this.#follow = follow;
    this.#server?.tell("follow", { follow });
  }

  #soon(again = false): void {
    if (again) this.#runs.forget();
    if (!this.#panel) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#run(), again ? 0 : REST);
  }

  async #run(): Promise<void> {
    // A page that is hidden is gone; it asks again when it is made anew.
    if (!this.#panel?.visible) return;
    await this.#runs.run(() => this.#findText()?.source ?? null, setting("explorer.maxTokens"));
  }

  /** What is shown; where the editor is followed, its selection or line. */
  #findText(): ShownText | null {
    const editor = vscode.window.activeTextEditor;
    if (this.#follow && editor && showsText(editor)) {
      const found = textOf(editor);
      if (found) this.#text = found;
    }
    return this.#text;
  }

  #showed(): void {
    const { trace } = this.#runs;
    if (trace && this.#text) this.#link.show(trace, this.#text.source.text, this.#text.place);
    if (trace && this.#panel) this.#panel.title = l10n.t("Explorer: {0}", trace.model.name);
  }

  #release(trace: number): void {
    // An engine that has gone has let go of it too.
    this.#lab.engine.call("releaseTrace", { trace }).catch(() => undefined);
  }

  async #saveTrace(trace: number): Promise<null> {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const target = await vscode.window.showSaveDialog({
      title: l10n.t("Save"),
      filters: { [l10n.t("Trace")]: ["dltrace"] },
      ...(folder ? { defaultUri: vscode.Uri.joinPath(folder, "trace.dltrace") } : {}),
    });
    const saveTrace = "saveTrace" as keyof EngineApi;
    if (target) await this.#lab.engine.call(saveTrace, { trace, path: target.fsPath } as never);
    return null;
  }
}
