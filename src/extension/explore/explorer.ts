/** The host's side of one Explorer: which text is run, what is chosen in it, and where it is in the editor. */

import * as vscode from "vscode";
import type { TraceInfo } from "../../protocol/engineApi";
import { type Server, serve } from "../../protocol/rpc";
import type { ExplorerEvents, ExplorerHost, InspectedSource } from "../../protocol/webviewApi";
import { contextKeys } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { setting } from "../settings";
import { act, save } from "../webviews/hostActions";
import { explorerChecks } from "../webviews/messageChecks";
import { openPage, webviewPort } from "../webviews/webviewPage";
import { type ShownText, showsText, textOf, typedText, withUnixLineBreaks } from "./editorText";
import { ShownTrace } from "./shownTrace";
import { SourceLink } from "./sourceLink";
import { requireKnown, traceHandlers } from "./traceHandlers";

/** How long the cursor rests before its line is run. */
const REST = 250;

/** What an Explorer shows: a text as the active model runs it, or a run that was saved to a file. */
export type Explored =
  | { readonly kind: "text"; readonly text: ShownText }
  | { readonly kind: "saved"; readonly file: vscode.Uri };

/** Lives as long as its panel. */
export class Explorer {
  readonly #lab: LabServices;
  readonly #panel: vscode.WebviewPanel;
  readonly #server: Server<ExplorerEvents>;
  readonly #runs: ShownTrace;
  readonly #link: SourceLink;
  #explored: Explored;
  #follow = false;
  /** The view that a command opens, once there is something to show in it. */
  #view: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Whether the page that is there listens; one that is made again does not yet. */
  #isReady = false;
  #togglesWhenReady = false;
  /** Runs that the page asked for beside the one that is shown. */
  readonly #beside = new Set<number>();

  /** Fills a panel; `view`: which view is opened, by its id in the page. */
  constructor(lab: LabServices, panel: vscode.WebviewPanel, explored: Explored, view?: string) {
    this.#lab = lab;
    this.#view = view;
    this.#panel = panel;
    this.#explored = explored;
    this.#server = serve(webviewPort(panel.webview), this.#handlers(), explorerChecks);
    this.#runs = new ShownTrace(lab, (name, value) => {
      // The Explorer is told everything that a run tells, which TypeScript does not see of a name it does not know.
      this.#server.tell(name, value as never);
      if (name === "trace") this.#showed();
      if (name === "problem" || name === "empty") this.#setTitle(lab.models.active);
      // What another view chose.
      if (name === "select" && "token" in value && value.token !== undefined) this.#link.mark(value.token);
    });
    this.#link = new SourceLink((token) => this.#choose(token));
    const moved = (document: vscode.TextDocument) => {
      if (this.#follow && document === vscode.window.activeTextEditor?.document) this.#soon();
    };
    const subscriptions = vscode.Disposable.from(
      this.#link,
      panel.onDidChangeViewState(() => {
        // A page that is hidden is gone.
        if (!panel.visible) this.#isReady = false;
      }),
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
    panel.onDidDispose(() => {
      clearTimeout(this.#timer);
      subscriptions.dispose();
      this.#server.close();
      this.#runs.dispose();
      for (const trace of this.#beside) this.#release(trace);
    });
    panel.iconPath = vscode.Uri.joinPath(lab.extensionUri, "media", "icon.svg");
    openPage(panel.webview, lab.extensionUri, "explorer", l10n.t("Explorer"));
  }

  /** Shows something else. */
  show(explored: Explored, view?: string): void {
    this.#explored = explored;
    this.#view = view;
    this.#setFollow(false);
    this.#panel.reveal();
    this.#soon(true);
  }

  /** Comes to the front, with a view where one is named. */
  open(view: string | undefined): void {
    this.#panel.reveal();
    // A page that is made again is told once it shows something.
    if (this.#isReady && view) this.#server.tell("open", { view });
    else this.#view = view;
  }

  /** Shades the editor's text by what the selected token looks at, or takes the shades away. */
  toggleShading(): void {
    this.#panel.reveal(undefined, true);
    this.#togglesWhenReady = !this.#isReady;
    if (this.#isReady) this.#server.tell("toggleShading", {});
  }

  /** A new engine knows nothing of the run that is shown: it is made again. */
  engineStarted(): void {
    this.#beside.clear();
    if (this.#runs.engineStarted()) this.#soon(true);
  }

  #handlers(): Parameters<typeof serve<ExplorerHost, ExplorerEvents>>[1] {
    const { engine, models } = this.#lab;
    const answers = traceHandlers(this.#lab);
    const beside = (trace: TraceInfo) => {
      this.#beside.add(trace.trace);
      return trace;
    };
    return {
      ...answers,
      ready: () => {
        // After this answer, what the page needs is told.
        setTimeout(() => {
          this.#soon(true);
          this.#isReady = true;
          if (this.#togglesWhenReady) this.toggleShading();
        }, 0);
        return { strings: vscode.l10n.bundle ?? {}, follow: this.#follow };
      },
      inspectText: ({ text }) => {
        this.#setFollow(false);
        this.#explored = { kind: "text", text: { source: typedText(text), place: null } };
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
        void vscode.commands.executeCommand("setContext", contextKeys.scrubbed, true);
        await this.#run();
        return null;
      },
      select: (selected) => {
        this.#runs.select(selected);
        if (selected.trace === this.#runs.trace?.trace) this.#link.mark(selected.token);
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
        const params = { dir, text: withUnixLineBreaks(text), maxTokens: setting("explorer.maxTokens") };
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
    this.#server.tell("follow", { follow });
  }

  #soon(again = false): void {
    if (again) this.#runs.forget();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#run(), again ? 0 : REST);
  }

  async #run(): Promise<void> {
    // A page that is hidden is gone; it asks again when it is made anew.
    if (!this.#panel.visible) return;
    if (this.#explored.kind === "saved" && !this.#follow) return this.#runs.open(this.#explored.file);
    await this.#runs.run(() => this.#findText(), setting("explorer.maxTokens"));
  }

  /** The text that is shown; where the editor is followed, its selection or line. */
  #findText(): InspectedSource | null {
    const editor = vscode.window.activeTextEditor;
    const found = this.#follow && editor && showsText(editor) ? textOf(editor) : null;
    if (found) this.#explored = { kind: "text", text: found };
    if (this.#explored.kind !== "text") return null;
    const { source } = this.#explored.text;
    return source.text === "" ? null : source;
  }

  #showed(): void {
    const { trace } = this.#runs;
    if (!trace) return;
    if (this.#view) this.#server.tell("open", { view: this.#view });
    this.#view = undefined;
    if (this.#explored.kind === "text") {
      const { source, place } = this.#explored.text;
      this.#link.show(trace, source.text, place);
      this.#setTitle(trace.model);
    } else this.#link.hide();
  }

  /** A panel of a file keeps the file's name. */
  #setTitle(model: { readonly name: string } | undefined): void {
    if (this.#explored.kind !== "text") return;
    this.#panel.title = model ? l10n.t("Explorer: {0}", model.name) : l10n.t("Explorer");
  }

  #choose(token: number): void {
    const { trace } = this.#runs;
    if (!trace) return;
    this.#link.mark(token);
    this.#server.tell("select", { trace: trace.trace, token });
    this.#runs.select({ trace: trace.trace, token });
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
    if (target) await this.#lab.engine.call("saveTrace", { trace, path: target.fsPath });
    return null;
  }
}
