import * as vscode from "vscode";
import { isCanceled, RemoteError } from "../../protocol/rpc";
import type { Commands, TokenLocation } from "../contributions";
import { errorText, errorTextForLog } from "../errorText";
import { showsText } from "../explore/editorText";
import { hasTokenHover } from "../explore/tokenHover";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "../models/modelFolders";
import { SurprisalDecorations } from "./decorations";
import { lengthOf, offsetsOf, readText, textEditors, withMargin } from "./editorRanges";
import { type ScoredToken, Scores } from "./scores";
import { costOf } from "./shading";
import { nextSlice, type RequestScores, score } from "./slices";
import { scoredTokenText, statusText, statusTooltip } from "./surprisalText";

/** Delays in milliseconds before scoring after typing and after scrolling, and before drawing. */
const TYPING_DELAY = 200;
const SCROLL_DELAY = 80;
const DRAWING_DELAY = 30;
/** Documents up to this length are scored completely, in UTF-16 units. */
const MAX_COMPLETE = 32_768;
/** Scored tokens to keep per document. */
const MAX_SCORES = 50_000;
const ALTERNATIVES = 5;
/** Length of the text before a token in the Model Explorer, in UTF-16 units: the most tokens that it shows. */
const MAX_EXPLORED = 8192;
/** Maximum number of positions that the engine reads at once. */
const MAX_CONTEXT = 1024;

interface ScoredDocument {
  readonly scores: Scores;
  readonly eol: vscode.EndOfLine;
}

/**
 * Colors open texts by the surprisal of each token for the active model.
 *
 * Scores one slice of one document at a time, visible text first. Scores stay valid while the text around them is edited
 * (scores.ts). No step reads a whole large document.
 */
export class SurprisalLens implements vscode.HoverProvider, vscode.Disposable {
  readonly #lab: LabServices;
  readonly #item = vscode.window.createStatusBarItem("decoderLab.surprisal", vscode.StatusBarAlignment.Right, 99);
  readonly #subscriptions: vscode.Disposable;
  readonly #documents = new Map<string, ScoredDocument>();
  /** Null while the lens is off. */
  #decorations: SurprisalDecorations | null = null;
  /** The version of the model that computed the scores. */
  #scoredBy = "";
  /** Number of tokens before a token that its surprisal may depend on. */
  #reach: number | undefined;
  #running: { readonly abort: AbortController; readonly document: vscode.TextDocument } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #drawing: NodeJS.Timeout | undefined;
  #describing: NodeJS.Timeout | undefined;
  #problem: string | null = null;

  constructor(lab: LabServices) {
    this.#lab = lab;
    this.#item.name = l10n.t("Surprisal");
    this.#item.command = "decoderLab.toggleSurprisal";
    this.#subscriptions = vscode.Disposable.from(
      this.#item,
      vscode.workspace.onDidChangeTextDocument((change) => this.#edited(change)),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => this.#documents.delete(uri.toString())),
      vscode.window.onDidChangeTextEditorVisibleRanges(() => this.#update(SCROLL_DELAY)),
      vscode.window.onDidChangeVisibleTextEditors(() => this.#update(0)),
      vscode.window.onDidChangeActiveTextEditor(() => this.#update(0)),
      vscode.window.onDidChangeTextEditorSelection(() => this.#describeSoon()),
      lab.models.onDidChange(() => this.#modelChanged()),
    );
  }

  /** Turns the lens on or off for every text of the window. */
  async toggle(): Promise<void> {
    if (this.#decorations) return this.#turnOff();
    if (!this.#lab.models.active) throw new Error(l10n.t("No models yet. Train or import one first."));
    this.#decorations = new SurprisalDecorations();
    this.#problem = null;
    this.#update(0);
  }

  /** Repeats the request that the previous engine failed to answer. */
  engineStarted(): void {
    if (!this.#decorations) return;
    this.#problem = null;
    this.#update(0);
  }

  provideHover(document: vscode.TextDocument, position: vscode.Position): vscode.Hover | undefined {
    const scored = this.#decorations && this.#documents.get(document.uri.toString());
    if (!scored) return undefined;
    const offset = document.offsetAt(position);
    const tokens = [...scored.scores.tokens(offset, offset + 1)];
    const first = tokens[0];
    if (!first) return undefined;
    const end = Math.max(...tokens.map((token) => token.end));
    const location: TokenLocation = {
      uri: document.uri.toString(),
      offset: first.start,
      ...readableAround(scored.scores, first.start, document.offsetAt(document.lineAt(position).range.end)),
    };
    const link = `command:${EXPLORE}?${encodeURIComponent(JSON.stringify([location]))}`;
    const model = this.#lab.models.active;
    // The token hover already names a single token.
    const isNamed = tokens.length > 1 || !model || !hasTokenHover(document, model);
    const text = [
      ...tokens.map((token) => scoredTokenText(token, isNamed)),
      `[${l10n.t("Open in Model Explorer")}](${link})`,
    ].join("\n\n");
    const markdown = new vscode.MarkdownString(text);
    markdown.isTrusted = { enabledCommands: [EXPLORE] };
    return new vscode.Hover(markdown, new vscode.Range(document.positionAt(first.start), document.positionAt(end)));
  }

  dispose(): void {
    this.#turnOff();
    this.#subscriptions.dispose();
  }

  #turnOff(): void {
    this.#stop();
    clearTimeout(this.#drawing);
    clearTimeout(this.#describing);
    this.#drawing = undefined;
    this.#describing = undefined;
    this.#decorations?.dispose();
    this.#decorations = null;
    this.#documents.clear();
    this.#item.hide();
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running?.abort.abort();
  }

  #edited({ document, contentChanges }: vscode.TextDocumentChangeEvent): void {
    const uri = document.uri.toString();
    const scored = this.#documents.get(uri);
    if (!scored || !this.#decorations) return;
    if (scored.eol !== document.eol) this.#documents.delete(uri);
    // VS Code lists the changes from last to first in the text, so that each offset is still valid.
    for (const { rangeOffset: offset, rangeLength: removed, text } of contentChanges) {
      scored.scores.edit({ offset, removed, inserted: text.length }, this.#reach ?? MAX_CONTEXT);
    }
    if (this.#running?.document === document) this.#running.abort.abort();
    this.#problem = null;
    this.#workSoon(TYPING_DELAY);
  }

  #modelChanged(): void {
    const active = this.#lab.models.active;
    if (!this.#decorations || versionOf(active) === this.#scoredBy) return;
    this.#stop();
    this.#documents.clear();
    this.#problem = null;
    this.#update(TYPING_DELAY);
  }

  /** Draws and scores what has become visible. */
  #update(delay: number): void {
    if (!this.#decorations) return;
    this.#drawSoon();
    this.#workSoon(delay);
  }

  #workSoon(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#work();
    }, delay);
  }

  /** Scores one slice after the other until nothing is left. */
  async #work(): Promise<void> {
    while (!this.#running && !this.#timer) {
      const model = this.#lab.models.active;
      const next = this.#decorations && model && this.#problem === null && this.#next();
      if (!next) break;
      const abort = new AbortController();
      this.#running = { abort, document: next.document };
      try {
        await this.#score(model, next, abort.signal);
        this.#drawSoon();
      } catch (error) {
        if (this.#isRestarting(error)) break;
        if (!abort.signal.aborted && !isCanceled(error)) this.#failed(error);
      } finally {
        this.#running = undefined;
      }
    }
  }

  /** The next slice to score: in visible text, then around it, then in the rest of small documents. */
  #next(): Slice | null {
    for (const editor of textEditors()) {
      const { document } = editor;
      const length = lengthOf(document);
      const wanted = [
        ...editor.visibleRanges.map((range) => offsetsOf(document, range)),
        ...withMargin(editor).map((range) => offsetsOf(document, range)),
        ...(length <= MAX_COMPLETE ? [[0, length] as const] : []),
      ];
      const range = nextSlice(this.#scoresOf(document), wanted);
      if (range) return { document, range, length };
    }
    return null;
  }

  async #score(model: Model, { document, range, length }: Slice, signal: AbortSignal): Promise<void> {
    const { engine } = this.#lab;
    const version = versionOf(model);
    if (version !== this.#scoredBy || this.#reach === undefined) {
      const { config } = await engine.call("model", { dir: model.dir }, { signal });
      this.#reach = Math.min(config.nCtx, MAX_CONTEXT);
      this.#scoredBy = version;
    }
    const request: RequestScores = async (slice) => {
      const params = { dir: model.dir, alternatives: ALTERNATIVES, ...slice };
      const reading = await this.#lab.activity.during(engine.call("surprisal", params, { signal }));
      // An edit aborts the request.
      signal.throwIfAborted();
      return reading;
    };
    signal.throwIfAborted();
    const scores = this.#scoresOf(document);
    await score(scores, { length, read: (from, to) => readText(document, from, to) }, range, this.#reach, request);
    if (scores.count > MAX_SCORES) scores.keepNear(range[0], MAX_SCORES);
  }

  #scoresOf(document: vscode.TextDocument): Scores {
    const uri = document.uri.toString();
    const scored = this.#documents.get(uri) ?? { scores: new Scores(), eol: document.eol };
    this.#documents.set(uri, scored);
    return scored.scores;
  }

  /** True if the engine exited, perhaps because of other work, and will be back. */
  #isRestarting(error: unknown): boolean {
    return error instanceof RemoteError && error.code === "gone" && this.#lab.engine.state.kind !== "stopped";
  }

  /** Shows an error in the status bar and the log. A notification would disturb reading and typing. */
  #failed(error: unknown): void {
    this.#problem = errorText(error);
    this.#lab.log.warn(`surprisal: ${errorTextForLog(error)}`);
    this.#drawSoon();
  }

  /** Edited text keeps its colors until it is scored again, so that typing does not flicker. */
  #drawSoon(): void {
    this.#drawing ??= setTimeout(() => {
      this.#drawing = undefined;
      for (const editor of textEditors()) {
        const scores = this.#documents.get(editor.document.uri.toString())?.scores;
        this.#decorations?.draw(editor, scores ?? new Scores());
      }
      this.#describe();
    }, DRAWING_DELAY);
  }

  #describeSoon(): void {
    this.#describing ??= setTimeout(() => {
      this.#describing = undefined;
      this.#describe();
    }, DRAWING_DELAY);
  }

  #describe(): void {
    const editor = vscode.window.activeTextEditor;
    if (!this.#decorations || !editor || !showsText(editor)) {
      this.#item.hide();
      return;
    }
    const { document } = editor;
    const scores = this.#documents.get(document.uri.toString())?.scores ?? new Scores();
    const selected = editor.selections.filter(({ isEmpty }) => !isEmpty).map((range) => offsetsOf(document, range));
    const tokens: Iterable<ScoredToken> =
      selected.length > 0 ? selected.flatMap(([start, end]) => [...scores.tokens(start, end)]) : scores.tokens();
    const length = lengthOf(document);
    const state = {
      model: this.#lab.models.active?.name ?? null,
      cost: costOf(tokens),
      selection: selected.length > 0,
      scored: length > 0 ? Math.min(1, scores.covered / length) : 1,
      problem: this.#problem,
    };
    this.#item.text = statusText(state);
    const tooltip = new vscode.MarkdownString(statusTooltip(state), true);
    tooltip.supportHtml = true;
    this.#item.tooltip = tooltip;
    this.#item.accessibilityInformation = {
      label: `${l10n.t("Surprisal")}: ${this.#item.text.replace(/^\$\([^)]*\) /, "")}`,
    };
    this.#item.show();
  }
}

const EXPLORE = "decoderLab.exploreToken" satisfies keyof Commands;

interface Slice {
  readonly document: vscode.TextDocument;
  /** UTF-16 offsets. */
  readonly range: readonly [number, number];
  /** Length of the document. */
  readonly length: number;
}

/** The text from the last unknown token before an offset to the next unknown token or the end of its line. */
function readableAround(scores: Scores, offset: number, lineEnd: number): Pick<TokenLocation, "from" | "to"> {
  const range = { from: Math.max(0, offset - MAX_EXPLORED), to: Math.max(offset + 1, lineEnd) };
  for (const { span, start, end } of scores.tokens(range.from, range.to)) {
    if (span.id >= 0) continue;
    if (start >= offset) return { ...range, to: start };
    range.from = end;
  }
  return range;
}

/** Identifies a version of a model. Training changes the weights in the same folder. */
const versionOf = (model: Model | undefined): string =>
  model ? JSON.stringify([model.dir, model.step, model.createdAt]) : "";
