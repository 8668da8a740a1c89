/**
 * Requests that webviews send to the extension host, and events that the host sends to them.
 *
 * Both ends import this file and `rpc.ts` and nothing else of each other. In the webview:
 *
 *   const host = connect<InspectorHost, InspectorEvents>(webviewPort);
 *   host.on("trace", draw);
 *   const { strings, follow } = await host.call("ready", {});
 *
 * After `ready` the host sends everything it knows, so a webview that was hidden and is created again needs no memory.
 *
 * The host's page has `<html lang>`, a title, the style sheet, `<meta property="csp-nonce" content="NONCE">` and
 * an empty body with the script, under `default-src 'none'; img-src CSPSOURCE blob: data:; font-src CSPSOURCE;
 * style-src CSPSOURCE 'nonce-NONCE'; script-src 'nonce-NONCE'`. (The toolkit adds one empty style element, with the
 * meta element's nonce, to test whether `:focus-visible` is supported.)
 */

import type { Sampling } from "../engine/api/generation";
import type { Device, ModelInfo } from "../engine/api/model";
import type {
  CheckpointInfo,
  EvalReport,
  Excerpt,
  RatePoint,
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

/** Translations by English sentence; missing ones are shown in English. `{0}` is a placeholder for an argument. */
export type Strings = Readonly<Record<string, string>>;

/**
 * Requests about traces and their models, answered by the engine. A `dir` must be the folder of a model in the Models
 * view, or of one of its checkpoints.
 */
export type TraceQuestions = Omit<TraceApi, "inspect" | "saveTrace" | "openTrace"> &
  Pick<EngineApi, "describe" | "tokenize" | "checkpoints">;

/** Requests of the Layer Inspector. */
export interface InspectorHost extends TraceQuestions {
  /** `follow`: the inspector follows the editor. */
  ready: Method<Empty, { readonly strings: Strings; readonly follow: boolean }>;
  /** Inspects typed text and stops following the editor. */
  inspectText: Method<{ readonly text: string }, null>;
  follow: Method<{ readonly follow: boolean }, null>;
  /** Shares the user's selection with other views of the same text, and marks it in the editor. */
  select: Method<Selected, null>;
  /** Repeats the action that ended in `problem`. */
  retry: Method<Empty, null>;
  /** Runs the action of a button in `problem` or `empty`. */
  act: Method<{ readonly action: HostAction }, null>;
  save: Method<FileToSave, null>;
}

/** A picture or table to save. The host shows a save dialog; dismissing it is not an error. */
export interface FileToSave {
  /** Without a folder, for example "attention-layer0-head1.csv". */
  readonly name: string;
  readonly data: Uint8Array;
}

/** Actions of buttons in webviews. */
export type HostAction = "chooseModel" | "trainModel" | "importModel" | "restartEngine" | "showLog" | "openRun";

/** A button in a webview. */
export interface Action {
  readonly id: HostAction;
  readonly label: string;
}

/** Events for the Layer Inspector. `trace`, `problem` and `empty` each replace the current content. */
export interface InspectorEvents {
  trace: {
    readonly trace: TraceInfo;
    readonly source: InspectedSource;
    /** Why the model has changed, unless the user changed it. */
    readonly note?: string | null;
  };
  busy: { readonly busy: boolean };
  /** Sent when following the editor starts or stops for a reason other than the page's own request. */
  follow: { readonly follow: boolean };
  /** The selection in another view of the text, or of the cursor in its editor. */
  select: Pick<Selected, "trace"> & Partial<Selected>;
  /** `model` is the name of the model that failed, if it is known; `suggestion` a text that it can read. */
  problem: {
    readonly message: string;
    readonly action: Action | null;
    readonly model?: string | null;
    readonly suggestion?: string | undefined;
  };
  empty: { readonly reason: string; readonly actions: readonly Action[] };
}

/** Requests of a page with a checkpoint scrubber (`webview/trace/scrubber.ts`). */
export interface ScrubberHost {
  /** Shows the model at a checkpoint; answered after the new trace has been sent. */
  scrub: Method<{ readonly step: number }, null>;
}

/** Events for a page with a checkpoint scrubber. */
export interface ScrubberEvents {
  /** Checkpoints of the current model's run; with fewer than two there is no scrubber. */
  checkpoints: CheckpointsShown;
}

export interface CheckpointsShown {
  /** The newest last. */
  readonly checkpoints: readonly Omit<CheckpointInfo, "dir">[];
  /** The current step. */
  readonly at: number;
}

/** The inspected text and its origin. */
export interface InspectedSource {
  readonly kind: "selection" | "line" | "typed";
  /** For example "story.txt, line 12". */
  readonly label: string;
  readonly text: string;
  /** The text was too long: only its end is inspected. */
  readonly truncated: boolean;
  /** UTF-16 offset in the inspected text of the token to select first; the last token by default. */
  readonly chosen?: number;
  /** The completion that followed the text in an editor. */
  readonly completion?: Completion;
}

/** A completion shown in an editor, with its prompt and sampling settings. */
export interface Completion {
  /** Tokens of the prompt. */
  readonly prompt: readonly number[];
  /** Generated tokens; their text may be longer than `shown`. */
  readonly ids: readonly number[];
  readonly shown: string;
  readonly sampling: Pick<Sampling, "temperature" | "topK" | "topP" | "seed">;
}

/** Requests of the Model Explorer. */
export interface ExplorerHost extends InspectorHost, ScrubberHost {
  /** Available models, the active one first. */
  models: Method<Empty, readonly { readonly dir: string; readonly name: string }[]>;
  /** Runs a text through a second model, to compare with or to patch from. */
  inspectAlso: Method<{ readonly dir: string; readonly text: string }, TraceInfo>;
  /** The named sets of prompts of the workspace, by name. */
  promptSets: Method<Empty, readonly PromptSet[]>;
  /** Saves a set under its name, and replaces the one that has this name. */
  savePromptSet: Method<PromptSet, null>;
  /** Deletes a set if the user confirms it; answers whether it is deleted. */
  deletePromptSet: Method<{ readonly name: string }, boolean>;
  /** Shows an open dialog and reads the prompts of a CSV or JSONL file; null if the dialog is dismissed. */
  importPrompts: Method<Empty, readonly string[] | null>;
  /** Shades each token of the text in its editor by a weight of 0 to 1; null removes the shading. */
  shade: Method<{ readonly trace: number; readonly weights: Float32Array | null }, null>;
  /** Shows a save dialog and writes the trace to the chosen file. */
  saveTrace: Method<{ readonly trace: number }, null>;
}

/** A named set of prompts. */
export interface PromptSet {
  readonly name: string;
  readonly prompts: readonly string[];
}

/** The selection in a trace. */
export interface Selected {
  readonly trace: number;
  readonly token: number;
  readonly layer: number;
  readonly head: number;
}

/** Events for the Model Explorer. */
export interface ExplorerEvents extends InspectorEvents, ScrubberEvents {
  /** Opens a view by its id in webview/explorer/registry.ts. */
  open: { readonly view: string };
  /** A command turns the shading of the selected token's attention in the editor on or off. */
  toggleShading: Empty;
}

/** Requests of the training view about the run that it shows. */
export interface TrainingHost {
  ready: Method<
    Empty,
    {
      readonly strings: Strings;
      readonly run: RunSnapshot | null;
      /** Some model has a run to show. */
      readonly hasRuns: boolean;
    }
  >;
  pause: Method<{ readonly paused: boolean }, null>;
  /** Ends the run; progress so far is kept. */
  stop: Method<Empty, null>;
  /** Continues a stopped, done or failed run from its last checkpoint. */
  resume: Method<Empty, null>;
  /** Makes the run's model the active one; with `inspect`, also shows it in the inspector. */
  activate: Method<{ readonly inspect: boolean }, null>;
  /** Chooses the runs to compare with; they are sent as `compared`. */
  compare: Method<{ readonly dirs: readonly string[] }, null>;
  /** Shows another run. */
  openRun: Method<{ readonly dir: string }, null>;
  /** Asks for settings and continues from a checkpoint in a new folder. */
  branch: Method<{ readonly step: number }, null>;
  /** Surprisal of a page of the training text at a checkpoint; null is the current model. */
  paint: Method<{ readonly step: number | null; readonly page: number }, PaintedText>;
  /** Changes the queue of waiting runs. */
  changeQueue: Method<{ readonly id: number; readonly change: QueueChange }, null>;
  /** Resumes a queue that waits for the user. */
  resumeQueue: Method<Empty, null>;
  /** Asks for a folder and exports the run as a PyTorch project. */
  exportProject: Method<Empty, null>;
  /** Ends the search for a learning rate. */
  stopFinding: Method<Empty, null>;
  act: Method<{ readonly action: HostAction }, null>;
  save: Method<FileToSave, null>;
}

/** Events for the training view. */
export interface TrainingEvents {
  /** The run to show, when it changes or starts again. */
  run: RunSnapshot | null;
  train: TrainEvent;
  state: RunState;
  /** The record of the current run, after it is written. */
  record: RunRecord;
  /** The runs to compare with. */
  compared: readonly RunSnapshot[];
  /** All runs on this machine, when one is added, trained further, renamed or deleted. */
  runs: readonly RunRow[];
  /** Checkpoints of the current run, the newest last. */
  checkpoints: readonly CheckpointInfo[];
  queue: RunQueueState;
  /** A search for a learning rate; null when it is closed. */
  finder: FinderState | null;
}

/** A run in the table of all runs. Null where its record does not say. */
export interface RunRow {
  readonly dir: string;
  readonly name: string;
  readonly preset: string;
  readonly step: number | null;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly parameters: number | null;
  /** Time of its steps in seconds, without evaluations and pauses. */
  readonly seconds: number | null;
  /** Labels and values of the settings that differ from the preset's. */
  readonly changed: string;
}

export type QueueChange = "remove" | "up" | "down" | "now";

/** Runs that start one after the other. */
export interface RunQueueState {
  readonly waiting: readonly QueuedRun[];
  /** Why the queue waits for the user; null when the next run starts automatically. */
  readonly held: string | null;
}

export interface QueuedRun {
  readonly id: number;
  readonly name: string;
  readonly preset: string;
  /** Steps and changed settings; "" if neither is known. */
  readonly about: string;
}

/** A learning-rate search: the loss at each of the rising rates. */
export interface FinderState {
  readonly name: string;
  readonly points: readonly RatePoint[];
  /** Known at the end. */
  readonly suggestion: number | null;
}

/** A page of a run's training text with the surprisal of each token. */
export interface PaintedText extends Excerpt {
  /** Step of the checkpoint that scored it. */
  readonly step: number;
  readonly surprisal: Surprisal;
}

export type RunPhase = "preparing" | "running" | "paused" | "stopping" | "stopped" | "done" | "failed";

export interface RunState {
  readonly phase: RunPhase;
  /** The current preparation step, or why the run failed and what to do. */
  readonly message: string | null;
  readonly secondsLeft: number | null;
  /** The run failed because its values became infinite or NaN; resumed without changes, it fails again. */
  readonly diverged?: boolean;
}

/** Everything that is known about a run, so that a new view can draw it. */
export interface RunSnapshot {
  readonly dir: string;
  readonly name: string;
  readonly preset: string;
  readonly state: RunState;
  /** Progress of the preparation, 0 to 1; null if unknown, and after the run has started. */
  readonly prepared: number | null;
  /** Null before the run has started. `deviceReason` says why the device was chosen. */
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
  /** The run's training.json; null before it is written, or if it is damaged. */
  readonly record: RunRecord | null;
}

/** A warning to show; the end of the run is part of its state. */
export type RunWarning = Omit<WarningEvent, "ends">;

/** training.json, flattened: every value by its dotted name. */
export interface RunRecord {
  /** Settings of the run, for example "train.schedule.lr". */
  readonly settings: Facts;
  /** Everything else: seed, data, versions, device, dates. */
  readonly facts: Facts;
}

export type Facts = Readonly<Record<string, string | number | boolean | null>>;

type Empty = Record<string, never>;
