import { setTimeout as wait } from "node:timers/promises";
import * as vscode from "vscode";
import type { GenerateParams, GenerateResult } from "../../protocol/engineApi";
import { isCanceled, RemoteError } from "../../protocol/rpc";
import { errorText, errorTextForLog } from "../errorText";
import type { LabServices } from "../labServices";
import { setSetting, setting } from "../settings";
import { type CachedCompletion, type Place, remainingText } from "./cachedCompletion";
import { skipReason } from "./eligibility";
import { afterUnknown, promptStart, promptText } from "./promptWindow";
import type { ShownCompletion } from "./shownCompletion";
import { trimCompletion } from "./trimCompletion";

/** How long it may take to be told why a request was canceled: that the text or the cursor is another. */
const TOLD_WITHIN = 25;
/** An answer that took so long may come too late for VS Code, which gives up after 750 ms. */
const LATE = 400;
/** When a late answer is shown, or thrown away. */
const SHOWN_WITHIN = 500;

/** Ghost text from the active model. What is decided, and how, is in `ghost/`; this asks the editor and the engine. */
export class InlineCompletion implements vscode.InlineCompletionItemProvider {
  readonly #lab: LabServices;
  readonly #told = new Set<string>();
  /** What each model was found to have no token for, such as a letter that its text did not have. */
  readonly #unknown = new Map<string, Set<string>>();
  #suggestion: (CachedCompletion & ShownCompletion) | undefined;
  #shown: ShownCompletion | undefined;
  /** What the model is being asked. */
  #question: Question | undefined;
  /** The next request is not the user's: older versions of VS Code do not say so. */
  #asksAgain = false;

  constructor(lab: LabServices) {
    this.#lab = lab;
  }

  /** The completion that is shown, or was the last to be. */
  get shown(): ShownCompletion | undefined {
    return this.#shown;
  }

  async provideInlineCompletionItems(
    document: vscode.TextDocument,
    position: vscode.Position,
    context: vscode.InlineCompletionContext,
    token: vscode.CancellationToken,
  ): Promise<vscode.InlineCompletionItem[]> {
    const model = this.#lab.models.active;
    const again = this.#asksAgain;
    this.#asksAgain = false;
    const asked = context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke && !again;
    const after = document.lineAt(position.line).text.slice(position.character);
    if (!model || skipReason(situation(document, after))) return [];

    // What the suggest widget has selected counts as typed; the ghost text must go on from it.
    const selected = context.selectedCompletionInfo;
    const place = placeOf(document, position, after, selected);
    const params = request(document, model.dir, place, asked);
    const source = JSON.stringify([model.dir, model.step, { ...params, prompt: "" }]);
    const began = performance.now();
    const { version } = document;
    const isThere = () => document.version === version && isCursor(document, position);
    const item = (text: string) => {
      this.#shown = this.#suggestion;
      // Where VS Code's own suggestions are open, what was answered before may have come too late.
      if (!again && !asked) void this.#askAgainIfLate(selected ? Number.NEGATIVE_INFINITY : began, isThere);
      return [
        new vscode.InlineCompletionItem(
          (selected?.text ?? "") + text,
          selected?.range ?? new vscode.Range(position, position),
        ),
      ];
    };

    const rest = this.#suggestion && remainingText(this.#suggestion, place, source);
    if (rest) return item(rest);
    // An empty document is no reason to write; being asked is.
    if (!asked && place.before.trim() === "") return [];

    const delay = asked ? 0 : setting("completion.delay", document);
    const question = this.#ask(JSON.stringify([place, source]), params, delay);
    const subscription = token.onCancellationRequested(() => void this.#givenUp(question, () => !again && isThere()));
    const written = await question.answer.finally(() => subscription.dispose());
    if (!token.isCancellationRequested) this.#forget(question);
    if (written === null) return [];
    const shown = trimCompletion(written.result.text, {
      after,
      nextLine: nextLine(document, position.line),
      multiLine: asked,
    });
    // Kept even when the user typed on: what was typed may be its beginning.
    this.#suggestion = { place, source, text: shown, ...written };
    return shown === "" || token.isCancellationRequested ? [] : item(shown);
  }

  /** Asks the model after a delay; joins the question that is under way where it is the same, else that one is over. */
  #ask(text: string, params: GenerateParams, delay: number): Question {
    if (this.#question?.text === text && !this.#question.abort.signal.aborted) return this.#question;
    this.#question?.abort.abort();
    const abort = new AbortController();
    const answer = wait(delay).then(() => (abort.signal.aborted ? null : this.#generate(params, abort.signal)));
    this.#question = { text, abort, answer };
    return this.#question;
  }

  #forget(question: Question): void {
    if (this.#question === question) this.#question = undefined;
  }

  /**
   * VS Code gives a request up when something is typed, but also when it has taken 750 ms: then it shows its own word
   * suggestions, if there are any, and does not take the answer. Where nothing was typed it is made to ask again, once;
   * then it waits. See docs/decisions/2026-11-22-ghost-text-missed.md.
   */
  async #givenUp(question: Question, isWanted: () => boolean): Promise<void> {
    await wait(TOLD_WITHIN);
    if (isWanted()) await this.#askAgain();
    else question.abort.abort();
    this.#forget(question);
  }

  /** Of an answer that comes too late nothing is told. */
  async #askAgainIfLate(began: number, isThere: () => boolean): Promise<void> {
    // The window has taken the answer when it has done this.
    await vscode.commands.executeCommand("noop");
    if (performance.now() - began < LATE) return;
    await wait(SHOWN_WITHIN);
    if (isThere()) await this.#askAgain();
  }

  /** Does nothing where ghost text is shown. */
  async #askAgain(): Promise<void> {
    this.#asksAgain = true;
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger", { explicit: false });
    this.#asksAgain = false;
  }

  /** What the model wrote, or null when it was canceled or failed. */
  async #generate(params: GenerateParams, signal: AbortSignal): Promise<Written | null> {
    const { activity } = this.#lab;
    try {
      const written = await activity.during(this.#generateKnown(params, signal));
      const { result } = written;
      activity.problem = null;
      this.#lab.log.trace(
        `completion: ${result.ids.length} tokens in ${result.milliseconds.toFixed(0)} ms (${result.reason}); prompt of ${result.promptTokens}, ${result.reusedTokens} reused`,
      );
      return result.reason === "canceled" ? null : written;
    } catch (error) {
      if (!isCanceled(error) && !signal.aborted) this.#report(error);
      return null;
    }
  }

  /** Continues what stands after the last character that the model cannot read; finds out which those are once. */
  async #generateKnown(params: GenerateParams, signal: AbortSignal): Promise<Written> {
    const { engine } = this.#lab;
    const unknown = this.#unknown.get(params.dir) ?? new Set();
    const generate = async (): Promise<Written> => {
      const known = { ...params, prompt: afterUnknown(params.prompt, unknown) };
      // Right after such a character there is nothing to continue.
      if (known.prompt === "" && params.prompt !== "") return { params: known, result: NOTHING };
      return { params: known, result: await engine.call("generate", known, { signal }) };
    };
    try {
      return await generate();
    } catch (error) {
      if (!(error instanceof RemoteError && error.code === "tokenizer") || signal.aborted) throw error;
      const spans = await engine.call("tokenize", { dir: params.dir, text: params.prompt }, { signal });
      for (const { id, start, end } of spans) if (id < 0) unknown.add(params.prompt.slice(start, end));
      if (afterUnknown(params.prompt, unknown) === params.prompt) throw error;
      this.#unknown.set(params.dir, unknown);
      return generate();
    }
  }

  /** In the status item and, once for each message, in the log: nothing pops up while someone types. */
  #report(error: unknown): void {
    const message = errorText(error);
    this.#lab.activity.problem = message;
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#lab.log.warn(`completion: ${errorTextForLog(error)}`);
  }
}

export const toggleCompletions = (): Promise<void> => setSetting("completion.enabled", !setting("completion.enabled"));

/** A completion that is being made. */
interface Question {
  /** The place and everything else that the answer depends on. */
  readonly text: string;
  readonly abort: AbortController;
  /** Null when it was canceled or failed. */
  readonly answer: Promise<Written | null>;
}

/** What the model was asked, and what it answered. */
interface Written {
  readonly params: GenerateParams;
  readonly result: GenerateResult;
}

const NOTHING: GenerateResult = {
  ids: [],
  text: "",
  reason: "stop",
  promptTokens: 0,
  reusedTokens: 0,
  droppedTokens: 0,
  milliseconds: 0,
};

function situation(document: vscode.TextDocument, after: string): Parameters<typeof skipReason>[0] {
  const { uri, languageId } = document;
  const editor = vscode.window.activeTextEditor;
  const here = editor?.document === document ? editor : undefined;
  const exclude = setting("completion.exclude", document);
  return {
    enabled: setting("completion.enabled", document),
    languages: setting("completion.languages", document),
    languageId,
    path: uri.path,
    excluded: exclude.some((pattern) => vscode.languages.match({ pattern: anywhere(pattern) }, document) > 0),
    writable: isWritable(uri.scheme),
    cursors: here?.selections.length ?? 1,
    selectionEmpty: here?.selection.isEmpty ?? true,
    after,
  };
}

/** `*.md` is meant for every folder, and a pattern is compared with the whole path. */
const anywhere = (pattern: string) => (/^(\/|\*\*\/)/.test(pattern) ? pattern : `**/${pattern}`);

/** Outputs, input boxes and the old sides of diffs have schemes of their own, which no writable file system serves. */
const isWritable = (scheme: string) =>
  scheme === "untitled" ||
  scheme === "vscode-notebook-cell" ||
  vscode.workspace.fs.isWritableFileSystem(scheme) === true;

function placeOf(
  document: vscode.TextDocument,
  position: vscode.Position,
  after: string,
  selected: vscode.SelectedCompletionInfo | undefined,
): Place {
  const cursor = selected?.range.start ?? position;
  const offset = document.offsetAt(cursor);
  const known = document.getText(new vscode.Range(document.positionAt(promptStart(offset)), cursor));
  const typed = selected?.text ?? "";
  return { uri: document.uri.toString(), offset: offset + typed.length, before: known + typed, after };
}

function request(document: vscode.TextDocument, dir: string, place: Place, multiLine: boolean): GenerateParams {
  return {
    dir,
    prompt: promptText(place.before),
    maxNewTokens: setting("completion.maxNewTokens", document),
    contextTokens: setting("completion.contextTokens", document),
    temperature: setting("completion.temperature", document),
    topK: setting("completion.topK", document),
    topP: setting("completion.topP", document),
    seed: setting("completion.seed", document),
    ...(multiLine ? {} : { stop: ["\n"] }),
  };
}

/** Whether the cursor of the active editor is there. */
function isCursor(document: vscode.TextDocument, position: vscode.Position): boolean {
  const editor = vscode.window.activeTextEditor;
  return editor?.document === document && editor.selection.active.isEqual(position);
}

function nextLine(document: vscode.TextDocument, line: number): string {
  const last = Math.min(document.lineCount - 1, line + 5);
  for (let n = line + 1; n <= last; n++) {
    const next = document.lineAt(n);
    if (!next.isEmptyOrWhitespace) return next.text;
  }
  return "";
}
