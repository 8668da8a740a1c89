/**
 * Colors open texts by how well the active model expected each token.
 *
 * One part of one document is scored at a time, what is visible first; what is known stays while the text around it is
 * edited (surprisal/scores.ts). Nothing here goes through a whole document.
 */

import * as vscode from "vscode";
import { isCanceled, RemoteError } from "../../protocol/rpc";
import type { Commands, TokenLocation } from "../contributions";
import { errorText, errorTextForLog } from "../errorText";
import { showsText } from "../explore/editorText";
import { hasTokenHover } from "../explore/tokenHover";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "../models/modelFolders";
import { type ScoredToken, Scores } from "./scores";
import { costOf, peaksOf, STEPS, shadedOf, stepOf } from "./shading";
import { type Ask, nextSlice, score } from "./slices";
import { scoredTokenText, statusText, statusTooltip } from "./surprisalText";

/** How long typing rests before the text is scored again, and scrolling before what came into view is. */
const TYPING_REST = 200;
const SCROLL_REST = 80;
const DRAWING_REST = 30;
/** Lines above and below what is visible that are scored and colored too. */
const MARGIN = 50;
/** Documents up to this size are scored as a whole, in UTF-16 units. */
const WHOLE = 32_768;
/** Tokens that are kept of a document. */
const KEPT = 50_000;
const PEAKS = 500;
const ALTERNATIVES = 5;
/** Text before a token that the Explorer is opened with, in UTF-16 units: as many tokens as it shows at most. */
const EXPLORED = 8192;
/** The engine reads no more positions at once. */
const LONGEST = 1024;

interface Lensed {
  readonly scores: Scores;
  readonly eol: vscode.EndOfLine;
}

export class SurprisalLens implements vscode.HoverProvider, vscode.Disposable {
  readonly #lab: LabServices;
  readonly #item = vscode.window.createStatusBarItem("decoderLab.surprisal", vscode.StatusBarAlignment.Right, 99);
  readonly #subscriptions: vscode.Disposable;
  readonly #documents = new Map<string, Lensed>();
  /** There while the lens is on. */
  #colors: Colors | null = null;
  /** The state of the model that the scores are by. */
  #scoredBy = "";
  /** Tokens that a token can have been expected by. */
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
      vscode.window.onDidChangeTextEditorVisibleRanges(() => this.#look(SCROLL_REST)),
      vscode.window.onDidChangeVisibleTextEditors(() => this.#look(0)),
      vscode.window.onDidChangeActiveTextEditor(() => this.#look(0)),
      vscode.window.onDidChangeTextEditorSelection(() => this.#describeSoon()),
      lab.models.onDidChange(() => this.#modelChanged()),
    );
  }

  /** Turns the lens on or off for every text of the window. */
  async toggle(): Promise<void> {
    if (this.#colors) return this.#turnOff();
    if (!this.#lab.models.active) throw new Error(l10n.t("There is no model yet; train or import one first."));
    this.#colors = new Colors();
    this.#problem = null;
    this.#look(0);
  }

  /** What was asked of the engine before is asked again. */
  engineStarted(): void {
    if (!this.#colors) return;
    this.#problem = null;
    this.#look(0);
  }

  provideHover(document: vscode.TextDocument, position: vscode.Position): vscode.Hover | undefined {
    const lensed = this.#colors && this.#documents.get(document.uri.toString());
    if (!lensed) return undefined;
    const offset = document.offsetAt(position);
    const tokens = [...lensed.scores.tokens(offset, offset + 1)];
    const first = tokens[0];
    if (!first) return undefined;
    const end = Math.max(...tokens.map((token) => token.end));
    const place: TokenLocation = {
      uri: document.uri.toString(),
      offset: first.start,
      ...readableAround(lensed.scores, first.start, document.offsetAt(document.lineAt(position).range.end)),
    };
    const link = `command:${EXPLORE}?${encodeURIComponent(JSON.stringify([place]))}`;
    // The token itself is told by the hover above this one; of several, each must be named.
    const isNamed = tokens.length > 1 || !hasTokenHover(document);
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
    this.#colors?.dispose();
    this.#colors = null;
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
    const lensed = this.#documents.get(uri);
    if (!lensed || !this.#colors) return;
    if (lensed.eol !== document.eol) this.#documents.delete(uri);
    // They are told from the last in the text to the first, so each offset is still right when its turn comes.
    for (const { rangeOffset: offset, rangeLength: removed, text } of contentChanges) {
      lensed.scores.edit({ offset, removed, inserted: text.length }, this.#reach ?? LONGEST);
    }
    if (this.#running?.document === document) this.#running.abort.abort();
    this.#problem = null;
    this.#soon(TYPING_REST);
  }

  #modelChanged(): void {
    const active = this.#lab.models.active;
    if (!this.#colors || stateOf(active) === this.#scoredBy) return;
    this.#stop();
    this.#documents.clear();
    this.#problem = null;
    this.#look(TYPING_REST);
  }

  /** Something else is on the screen. */
  #look(delay: number): void {
    if (!this.#colors) return;
    this.#drawSoon();
    this.#soon(delay);
  }

  #soon(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#work();
    }, delay);
  }

  /** Scores what is to be scored, part by part. */
  async #work(): Promise<void> {
    while (!this.#running && !this.#timer) {
      const model = this.#lab.models.active;
      const next = this.#colors && model && this.#problem === null && this.#next();
      if (!next) break;
      const abort = new AbortController();
      this.#running = { abort, document: next.document };
      try {
        await this.#score(model, next, abort.signal);
        this.#drawSoon();
      } catch (error) {
        if (this.#comesBack(error)) break;
        if (!abort.signal.aborted && !isCanceled(error)) this.#failed(error);
      } finally {
        this.#running = undefined;
      }
    }
  }

  /** The part of a text that is scored next: what is visible, then what is around it, then the rest of small ones. */
  #next(): Part | null {
    for (const editor of textEditors()) {
      const { document } = editor;
      const length = lengthOf(document);
      const wanted = [
        ...editor.visibleRanges.map((range) => offsetsOf(document, range)),
        ...withMargin(editor).map((range) => offsetsOf(document, range)),
        ...(length <= WHOLE ? [[0, length] as const] : []),
      ];
      const range = nextSlice(this.#scoresOf(document), wanted);
      if (range) return { document, range, length };
    }
    return null;
  }

  async #score(model: Model, { document, range, length }: Part, signal: AbortSignal): Promise<void> {
    const { engine } = this.#lab;
    const by = stateOf(model);
    if (by !== this.#scoredBy || this.#reach === undefined) {
      const { config } = await engine.call("model", { dir: model.dir }, { signal });
      this.#reach = Math.min(config.nCtx, LONGEST);
      this.#scoredBy = by;
    }
    const ask: Ask = async (question) => {
      const params = { dir: model.dir, alternatives: ALTERNATIVES, ...question };
      const reading = await this.#lab.activity.during(engine.call("surprisal", params, { signal }));
      // An edit that came meanwhile has aborted it.
      signal.throwIfAborted();
      return reading;
    };
    signal.throwIfAborted();
    const scores = this.#scoresOf(document);
    await score(scores, { length, read: (from, to) => textOf(document, from, to) }, range, this.#reach, ask);
    if (scores.count > KEPT) scores.keepNear(range[0], KEPT);
  }

  #scoresOf(document: vscode.TextDocument): Scores {
    const uri = document.uri.toString();
    const lensed = this.#documents.get(uri) ?? { scores: new Scores(), eol: document.eol };
    this.#documents.set(uri, lensed);
    return lensed.scores;
  }

  /** The engine ended, perhaps for other work, and is being started again. */
  #comesBack(error: unknown): boolean {
    return error instanceof RemoteError && error.code === "gone" && this.#lab.engine.state.kind !== "stopped";
  }

  /** In the status item and the log: nothing pops up while someone reads or types. */
  #failed(error: unknown): void {
    this.#problem = errorText(error);
    this.#lab.log.warn(`surprisal: ${errorTextForLog(error)}`);
    this.#drawSoon();
  }

  /** What is edited keeps its colors until it is scored again: typing does not flicker. */
  #drawSoon(): void {
    this.#drawing ??= setTimeout(() => {
      this.#drawing = undefined;
      for (const editor of textEditors()) {
        const scores = this.#documents.get(editor.document.uri.toString())?.scores;
        this.#colors?.draw(editor, scores ?? new Scores());
      }
      this.#describe();
    }, DRAWING_REST);
  }

  #describeSoon(): void {
    this.#describing ??= setTimeout(() => {
      this.#describing = undefined;
      this.#describe();
    }, DRAWING_REST);
  }

  #describe(): void {
    const editor = vscode.window.activeTextEditor;
    if (!this.#colors || !editor || !showsText(editor)) {
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

interface Part {
  readonly document: vscode.TextDocument;
  /** UTF-16 offsets. */
  readonly range: readonly [number, number];
  /** Of the document. */
  readonly length: number;
}

/** The decorations, one type for each step: their colors are the theme's, and their lines tell them apart without. */
class Colors implements vscode.Disposable {
  readonly #steps = STEPS.map((_, i) => {
    const line = ["1px dotted", "1px dashed", "1px solid", "2px solid"][i] ?? "";
    return vscode.window.createTextEditorDecorationType({
      backgroundColor: new vscode.ThemeColor(`decoderLab.surprisal${i + 1}`),
      borderColor: new vscode.ThemeColor("decoderLab.surprisalLine"),
      borderStyle: line.split(" ")[1],
      borderWidth: `0 0 ${line.split(" ")[0]} 0`,
    });
  });
  readonly #peaks = vscode.window.createTextEditorDecorationType({
    overviewRulerColor: new vscode.ThemeColor("decoderLab.surprisalLine"),
    overviewRulerLane: vscode.OverviewRulerLane.Right,
  });

  draw(editor: vscode.TextEditor, scores: Scores): void {
    const { document } = editor;
    const ranges = STEPS.map((): vscode.Range[] => []);
    const range = (start: number, end: number) =>
      new vscode.Range(document.positionAt(start), document.positionAt(end));
    for (const near of withMargin(editor)) {
      for (const { start, end, bits } of shadedOf(scores.tokens(...offsetsOf(document, near)))) {
        ranges[stepOf(bits)]?.push(range(start, end));
      }
    }
    for (const [i, type] of this.#steps.entries()) editor.setDecorations(type, ranges[i] ?? []);
    const peaks = peaksOf(shadedOf(scores.tokens()), PEAKS);
    editor.setDecorations(
      this.#peaks,
      peaks.map(({ start, end }) => range(start, end)),
    );
  }

  dispose(): void {
    for (const type of [...this.#steps, this.#peaks]) type.dispose();
  }
}

/** From the last token before an offset that the vocabulary lacks, to the next such token or the end of its line. */
function readableAround(scores: Scores, offset: number, lineEnd: number): Pick<TokenLocation, "from" | "to"> {
  const around = { from: Math.max(0, offset - EXPLORED), to: Math.max(offset + 1, lineEnd) };
  for (const { span, start, end } of scores.tokens(around.from, around.to)) {
    if (span.id >= 0) continue;
    if (start >= offset) return { ...around, to: start };
    around.from = end;
  }
  return around;
}

/** Editors of texts, the active one first. */
function textEditors(): vscode.TextEditor[] {
  const { activeTextEditor: active, visibleTextEditors } = vscode.window;
  return [...(active ? [active] : []), ...visibleTextEditors.filter((editor) => editor !== active)].filter(showsText);
}

function withMargin({ document, visibleRanges }: vscode.TextEditor): vscode.Range[] {
  return visibleRanges.map(({ start, end }) => {
    const last = Math.min(document.lineCount - 1, end.line + MARGIN);
    return new vscode.Range(Math.max(0, start.line - MARGIN), 0, last, Number.MAX_SAFE_INTEGER);
  });
}

const offsetsOf = (document: vscode.TextDocument, { start, end }: vscode.Range): readonly [number, number] => [
  document.offsetAt(start),
  document.offsetAt(end),
];

const lengthOf = (document: vscode.TextDocument): number =>
  document.offsetAt(new vscode.Position(document.lineCount, 0));

/** A part of a document without half of a line break or of a character at its ends, and where it starts. */
function textOf(document: vscode.TextDocument, start: number, end: number): { offset: number; text: string } {
  const range = new vscode.Range(document.positionAt(Math.max(0, start)), document.positionAt(end));
  const text = document.getText(range).replace(/[\ud800-\udbff]$/, "");
  const offset = document.offsetAt(range.start);
  return /^[\udc00-\udfff]/.test(text) ? { offset: offset + 1, text: text.slice(1) } : { offset, text };
}

/** What the scores of a model depend on: a training changes it under the same name. */
const stateOf = (model: Model | undefined): string =>
  model ? JSON.stringify([model.dir, model.step, model.createdAt]) : "";
