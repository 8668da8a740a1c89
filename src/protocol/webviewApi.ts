/**
 * What the extension host serves and the webviews ask, and what the host tells them unasked.
 *
 * Both ends import this file and `rpc.ts` and nothing else of each other. In the webview:
 *
 *   const host = connect<InspectorHost, InspectorEvents>(webviewPort);
 *   host.on("trace", draw);
 *   const { strings, follow } = await host.call("ready", {});
 *
 * After `ready` is answered the host tells everything it knows, so a webview that was hidden and is made again needs
 * no memory of its own.
 *
 * The page the host makes is `<html lang>`, a title, the style sheet, `<meta property="csp-nonce" content="NONCE">` and
 * an empty body with the script, under `default-src 'none'; img-src CSPSOURCE blob: data:; font-src CSPSOURCE;
 * style-src CSPSOURCE 'nonce-NONCE'; script-src 'nonce-NONCE'`. (The toolkit makes one empty style element, with the
 * meta element's nonce, to find out whether focus rings can follow the keyboard.)
 */

import type { EvalReport, StepReport, TrainConfig } from "../engine/train/config";
import type { Device, FoundTokens, ModelInfo, TraceInfo, TraceTensor, TrainEvent } from "./engineApi";
import type { Method } from "./rpc";

/** Translations by English sentence; a sentence that is not in it is shown as it is. `{0}` stands for an argument. */
export type Strings = Readonly<Record<string, string>>;

/** Asked by the Layer Inspector. */
export interface InspectorHost {
  ready: Method<
    Empty,
    { readonly strings: Strings /** Whether the inspector follows the editor. */; readonly follow: boolean }
  >;
  /** Inspects typed text, and stops following the editor. */
  inspectText: Method<{ readonly text: string }, null>;
  follow: Method<{ readonly follow: boolean }, null>;
  /** A value of the trace that was told last; of an attention value, one head. */
  tensor: Method<TensorParams, TraceTensor>;
  /** Tokens of its model's vocabulary, with their ranks. */
  findTokens: Method<FindParams, FoundTokens>;
  /** Does again what ended in `problem`. */
  retry: Method<Empty, null>;
  /** The button of a `problem` or an `empty`. */
  act: Method<{ readonly action: HostAction }, null>;
  save: Method<FileToSave, null>;
}

/** A picture or table to write where the user says: the host asks with a save dialog. Nothing happens if it is dismissed. */
export interface FileToSave {
  /** Without a folder, such as "attention-layer0-head1.csv". */
  readonly name: string;
  readonly data: Uint8Array;
}

export interface TensorParams {
  readonly trace: number;
  readonly name: string;
  readonly head?: number;
}

export interface FindParams {
  readonly trace: number;
  /** An id (`#12`), or text. */
  readonly query: string;
  readonly count: number;
}

/** What a button in a webview may ask the host to do. */
export type HostAction = "chooseModel" | "trainModel" | "importModel" | "restartEngine" | "showLog";

/** A button in a webview. */
export interface Action {
  readonly id: HostAction;
  readonly label: string;
}

/** Told to the Layer Inspector. Each of trace, problem and empty replaces what was shown before. */
export interface InspectorEvents {
  trace: { readonly trace: TraceInfo; readonly source: InspectedSource };
  busy: { readonly busy: boolean };
  /** Whether the inspector follows the editor now: told when that changes other than by the page's own `follow`. */
  follow: { readonly follow: boolean };
  problem: { readonly message: string; readonly action: Action | null };
  empty: { readonly reason: string; readonly actions: readonly Action[] };
}

/** Where the inspected text comes from. */
export interface InspectedSource {
  readonly kind: "selection" | "line" | "typed";
  /** To show, such as "story.txt, line 12". */
  readonly label: string;
  readonly text: string;
  /** The text had more characters than are inspected; the last of them are. */
  readonly truncated: boolean;
}

/** Asked by the training view. Every method is about the run that the view shows. */
export interface TrainingHost {
  ready: Method<Empty, { readonly strings: Strings; readonly run: RunSnapshot | null }>;
  pause: Method<{ readonly paused: boolean }, null>;
  /** Ends the run; what was learned is kept. */
  stop: Method<Empty, null>;
  /** Goes on from the last checkpoint of a run that is stopped, done or failed. */
  resume: Method<Empty, null>;
  /** Makes the run's model the active one, and shows it in the inspector if asked. */
  activate: Method<{ readonly inspect: boolean }, null>;
  act: Method<{ readonly action: HostAction }, null>;
  save: Method<FileToSave, null>;
}

/** Told to the training view. */
export interface TrainingEvents {
  /** Another run is shown from now on, or this one has started again. */
  run: RunSnapshot;
  train: TrainEvent;
  state: RunState;
}

export type RunPhase = "preparing" | "running" | "paused" | "stopping" | "stopped" | "done" | "failed";

export interface RunState {
  readonly phase: RunPhase;
  /** What is prepared, or why the run failed and what to do. */
  readonly message: string | null;
  readonly secondsLeft: number | null;
}

/** Everything that is known of a run, so that the view can be drawn from nothing. */
export interface RunSnapshot {
  readonly dir: string;
  readonly name: string;
  readonly preset: string;
  readonly state: RunState;
  /** Known once the run has started, with the device and the reason it was chosen. */
  readonly started: {
    readonly model: ModelInfo;
    readonly train: TrainConfig;
    readonly device: Device;
    readonly deviceReason: string;
  } | null;
  /** In the order of the steps; of a long run every second, fourth, … step is kept. */
  readonly reports: readonly StepReport[];
  readonly evals: readonly EvalReport[];
  readonly samples: readonly { readonly step: number; readonly text: string }[];
  readonly checkpointStep: number | null;
}

type Empty = Record<string, never>;
