import type * as vscode from "vscode";
import type { TraceInfo } from "../../protocol/engineApi";
import { isCanceled, RemoteError, type Server } from "../../protocol/rpc";
import type { Action, InspectedSource, InspectorEvents, ScrubberEvents, Selected } from "../../protocol/webviewApi";
import { errorText, errorTextForLog } from "../errorText";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "../models/modelFolders";
import { readReports } from "../runs/runReports";
import { CheckpointScrubber } from "./checkpointScrubber";
import { withUnixLineBreaks } from "./editorText";
import { textOfTokens } from "./tokenText";

/** The busy indicator appears only for forward passes that take longer than this, in milliseconds. */
const BUSY_DELAY = 150;

export type TraceEvents = InspectorEvents & ScrubberEvents;

type NamedModel = Pick<Model, "dir" | "name">;

/** The trace that a page shows: traces texts with a model and sends the page the outcome. */
export class ShownTrace {
  readonly #lab: LabServices;
  readonly #send: Server<TraceEvents>["send"];
  readonly #scrubber: CheckpointScrubber;
  #running: AbortController | undefined;
  /** Identifies what is shown, so that the same text is not traced twice in a row. */
  #key: string | null = null;
  #trace: TraceInfo | null = null;
  /** The text of `#trace` as the model read it. */
  #text = "";
  /** The model of the latest request; undefined for a trace from a file. */
  #model: NamedModel | undefined;
  /** The model of the trace that was last shown. */
  #shownModel: NamedModel | undefined;
  /** True after a request failed because the engine had stopped for good. */
  #waitsForEngine = false;
  readonly #subscription: vscode.Disposable;

  constructor(lab: LabServices, send: Server<TraceEvents>["send"]) {
    this.#lab = lab;
    this.#send = send;
    this.#scrubber = new CheckpointScrubber(lab.engine, lab.log);
    this.#subscription = lab.selections.onDidChoose(({ by, dir, text, tokenFromEnd, ...part }) => {
      const trace = this.#trace;
      if (by === this || trace?.model.dir !== dir || this.#text !== text) return;
      const token = trace.tokens.length - tokenFromEnd;
      if (token >= 0) this.#send("select", { trace: trace.trace, token, ...part });
    });
  }

  /** The trace that is shown, if any. */
  get trace(): TraceInfo | null {
    return this.#trace;
  }

  /** Passes a selection in this page on to other pages that show the same text. */
  select({ trace, token, ...part }: Pick<Selected, "trace" | "token"> & Partial<Selected>): void {
    if (!this.#trace || trace !== this.#trace.trace) return;
    const { model, tokens } = this.#trace;
    const tokenFromEnd = tokens.length - token;
    this.#lab.selections.choose({ by: this, dir: model.dir, text: this.#text, tokenFromEnd, ...part });
  }

  /**
   * Runs a text through a model, or through the checkpoint of it that the scrubber is at, unless that is what is shown
   * already. `find` is called as late as possible, so that the latest text is traced.
   */
  async run(model: Model | undefined, find: () => InspectedSource | null, maxTokens: number): Promise<void> {
    if (!model) {
      return this.#showEmpty(l10n.t("No models yet."), [
        { id: "trainModel", label: l10n.t("Train Tiny GPT") },
        { id: "importModel", label: l10n.t("Import Model") },
      ]);
    }
    if (await this.#scrubber.look(model)) this.#send("checkpoints", this.#scrubber.shown);
    const source = find();
    if (!source) return this.#showEmpty(l10n.t("Open a file, or type text above."), []);
    this.#model = model;

    const key = JSON.stringify([model.dir, model.name, this.#scrubber.step, source, maxTokens]);
    const text = withUnixLineBreaks(source.text);
    await this.#show(key, async (signal) => ({ trace: await this.#request(text, maxTokens, signal), source }));
    if (this.#key === key && this.#trace) void this.#scrubber.showed(this.#trace, text, maxTokens);
  }

  /** Shows a trace that was saved to a file. */
  async open(file: vscode.Uri): Promise<void> {
    this.#model = undefined;
    await this.#show(file.toString(), async () => {
      const trace = await this.#lab.engine.call("openTrace", { path: file.fsPath });
      return { trace, source: sourceOfFile(file, trace) };
    });
  }

  async #show(
    key: string,
    request: (signal: AbortSignal) => Promise<{ readonly trace: TraceInfo; readonly source: InspectedSource }>,
  ): Promise<void> {
    if (key === this.#key) return;
    this.#key = key;
    this.#running?.abort();
    const abort = new AbortController();
    this.#running = abort;
    const busy = setTimeout(() => this.#send("busy", { busy: true }), BUSY_DELAY);
    try {
      const { trace, source } = await request(abort.signal);
      this.#lab.engine.noteDevice(trace.device);
      if (abort.signal.aborted) return;
      this.#trace = trace;
      this.#text = withUnixLineBreaks(source.text);
      this.#send("trace", { trace, source, note: this.#replacementNote() });
      this.#shownModel = this.#model;
    } catch (error) {
      if (isCanceled(error) || abort.signal.aborted) return;
      this.#key = null;
      await this.#showProblem(error, abort.signal);
    } finally {
      clearTimeout(busy);
      if (this.#running === abort) this.#send("busy", { busy: false });
    }
  }

  /** Makes the next `run` show its trace even if nothing changed, as for a new page. */
  forget(): void {
    this.#key = null;
    this.#scrubber.outdate();
  }

  /** Selects the checkpoint at a step for the next trace. */
  scrub(step: number): void {
    this.#scrubber.move(step);
  }

  /** The training run of the model may have written or deleted checkpoints. */
  outdateCheckpoints(): void {
    this.#scrubber.outdate();
  }

  /**
   * Discards the trace that the previous engine had. Returns true if the text must be traced again: not after an error, whose
   * text may be what crashed the engine, unless the page was waiting for the engine.
   */
  engineStarted(): boolean {
    this.#scrubber.forget();
    if (!this.#trace && !this.#waitsForEngine) return false;
    this.#waitsForEngine = false;
    this.#trace = null;
    this.#key = null;
    return true;
  }

  dispose(): void {
    this.cancel();
    this.#subscription.dispose();
    this.#scrubber.dispose();
  }

  cancel(): void {
    this.#running?.abort();
  }

  /** Tries a second time if the engine exited meanwhile: other work, or the GPU, may have been the cause. */
  async #request(text: string, maxTokens: number, signal: AbortSignal): Promise<TraceInfo> {
    const { engine } = this.#lab;
    try {
      return await this.#scrubber.trace(text, maxTokens);
    } catch (error) {
      const isRestarting = error instanceof RemoteError && error.code === "gone" && engine.state.kind !== "stopped";
      if (!isRestarting || signal.aborted) throw error;
      return this.#scrubber.trace(text, maxTokens);
    }
  }

  #showEmpty(reason: string, actions: readonly Action[]): void {
    this.#running?.abort();
    this.#running = undefined;
    this.#key = null;
    this.#send("empty", { reason, actions });
    this.#send("busy", { busy: false });
  }

  async #showProblem(error: unknown, signal: AbortSignal): Promise<void> {
    this.#lab.log.warn(`inspect: ${errorTextForLog(error)}`);
    this.#waitsForEngine = this.#lab.engine.state.kind === "stopped";
    const action = this.#waitsForEngine
      ? ({ id: "restartEngine", label: l10n.t("Restart Engine") } as const)
      : ({ id: "showLog", label: l10n.t("Show Log") } as const);
    const model = this.#model?.name ?? null;
    const text = errorText(error);
    // Another model may be able to read the text, so the message names this one.
    const isTokenizerError = error instanceof RemoteError && error.code === "tokenizer";
    const reason = isTokenizerError && model !== null ? l10n.t("“{0}” cannot read this. {1}", model, text) : text;
    const sentences = [this.#replacementNote(), reason].filter((sentence) => sentence !== null);
    const suggestion = isTokenizerError && this.#model ? await ownText(this.#model.dir) : undefined;
    if (signal.aborted) return;
    this.#send("problem", { message: sentences.join(" "), action, model, suggestion });
    this.#trace = null;
  }

  /** Explains that the shown model was deleted and another one took its place; null if that is not the case. */
  #replacementNote(): string | null {
    const [before, now] = [this.#shownModel, this.#model];
    const exists = ({ dir }: NamedModel) => this.#lab.models.models.some((model) => model.dir === dir);
    if (!before || !now || before.dir === now.dir || exists(before)) return null;
    return l10n.t("“{0}” was deleted. “{1}” is shown instead.", before.name, now.name);
  }
}

const MAX_SUGGESTION = 60;

/** The beginning of the last text that a model wrote during its training, if its run kept one. */
async function ownText(dir: string): Promise<string | undefined> {
  const { samples } = await readReports(dir);
  const [line = ""] = samples.at(-1)?.text.trim().split("\n") ?? [];
  // Without the word that is cut off.
  const text = line.length <= MAX_SUGGESTION ? line : line.slice(0, MAX_SUGGESTION).replace(/\s\S*$/, "");
  return text.trim() || undefined;
}

/** A trace file has no text of its own, so it is decoded from the tokens. */
function sourceOfFile(file: vscode.Uri, { tokens }: TraceInfo): InspectedSource {
  const label = file.path.split("/").at(-1) ?? "";
  return { kind: "typed", label, text: textOfTokens(tokens), truncated: false };
}
