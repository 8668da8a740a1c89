/** Runs texts through the active model for a page that looks into it, and tells the page what goes on and what came of it. */

import type * as vscode from "vscode";
import type { TraceInfo } from "../../protocol/engineApi";
import { isCanceled, RemoteError, type Server } from "../../protocol/rpc";
import type { Action, InspectedSource, InspectorEvents, ScrubberEvents, Selected } from "../../protocol/webviewApi";
import { errorText, errorTextForLog } from "../errorText";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "../models/modelFolders";
import { CheckpointScrubber } from "./checkpointScrubber";
import { withUnixLineBreaks } from "./editorText";

/** What takes no longer is not worth a sign that it goes on. */
const BUSY_AFTER = 150;

export type RunEvents = InspectorEvents & ScrubberEvents;

type Named = Pick<Model, "dir" | "name">;

export class ShownTrace {
  readonly #lab: LabServices;
  readonly #tell: Server<RunEvents>["tell"];
  readonly #scrub: CheckpointScrubber;
  #running: AbortController | undefined;
  /** What is shown: it is not run again. */
  #shown: string | null = null;
  #trace: TraceInfo | null = null;
  /** The text of `#trace`, as it was run. */
  #text = "";
  /** The model that is run; none for a run that is opened from a file. */
  #model: Named | undefined;
  /** The model of the run that was shown last. */
  #shownModel: Named | undefined;
  /** The engine was given up on, and nothing could be shown. */
  #waitsForEngine = false;
  readonly #subscription: vscode.Disposable;

  constructor(lab: LabServices, tell: Server<RunEvents>["tell"]) {
    this.#lab = lab;
    this.#tell = tell;
    this.#scrub = new CheckpointScrubber(lab.engine, lab.log);
    this.#subscription = lab.selections.onDidChoose(({ by, dir, text, tokenFromEnd, ...part }) => {
      const trace = this.#trace;
      if (by === this || trace?.model.dir !== dir || this.#text !== text) return;
      const token = trace.tokens.length - tokenFromEnd;
      if (token >= 0) this.#tell("select", { trace: trace.trace, token, ...part });
    });
  }

  /** The run that is shown; null where none is. */
  get trace(): TraceInfo | null {
    return this.#trace;
  }

  /** Something was chosen in the view: other views of the text choose it too. */
  select({ trace, token, ...part }: Pick<Selected, "trace" | "token"> & Partial<Selected>): void {
    if (!this.#trace || trace !== this.#trace.trace) return;
    const { model, tokens } = this.#trace;
    const tokenFromEnd = tokens.length - token;
    this.#lab.selections.choose({ by: this, dir: model.dir, text: this.#text, tokenFromEnd, ...part });
  }

  /**
   * Runs a text through the model as it is now, or was at the checkpoint that is shown; not again what is shown
   * already. The text is asked for at the last moment, so that the newest is run.
   */
  async run(find: () => InspectedSource | null, maxTokens: number): Promise<void> {
    const model = this.#lab.models.active;
    if (!model) {
      return this.#empty(l10n.t("There is no model yet."), [
        { id: "trainModel", label: l10n.t("Train Tiny GPT") },
        { id: "importModel", label: l10n.t("Import Model") },
      ]);
    }
    if (await this.#scrub.look(model)) this.#tell("checkpoints", this.#scrub.shown);
    const source = find();
    if (!source) {
      const advice = l10n.t("Type a text above, or check “Follow editor” and put the cursor on a line with text.");
      return this.#empty(advice, []);
    }
    this.#model = model;

    const key = JSON.stringify([model.dir, model.name, this.#scrub.step, source, maxTokens]);
    const text = withUnixLineBreaks(source.text);
    await this.#show(key, async (signal) => ({ trace: await this.#ask(text, maxTokens, signal), source }));
    if (this.#shown === key && this.#trace) void this.#scrub.showed(this.#trace, text, maxTokens);
  }

  /** Shows a run that was saved to a file. */
  async open(file: vscode.Uri): Promise<void> {
    this.#model = undefined;
    await this.#show(file.toString(), async () => {
      const trace = await this.#lab.engine.call("openTrace", { path: file.fsPath });
      return { trace, source: savedSource(file, trace) };
    });
  }

  async #show(
    key: string,
    make: (signal: AbortSignal) => Promise<{ readonly trace: TraceInfo; readonly source: InspectedSource }>,
  ): Promise<void> {
    if (key === this.#shown) return;
    this.#shown = key;
    this.#running?.abort();
    const abort = new AbortController();
    this.#running = abort;
    const busy = setTimeout(() => this.#tell("busy", { busy: true }), BUSY_AFTER);
    try {
      const { trace, source } = await make(abort.signal);
      this.#lab.engine.noteDevice(trace.device);
      if (abort.signal.aborted) return;
      this.#trace = trace;
      this.#text = withUnixLineBreaks(source.text);
      this.#tell("trace", { trace, source, note: this.#replaced() });
      this.#shownModel = this.#model;
    } catch (error) {
      if (isCanceled(error) || abort.signal.aborted) return;
      this.#shown = null;
      this.#problem(error);
    } finally {
      clearTimeout(busy);
      if (this.#running === abort) this.#tell("busy", { busy: false });
    }
  }

  /** The page was made anew, or what was shown is to be made again. */
  forget(): void {
    this.#shown = null;
    this.#scrub.outdate();
  }

  /** Shows the model as it was at a step, from the next run on. */
  scrub(step: number): void {
    this.#scrub.move(step);
  }

  /** The run that trains the model may have made or deleted checkpoints. */
  outdateCheckpoints(): void {
    this.#scrub.outdate();
  }

  /**
   * A new engine knows nothing of the trace that is shown. Answers whether it must be made again: not after a problem,
   * which may be what ended the engine before, unless the user started it again to see this.
   */
  engineStarted(): boolean {
    this.#scrub.forget();
    if (!this.#trace && !this.#waitsForEngine) return false;
    this.#waitsForEngine = false;
    this.#trace = null;
    this.#shown = null;
    return true;
  }

  /** Lets go of everything. */
  dispose(): void {
    this.cancel();
    this.#subscription.dispose();
    this.#scrub.dispose();
  }

  cancel(): void {
    this.#running?.abort();
  }

  /** Asks once more when the engine ended meanwhile: it may have been other work that ended it, or the GPU. */
  async #ask(text: string, maxTokens: number, signal: AbortSignal): Promise<TraceInfo> {
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
    this.#tell("empty", { reason, actions });
    this.#tell("busy", { busy: false });
  }

  #problem(error: unknown): void {
    const message = errorText(error);
    this.#lab.log.warn(`inspect: ${errorTextForLog(error)}`);
    this.#waitsForEngine = this.#lab.engine.state.kind === "stopped";
    const action = this.#waitsForEngine
      ? ({ id: "restartEngine", label: l10n.t("Restart Engine") } as const)
      : ({ id: "showLog", label: l10n.t("Show Log") } as const);
    const model = this.#model?.name ?? null;
    // What is said of the text is so of this model: another may read it.
    const isOfText = error instanceof RemoteError && error.code === "tokenizer";
    const said = isOfText && model !== null ? l10n.t("“{0}” cannot read this. {1}", model, message) : message;
    const sentences = [this.#replaced(), said].filter((sentence) => sentence !== null);
    this.#tell("problem", { message: sentences.join(" "), action, model });
    this.#trace = null;
  }

  /** Says that another model is run because the one that was shown is no more; null where that is not so. */
  #replaced(): string | null {
    const [before, now] = [this.#shownModel, this.#model];
    const isThere = ({ dir }: Named) => this.#lab.models.models.some((model) => model.dir === dir);
    if (!before || !now || before.dir === now.dir || isThere(before)) return null;
    return l10n.t("“{0}” was deleted; “{1}” is active now.", before.name, now.name);
  }
}

/** The text of a saved run is in its tokens. */
function savedSource(file: vscode.Uri, { tokens }: TraceInfo): InspectedSource {
  const bytes = tokens.flatMap(({ bytes, special }) => (special ? [] : [...bytes]));
  const text = new TextDecoder().decode(Uint8Array.from(bytes));
  return { kind: "typed", label: file.path.split("/").at(-1) ?? "", text, truncated: false };
}
