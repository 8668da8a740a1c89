import { setTimeout as wait } from "node:timers/promises";
import * as vscode from "vscode";
import type { GenerateParams, GenerateResult } from "../../protocol/engineApi";
import { isCanceled, RemoteError } from "../../protocol/rpc";
import type { Commands } from "../contributions";
import { errorText, errorTextForLog } from "../errorText";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "../models/modelFolders";
import { setSetting, setting } from "../settings";
import { type CachedCompletion, type CursorContext, remainingText } from "./cachedCompletion";
import { isEnabledFor, type Situation, skipReason } from "./eligibility";
import { afterUnknown, promptStart, promptText } from "./promptWindow";
import type { ShownCompletion } from "./shownCompletion";
import { trimCompletion } from "./trimCompletion";

/** VS Code may report a cancellation before the change of text or cursor that caused it, by up to this many ms. */
const CHANGE_DELAY = 25;
/** An answer after this many ms may be too late for VS Code, which gives up after 750 ms. */
const LATE = 400;
/** VS Code has shown or dropped a late answer after this many ms. */
const SETTLE_TIME = 500;

/** Ghost text from the active model. The rules are in the other files of this folder. */
export class InlineCompletion implements vscode.InlineCompletionItemProvider {
  readonly #lab: LabServices;
  readonly #loggedMessages = new Set<string>();
  /** Texts that each model has no token for, by the model's folder. */
  readonly #unknown = new Map<string, Set<string>>();
  #cached: (CachedCompletion & ShownCompletion) | undefined;
  #shown: ShownCompletion | undefined;
  #pending: PendingCompletion | undefined;
  /** True while this class triggers a request. Older versions of VS Code report those as requests of the user. */
  #isRetrying = false;

  constructor(lab: LabServices) {
    this.#lab = lab;
  }

  /** The completion that was shown last. */
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
    const isRetry = this.#isRetrying;
    this.#isRetrying = false;
    const isExplicit = context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke && !isRetry;
    const after = document.lineAt(position.line).text.slice(position.character);
    if (!model || skipReason(this.#situation(document, after, model))) return [];

    // The item selected in the suggest widget counts as typed: ghost text must continue it.
    const selected = context.selectedCompletionInfo;
    const cursor = cursorContext(document, position, after, selected);
    const params = generateParams(document, model.dir, cursor, isExplicit);
    const source = JSON.stringify([model.dir, model.step, { ...params, prompt: "" }]);
    const startTime = performance.now();
    const { version } = document;
    const isUnchanged = () => document.version === version && isCursorAt(document, position);
    const show = (text: string) => {
      this.#shown = this.#cached;
      // With VS Code's own suggestions open, even a fast answer may be too late.
      if (!isRetry && !isExplicit) {
        void this.#retryIfLate(selected ? Number.NEGATIVE_INFINITY : startTime, isUnchanged);
      }
      const range = selected?.range ?? new vscode.Range(position, position);
      return [new vscode.InlineCompletionItem((selected?.text ?? "") + text, range)];
    };

    const rest = this.#cached && remainingText(this.#cached, cursor, source);
    if (rest) return show(rest);
    // An empty document gets a completion only on request.
    if (!isExplicit && cursor.before.trim() === "") return [];

    const delay = isExplicit ? 0 : setting("completion.delay", document);
    const pending = this.#request(JSON.stringify([cursor, source]), params, delay);
    const subscription = token.onCancellationRequested(
      () => void this.#canceled(pending, () => !isRetry && isUnchanged()),
    );
    const generation = await pending.generation.finally(() => subscription.dispose());
    if (!token.isCancellationRequested) this.#forget(pending);
    if (generation === null) return [];
    const text = trimCompletion(generation.result.text, {
      after,
      nextLine: nextLine(document, position.line),
      multiLine: isExplicit,
    });
    // Cached even if the user has typed on: that may be the beginning of the completion.
    this.#cached = { context: cursor, source, text, ...generation };
    return text === "" || token.isCancellationRequested ? [] : show(text);
  }

  /** Generates after a delay. Joins an equal pending request; cancels a different one. */
  #request(key: string, params: GenerateParams, delay: number): PendingCompletion {
    if (this.#pending?.key === key && !this.#pending.abort.signal.aborted) return this.#pending;
    this.#pending?.abort.abort();
    const abort = new AbortController();
    const generation = wait(delay).then(() => (abort.signal.aborted ? null : this.#generate(params, abort.signal)));
    this.#pending = { key, abort, generation };
    return this.#pending;
  }

  #forget(pending: PendingCompletion): void {
    if (this.#pending === pending) this.#pending = undefined;
  }

  /**
   * VS Code cancels a request when the text changes, but also after 750 ms: it then shows its own word suggestions, if
   * any, and drops the answer. If nothing was typed, a second request is triggered, which VS Code waits for. See
   * docs/decisions/2026-11-22-ghost-text-missed.md.
   */
  async #canceled(pending: PendingCompletion, isWanted: () => boolean): Promise<void> {
    await wait(CHANGE_DELAY);
    if (isWanted()) await this.#retry();
    else pending.abort.abort();
    this.#forget(pending);
  }

  /** VS Code drops answers that arrive too late without telling the provider. */
  async #retryIfLate(startTime: number, isUnchanged: () => boolean): Promise<void> {
    // Once this command has run, the window has received the answer.
    await vscode.commands.executeCommand("noop");
    if (performance.now() - startTime < LATE) return;
    await wait(SETTLE_TIME);
    if (isUnchanged()) await this.#retry();
  }

  /** Triggers a request; VS Code ignores this while ghost text is shown. */
  async #retry(): Promise<void> {
    this.#isRetrying = true;
    await vscode.commands.executeCommand("editor.action.inlineSuggest.trigger", { explicit: false });
    this.#isRetrying = false;
  }

  /** Returns null after a cancellation or an error. */
  async #generate(params: GenerateParams, signal: AbortSignal): Promise<Generation | null> {
    const { activity } = this.#lab;
    try {
      const generation = await activity.during(this.#generateReadable(params, signal));
      const { result } = generation;
      activity.problem = null;
      this.#lab.log.trace(
        `completion: ${result.ids.length} tokens in ${result.milliseconds.toFixed(0)} ms (${result.reason}); prompt of ${result.promptTokens}, ${result.reusedTokens} reused`,
      );
      return result.reason === "canceled" ? null : generation;
    } catch (error) {
      if (!isCanceled(error) && !signal.aborted) this.#report(error);
      return null;
    }
  }

  /** Continues the text after the last character that the model cannot read, and remembers such characters. */
  async #generateReadable(params: GenerateParams, signal: AbortSignal): Promise<Generation> {
    const { engine } = this.#lab;
    const unknown = this.#unknown.get(params.dir) ?? new Set();
    const generate = async (): Promise<Generation> => {
      const readable = { ...params, prompt: afterUnknown(params.prompt, unknown) };
      // Right after an unknown character there is nothing to continue.
      if (readable.prompt === "" && params.prompt !== "") return { params: readable, result: EMPTY_RESULT };
      return { params: readable, result: await engine.call("generate", readable, { signal }) };
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

  #situation(document: vscode.TextDocument, after: string, { readsCode }: Model): Situation {
    const { uri, languageId } = document;
    const editor = vscode.window.activeTextEditor;
    const here = editor?.document === document ? editor : undefined;
    const exclude = setting("completion.exclude", document);
    return {
      enabled: setting("completion.enabled", document),
      isSnoozed: this.#lab.snooze.minutesLeft > 0,
      languages: setting("completion.languages", document),
      readsCode,
      languageId,
      path: uri.path,
      excluded: exclude.some((pattern) => vscode.languages.match({ pattern: inAnyFolder(pattern) }, document) > 0),
      writable: isWritable(uri.scheme),
      cursors: here?.selections.length ?? 1,
      selectionEmpty: here?.selection.isEmpty ?? true,
      after,
    };
  }

  /** Shows an error in the status bar and logs each message once. A notification would disturb typing. */
  #report(error: unknown): void {
    const message = errorText(error);
    this.#lab.activity.problem = message;
    if (this.#loggedMessages.has(message)) return;
    this.#loggedMessages.add(message);
    this.#lab.log.warn(`completion: ${errorTextForLog(error)}`);
  }
}

export const completionCommands = ({ models, snooze }: LabServices) =>
  ({
    "decoderLab.toggleCompletions": () => setSetting("completion.enabled", !setting("completion.enabled")),
    "decoderLab.toggleLanguage": async () => {
      const document = vscode.window.activeTextEditor?.document;
      if (!document) throw new Error(l10n.t("Open a file first: completions are turned on and off for its language."));
      const languages = setting("completion.languages", document);
      const isOn = isEnabledFor(languages, document.languageId, models.active?.readsCode ?? false);
      await setSetting("completion.languages", { ...languages, [document.languageId]: !isOn });
    },
    "decoderLab.snoozeCompletions": async () => snooze.extend(),
    "decoderLab.endSnooze": async () => snooze.end(),
  }) satisfies Partial<Commands>;

interface PendingCompletion {
  /** Identifies the cursor context and everything else that the completion depends on. */
  readonly key: string;
  readonly abort: AbortController;
  readonly generation: Promise<Generation | null>;
}

interface Generation {
  readonly params: GenerateParams;
  readonly result: GenerateResult;
}

const EMPTY_RESULT: GenerateResult = {
  ids: [],
  text: "",
  reason: "stop",
  promptTokens: 0,
  reusedTokens: 0,
  droppedTokens: 0,
  milliseconds: 0,
};

/** Users write `*.md` for every folder, but VS Code matches a pattern against the whole path. */
const inAnyFolder = (pattern: string) => (/^(\/|\*\*\/)/.test(pattern) ? pattern : `**/${pattern}`);

/** Outputs, input boxes and the old sides of diffs have schemes without a writable file system. */
const isWritable = (scheme: string) =>
  scheme === "untitled" ||
  scheme === "vscode-notebook-cell" ||
  vscode.workspace.fs.isWritableFileSystem(scheme) === true;

function cursorContext(
  document: vscode.TextDocument,
  position: vscode.Position,
  after: string,
  selected: vscode.SelectedCompletionInfo | undefined,
): CursorContext {
  const cursor = selected?.range.start ?? position;
  const offset = document.offsetAt(cursor);
  const before = document.getText(new vscode.Range(document.positionAt(promptStart(offset)), cursor));
  const typed = selected?.text ?? "";
  return { uri: document.uri.toString(), offset: offset + typed.length, before: before + typed, after };
}

function generateParams(
  document: vscode.TextDocument,
  dir: string,
  cursor: CursorContext,
  multiLine: boolean,
): GenerateParams {
  return {
    dir,
    prompt: promptText(cursor.before),
    maxNewTokens: setting("completion.maxNewTokens", document),
    contextTokens: setting("completion.contextTokens", document),
    temperature: setting("completion.temperature", document),
    topK: setting("completion.topK", document),
    topP: setting("completion.topP", document),
    seed: setting("completion.seed", document),
    ...(multiLine ? {} : { stop: ["\n"] }),
  };
}

function isCursorAt(document: vscode.TextDocument, position: vscode.Position): boolean {
  const editor = vscode.window.activeTextEditor;
  return editor?.document === document && editor.selection.active.isEqual(position);
}

/** The first line that is not blank among the 5 below a line, or "". */
function nextLine(document: vscode.TextDocument, line: number): string {
  const last = Math.min(document.lineCount - 1, line + 5);
  for (let n = line + 1; n <= last; n++) {
    const next = document.lineAt(n);
    if (!next.isEmptyOrWhitespace) return next.text;
  }
  return "";
}
