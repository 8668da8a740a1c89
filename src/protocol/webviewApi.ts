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

import type { Sampling } from "../engine/api/generation";
import type { Device, ModelInfo } from "../engine/api/model";
import type {
  CheckpointInfo,
  EvalReport,
  SampleReport,
  StepReport,
  TrainConfig,
  TrainEvent,
  UpdateReport,
  RunWarning as WarningEvent,
} from "../engine/api/run";
import type { Surprisal, TraceInfo } from "../engine/api/trace";
import type { EngineApi } from "./engineApi";
import type { Method } from "./rpc";
import type { TraceApi } from "./traceApi";

/** Translations by English sentence; a sentence that is not in it is shown as it is. `{0}` stands for an argument. */
export type Strings = Readonly<Record<string, string>>;

/**
 * What a page may ask about the traces that it shows, and about their models: answered by the engine. A `dir` must be
 * the folder of a model that the Models view has, or of one of its checkpoints.
 */
export type TraceQuestions = Omit<TraceApi, "inspect" | "saveTrace" | "openTrace"> &
  Pick<EngineApi, "describe" | "tokenize" | "checkpoints">;

/** Asked by the Layer Inspector. */
export interface InspectorHost extends TraceQuestions {
  ready: Method<
    Empty,
    { readonly strings: Strings /** Whether the inspector follows the editor. */; readonly follow: boolean }
  >;
  /** Inspects typed text, and stops following the editor. */
  inspectText: Method<{ readonly text: string }, null>;
  follow: Method<{ readonly follow: boolean }, null>;
  /** The user chose something: it is chosen in other views of the same text, and marked in its editor. */
  select: Method<Selected, null>;
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

/** What a button in a webview may ask the host to do. */
export type HostAction = "chooseModel" | "trainModel" | "importModel" | "restartEngine" | "showLog" | "openRun";

/** A button in a webview. */
export interface Action {
  readonly id: HostAction;
  readonly label: string;
}

/** Told to the Layer Inspector. Each of trace, problem and empty replaces what was shown before. */
export interface InspectorEvents {
  trace: {
    readonly trace: TraceInfo;
    readonly source: InspectedSource;
    /** Why it is by another model than what was shown before, where the user did not choose that. */
    readonly note?: string | null;
  };
  busy: { readonly busy: boolean };
  /** Whether the inspector follows the editor now: told when that changes other than by the page's own `follow`. */
  follow: { readonly follow: boolean };
  /** Something was chosen in another view of the text, or by the cursor in its editor. */
  select: Pick<Selected, "trace"> & Partial<Selected>;
  /** `model`: the name of the model that was to be run; null where it is not known. */
  problem: { readonly message: string; readonly action: Action | null; readonly model?: string | null };
  empty: { readonly reason: string; readonly actions: readonly Action[] };
}

/** Asked by a page with a checkpoint scrubber, of which `webview/trace/scrubber.ts` is the page's side. */
export interface ScrubberHost {
  /** Shows the model as it was at a checkpoint; answered once that has been told. */
  scrub: Method<{ readonly step: number }, null>;
}

/** Told to such a page. */
export interface ScrubberEvents {
  /** What the run of the model that is shown has kept of itself; where it is fewer than two, there is no scrubber. */
  checkpoints: CheckpointsShown;
}

export interface CheckpointsShown {
  /** The newest last. */
  readonly checkpoints: readonly Omit<CheckpointInfo, "dir">[];
  /** The step that is shown. */
  readonly at: number;
}

/** Where the inspected text comes from. */
export interface InspectedSource {
  readonly kind: "selection" | "line" | "typed";
  /** To show, such as "story.txt, line 12". */
  readonly label: string;
  readonly text: string;
  /** The text had more characters than are inspected; the last of them are. */
  readonly truncated: boolean;
  /** UTF-16 offset, in the text as it is run, of the token that is chosen first; where it is left out, the last is. */
  readonly chosen?: number;
  /** What the model wrote after the text in an editor. */
  readonly completion?: Completion;
}

/** A completion that was shown in an editor, and what it was made with. */
export interface Completion {
  /** The tokens that the model read. */
  readonly prompt: readonly number[];
  /** The tokens that it wrote; fewer of their text may have been shown. */
  readonly ids: readonly number[];
  readonly shown: string;
  readonly sampling: Pick<Sampling, "temperature" | "topK" | "topP" | "seed">;
}

/** Asked by the Explorer. */
export interface ExplorerHost extends InspectorHost, ScrubberHost {
  /** The models that can be run, the active one first. */
  models: Method<Empty, readonly { readonly dir: string; readonly name: string }[]>;
  /** Runs a text through a model beside the one that is shown: to compare with, or to patch from. */
  inspectAlso: Method<{ readonly dir: string; readonly text: string }, TraceInfo>;
  /** Shades the text's tokens in its editor by a weight each, 0 to 1; null takes the shades away. */
  shade: Method<{ readonly trace: number; readonly weights: Float32Array | null }, null>;
  /** Asks where a trace goes, and writes it there. */
  saveTrace: Method<{ readonly trace: number }, null>;
}

/** What is chosen in a trace. */
export interface Selected {
  readonly trace: number;
  readonly token: number;
  readonly layer: number;
  readonly head: number;
}

/** Told to the Explorer. */
export interface ExplorerEvents extends InspectorEvents, ScrubberEvents {
  /** A command shows a view, by its id in webview/explorer/registry.ts. */
  open: { readonly view: string };
  /** The user asked by a command that the selected token's attention is shaded in the editor, or not any more. */
  toggleShading: Empty;
}

/** Asked by the training view. Every method is about the run that the view shows. */
export interface TrainingHost {
  ready: Method<
    Empty,
    {
      readonly strings: Strings;
      readonly run: RunSnapshot | null;
      /** Whether a model has a run that could be shown. */
      readonly hasRuns: boolean;
    }
  >;
  pause: Method<{ readonly paused: boolean }, null>;
  /** Ends the run; what was learned is kept. */
  stop: Method<Empty, null>;
  /** Goes on from the last checkpoint of a run that is stopped, done or failed. */
  resume: Method<Empty, null>;
  /** Makes the run's model the active one, and shows it in the inspector if asked. */
  activate: Method<{ readonly inspect: boolean }, null>;
  /** Asks which other runs are drawn beside this one; all that are drawn are told as `compared`. */
  compare: Method<Empty, null>;
  /** Draws a run beside this one no more. */
  uncompare: Method<{ readonly dir: string }, null>;
  /** Asks for settings, and trains on from a checkpoint in a new folder. */
  branch: Method<{ readonly step: number }, null>;
  /** The loss of each token of a piece of the text that is trained on, by a checkpoint; null: by the model as it is. */
  paint: Method<{ readonly step: number | null; readonly page: number }, PaintedText>;
  /** Changes the queue of runs that wait for their turn. */
  changeQueue: Method<{ readonly id: number; readonly change: QueueChange }, null>;
  /** Lets a queue go on that waits for the user. */
  resumeQueue: Method<Empty, null>;
  /** Asks where, and writes the run as a PyTorch project. */
  exportProject: Method<Empty, null>;
  /** Ends the search for a learning rate. */
  stopFinding: Method<Empty, null>;
  act: Method<{ readonly action: HostAction }, null>;
  save: Method<FileToSave, null>;
}

/** Told to the training view. */
export interface TrainingEvents {
  /** Another run is shown from now on, or this one has started again. */
  run: RunSnapshot | null;
  train: TrainEvent;
  state: RunState;
  /** The record of the run that is shown, once it has been written. */
  record: RunRecord;
  /** The runs that are drawn beside the one that is shown. */
  compared: readonly RunSnapshot[];
  /** What the run has kept of itself, the newest last. */
  checkpoints: readonly CheckpointInfo[];
  queue: RunQueueState;
  /** A search for a learning rate; null when it is not shown any more. */
  finder: FinderState | null;
}

export type QueueChange = "remove" | "up" | "down" | "now";

/** The runs that wait until the one before them is done. */
export interface RunQueueState {
  readonly waiting: readonly QueuedRun[];
  /** Why none of them starts before the user says so; null when the next starts by itself. */
  readonly held: string | null;
}

export interface QueuedRun {
  readonly id: number;
  readonly name: string;
  readonly preset: string;
  /** How far it goes, and the settings that were changed; "" where neither is known. */
  readonly about: string;
}

/** A learning rate that grows from step to step, and the loss at each. */
export interface FinderState {
  readonly name: string;
  readonly points: readonly { readonly lr: number; readonly loss: number }[];
  /** Known at the end. */
  readonly suggestion: number | null;
}

/** A piece of a run's text with what each token cost the model. */
export interface PaintedText {
  /** Which checkpoint read it. */
  readonly step: number;
  readonly text: string;
  readonly page: number;
  readonly pages: number;
  /** Where the text is from. */
  readonly source: string;
  readonly surprisal: Surprisal;
}

export type RunPhase = "preparing" | "running" | "paused" | "stopping" | "stopped" | "done" | "failed";

export interface RunState {
  readonly phase: RunPhase;
  /** What is prepared, or why the run failed and what to do. */
  readonly message: string | null;
  readonly secondsLeft: number | null;
  /** Of a run that failed: its numbers grew until they were none. Resumed as it is, it fails again. */
  readonly diverged?: boolean;
}

/** Everything that is known of a run, so that the view can be drawn from nothing. */
export interface RunSnapshot {
  readonly dir: string;
  readonly name: string;
  readonly preset: string;
  readonly state: RunState;
  /** Share of the preparation that is done, 0 to 1; null where its end is not known, and once the run has started. */
  readonly prepared: number | null;
  /** Known once the run has started, with the device and the reason it was chosen. */
  readonly started: {
    readonly model: ModelInfo;
    readonly train: TrainConfig;
    readonly device: Device;
    readonly deviceReason: string;
  } | null;
  /** In the order of the steps; a long run keeps every second, fourth, … step (see `append` in runState.ts). */
  readonly reports: readonly StepReport[];
  readonly evals: readonly EvalReport[];
  readonly updates: readonly UpdateReport[];
  readonly warnings: readonly RunWarning[];
  readonly samples: readonly SampleReport[];
  readonly checkpointStep: number | null;
  /** What the run's folder says of it; null before it is written, and where it is damaged. */
  readonly record: RunRecord | null;
}

/** A warning as it is shown; the end of the run is a state. */
export type RunWarning = Omit<WarningEvent, "ends">;

/** training.json, flat: every value by its dotted name. */
export interface RunRecord {
  /** What the run was asked for, such as "train.schedule.lr". */
  readonly settings: Facts;
  /** Everything else: seed, data, versions, device, dates. */
  readonly facts: Facts;
}

export type Facts = Readonly<Record<string, string | number | boolean | null>>;

type Empty = Record<string, never>;
