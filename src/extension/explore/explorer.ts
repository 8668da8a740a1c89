import * as vscode from "vscode";
import type { TraceInfo } from "../../protocol/engineApi";
import { type Handlers, type Server, serve } from "../../protocol/rpc";
import type { ExplorerEvents, ExplorerHost, InspectedSource } from "../../protocol/webviewApi";
import { contextKeys } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { isUsable, type Model } from "../models/modelFolders";
import { pickModel } from "../models/pickModel";
import { setting } from "../settings";
import { explorerChecks } from "../webviews/messageChecks";
import { openPage, webviewPort } from "../webviews/webviewPage";
import { type ShownText, showsText, textOf, typedText, withUnixLineBreaks } from "./editorText";
import { promptSetHandlers } from "./promptSetHandlers";
import type { TraceEvents } from "./shownTrace";
import { SourceLink } from "./sourceLink";
import { requireKnown } from "./traceHandlers";
import { TraceHost } from "./traceHost";

/** The content of an Explorer: a text for its model, or a trace file. */
export type ExplorerContent =
  | { readonly kind: "text"; readonly text: ShownText }
  | { readonly kind: "saved"; readonly file: vscode.Uri };

/** The beginning of an Explorer: the folder of a model, and the id of one of the page’s views. */
export interface Opening {
  readonly dir?: string | undefined;
  readonly view?: string | undefined;
}

/** The host of one Model Explorer. It lives as long as its panel. */
export class Explorer extends TraceHost {
  readonly #panel: vscode.WebviewPanel;
  readonly #server: Server<ExplorerEvents>;
  readonly #link: SourceLink;
  #content: ExplorerContent;
  /** The folder of the model that reads the texts. */
  #dir: string | undefined;
  /** The id of a view that opens with the next trace. */
  #view: string | undefined;
  /** False until the page, or a new page after it was hidden, listens to events. */
  #isReady = false;
  #togglesWhenReady = false;
  /** Traces that the page requested besides the one that is shown. */
  readonly #additional = new Set<number>();

  /** Fills a panel. By default, its model is the one that is active now. */
  constructor(lab: LabServices, panel: vscode.WebviewPanel, content: ExplorerContent, { dir, view }: Opening = {}) {
    super(lab, "decoderLab.explorer", false);
    this.#dir = dir ?? lab.models.active?.dir;
    this.#view = view;
    this.#panel = panel;
    this.#content = content;
    this.#server = serve(webviewPort(panel.webview), this.#handlers(), explorerChecks);
    this.#link = new SourceLink((token) => this.#select(token));
    panel.onDidChangeViewState(() => {
      // VS Code destroys the page of a hidden panel.
      if (!panel.visible) this.#isReady = false;
    });
    panel.onDidDispose(() => this.dispose());
    panel.iconPath = vscode.Uri.joinPath(lab.extensionUri, "media", "icon.svg");
    openPage(panel.webview, lab.extensionUri, "explorer", l10n.t("Model Explorer"));
    // The engine starts while the page loads; an error is shown with the trace.
    if (this.#dir) lab.engine.call("model", { dir: this.#dir }).catch(() => undefined);
  }

  /** The model that reads the texts: the Explorer's own choice, or the active model if that one is gone. */
  get model(): Model | undefined {
    const { models, active } = this.lab.models;
    return models.find((model) => model.dir === this.#dir && isUsable(model)) ?? active;
  }

  /** The text that is shown; null for a trace file. */
  get text(): ShownText | null {
    return this.#content.kind === "text" ? this.#content.text : null;
  }

  show(content: ExplorerContent, { dir = this.#dir, view }: Opening = {}): void {
    this.#content = content;
    this.#dir = dir;
    this.#view = view;
    this.setFollow(false);
    this.#panel.reveal();
    this.refreshSoon(true);
  }

  /** Brings the panel to the front, and opens a view if one is given. */
  open(view: string | undefined): void {
    this.#panel.reveal();
    // A new page opens the view once it shows a trace.
    if (this.#isReady && view) this.#server.send("open", { view });
    else this.#view = view;
  }

  /** Turns on or off the shading of the editor's text by the attention of the selected token. */
  toggleShading(): void {
    this.#panel.reveal(undefined, true);
    this.#togglesWhenReady = !this.#isReady;
    if (this.#isReady) this.#server.send("toggleShading", {});
  }

  override engineStarted(): void {
    this.#additional.clear();
    super.engineStarted();
  }

  override dispose(): void {
    super.dispose();
    this.#link.dispose();
    this.#server.close();
    for (const trace of this.#additional) this.#release(trace);
  }

  protected send<Name extends keyof TraceEvents>(name: Name, value: TraceEvents[Name]): void {
    // ExplorerEvents contains all of TraceEvents, but TypeScript cannot relate the two for a generic name.
    this.#server.send(name, value as never);
    if (name === "trace") this.#traceShown();
    if (name === "problem" || name === "empty") this.#setTitle(this.model);
    // Selected in another view.
    if (name === "select" && "token" in value && value.token !== undefined) this.#link.mark(value.token);
  }

  protected showTyped(text: string): void {
    this.#content = { kind: "text", text: { source: typedText(text), location: null } };
  }

  protected async refresh(): Promise<void> {
    // The page of a hidden panel is gone; a new one sends "ready".
    if (!this.#panel.visible) return;
    if (this.#content.kind === "saved" && !this.follow) return this.shown.open(this.#content.file);
    await this.shown.run(this.model, () => this.#findText(), setting("explorer.maxTokens"));
  }

  #handlers(): Handlers<ExplorerHost> {
    const { engine } = this.lab;
    const shared = this.handlers();
    const additional = (trace: TraceInfo) => {
      this.#additional.add(trace.trace);
      return trace;
    };
    return {
      ...shared,
      ready: (params, context) => {
        setTimeout(() => {
          this.#isReady = true;
          if (this.#togglesWhenReady) this.toggleShading();
        }, 0);
        return shared.ready(params, context);
      },
      scrub: (params, context) => {
        void vscode.commands.executeCommand("setContext", contextKeys.scrubbed, true);
        return shared.scrub(params, context);
      },
      select: (selected, context) => {
        if (selected.trace === this.shown.trace?.trace) this.#link.mark(selected.token);
        return shared.select(selected, context);
      },
      shade: ({ trace, weights }) => {
        if (trace === this.shown.trace?.trace) this.#link.shade(weights);
        return null;
      },
      models: () => {
        const own = this.model?.dir;
        const usable = this.lab.models.models.filter(isUsable);
        return usable
          .map(({ dir, name }) => ({ dir, name }))
          .sort((a, b) => Number(b.dir === own) - Number(a.dir === own));
      },
      intervene: async (params, context) => additional(await shared.intervene(params, context)),
      inspectAlso: async ({ dir, text }, { signal }) => {
        requireKnown(this.lab, dir);
        const params = { dir, text: withUnixLineBreaks(text), maxTokens: setting("explorer.maxTokens") };
        return additional(await engine.call("inspect", params, { signal }));
      },
      releaseTrace: (params, context) => {
        this.#additional.delete(params.trace);
        return shared.releaseTrace(params, context);
      },
      saveTrace: ({ trace }) => this.#saveTrace(trace),
      ...promptSetHandlers(this.lab.workspaceState),
      act: (params, context) => {
        if (params.action !== "chooseModel") return shared.act(params, context);
        void this.#chooseModel();
        return null;
      },
    };
  }

  /** Asks for the model of this Explorer. Which model is active, and completes text, does not change. */
  async #chooseModel(): Promise<void> {
    const model = await pickModel(this.lab, l10n.t("Model of This Explorer"), isUsable, this.model);
    if (!model) return;
    this.#dir = model.dir;
    this.refreshSoon(true);
  }

  /** The current text; while following the editor, its selection or line. */
  #findText(): InspectedSource | null {
    const editor = vscode.window.activeTextEditor;
    const found = this.follow && editor && showsText(editor) ? textOf(editor) : null;
    if (found) this.#content = { kind: "text", text: found };
    if (this.#content.kind !== "text") return null;
    const { source } = this.#content.text;
    return source.text === "" ? null : source;
  }

  #traceShown(): void {
    const { trace } = this.shown;
    if (!trace) return;
    if (this.#view) this.#server.send("open", { view: this.#view });
    this.#view = undefined;
    if (this.#content.kind === "text") {
      const { source, location } = this.#content.text;
      this.#link.show(trace, source.text, location);
      this.#setTitle(trace.model);
    } else this.#link.hide();
  }

  #setTitle(model: { readonly name: string } | undefined): void {
    // The tab of a trace file is titled with the file's name.
    if (this.#content.kind !== "text") return;
    this.#panel.title = model ? l10n.t("Model Explorer: {0}", model.name) : l10n.t("Model Explorer");
  }

  /** Selects a token that the user moved the editor's cursor to. */
  #select(token: number): void {
    const { trace } = this.shown;
    if (!trace) return;
    this.#link.mark(token);
    this.#server.send("select", { trace: trace.trace, token });
    this.shown.select({ trace: trace.trace, token });
  }

  #release(trace: number): void {
    // An engine that exited no longer has the trace.
    this.lab.engine.call("releaseTrace", { trace }).catch(() => undefined);
  }

  async #saveTrace(trace: number): Promise<null> {
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
    const target = await vscode.window.showSaveDialog({
      title: l10n.t("Save Trace"),
      filters: { [l10n.t("Trace")]: ["dltrace"] },
      ...(folder ? { defaultUri: vscode.Uri.joinPath(folder, "trace.dltrace") } : {}),
    });
    if (target) await this.lab.engine.call("saveTrace", { trace, path: target.fsPath });
    return null;
  }
}
