import * as vscode from "vscode";
import type { Handlers } from "../../protocol/rpc";
import type { InspectorHost, ScrubberHost } from "../../protocol/webviewApi";
import type { LabServices } from "../labServices";
import { act, save } from "../webviews/hostActions";
import { ShownTrace, type TraceEvents } from "./shownTrace";
import { traceHandlers } from "./traceHandlers";

/** Delay after a cursor movement before the line is traced, in milliseconds. */
const CURSOR_DELAY = 250;

/** The host of a page that shows a trace: what the Model Explorer and the Layer Inspector have in common. */
export abstract class TraceHost implements vscode.Disposable {
  protected readonly lab: LabServices;
  protected readonly shown: ShownTrace;
  /** True while the page shows the selection or line of the active editor. */
  protected follow: boolean;
  readonly #subscriptions: vscode.Disposable;
  #timer: NodeJS.Timeout | undefined;

  /** After a change of one of these settings, the text is traced again. */
  constructor(lab: LabServices, settings: "decoderLab.inspector" | "decoderLab.explorer", follow: boolean) {
    this.lab = lab;
    this.follow = follow;
    this.shown = new ShownTrace(lab, (name, value) => this.send(name, value));
    const moved = (document?: vscode.TextDocument) => {
      if (this.follow && document && document === vscode.window.activeTextEditor?.document) this.refreshSoon();
    };
    this.#subscriptions = vscode.Disposable.from(
      vscode.window.onDidChangeActiveTextEditor((editor) => moved(editor?.document)),
      vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => moved(textEditor.document)),
      vscode.workspace.onDidChangeTextDocument(({ document }) => moved(document)),
      lab.models.onDidChange(() => this.refreshSoon()),
      lab.trainings.onDidReport((event) => {
        if (event.kind !== "checkpoint") return;
        this.shown.outdateCheckpoints();
        this.refreshSoon();
      }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration(settings)) this.refreshSoon(true);
      }),
    );
  }

  /** Sends an event to the page, if there is one. */
  protected abstract send<Name extends keyof TraceEvents>(name: Name, value: TraceEvents[Name]): void;

  /** Runs and shows the current text, if the page is visible. */
  protected abstract refresh(): Promise<void>;

  /** Shows text that was typed in the page. */
  protected abstract showTyped(text: string): void;

  /** A new engine does not have the trace that is shown, so the text is traced again. */
  engineStarted(): void {
    if (this.shown.engineStarted()) this.refreshSoon(true);
  }

  dispose(): void {
    this.cancel();
    this.#subscriptions.dispose();
    this.shown.dispose();
  }

  /** Refreshes after the delay; with `again`, immediately and even if nothing changed. */
  protected refreshSoon(again = false): void {
    if (again) this.shown.forget();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh(), again ? 0 : CURSOR_DELAY);
  }

  protected cancel(): void {
    clearTimeout(this.#timer);
    this.shown.cancel();
  }

  protected setFollow(follow: boolean): void {
    this.follow = follow;
    this.send("follow", { follow });
  }

  protected handlers(): Handlers<InspectorHost & ScrubberHost> {
    return {
      ...traceHandlers(this.lab),
      ready: () => {
        // The page expects events only after this answer.
        setTimeout(() => this.refreshSoon(true), 0);
        return { strings: vscode.l10n.bundle ?? {}, follow: this.follow };
      },
      inspectText: ({ text }) => {
        this.setFollow(false);
        this.showTyped(text);
        void this.refresh();
        return null;
      },
      follow: ({ follow }) => {
        this.follow = follow;
        if (follow) this.refreshSoon();
        return null;
      },
      scrub: async ({ step }) => {
        this.shown.scrub(step);
        await this.refresh();
        return null;
      },
      select: (selected) => {
        this.shown.select(selected);
        return null;
      },
      retry: () => {
        this.refreshSoon(true);
        return null;
      },
      act,
      save,
    };
  }
}
