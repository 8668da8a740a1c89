/**
 * Requests that the extension host sends to the engine process.
 *
 * Both sides import this file and nothing else of each other. Typed arrays are sent unchanged (structured clone).
 */

import type { GeneratedToken, GenerateResult, Sampling } from "../engine/api/generation";
import type { FoundModel, HubAccess, ImportProgress, ModelFileInfo } from "../engine/api/hub";
import type { DeviceChoice, DeviceInfo, ExportProgress, ModelInfo, ModuleTree } from "../engine/api/model";
import type {
  BranchParams,
  CheckpointInfo,
  Excerpt,
  FoundRate,
  MemoryEstimate,
  PlannedRun,
  PresetInfo,
  RatePoint,
  Settings,
  SettingsInfo,
  TrainEvent,
  TrainParams,
  TrainResult,
} from "../engine/api/run";
import type { TokenSpan } from "../engine/api/tokens";
import type { Method } from "./rpc";
import type { TraceApi } from "./traceApi";

export type * from "../engine/api/generation";
export type * from "../engine/api/hub";
export type * from "../engine/api/model";
export type * from "../engine/api/run";
export type * from "../engine/api/tokens";
export type { TraceInfo, TraceTensor } from "../engine/api/trace";

/** Served by the engine process. */
export interface EngineApi extends TraceApi {
  devices: Method<Record<string, never>, DeviceInfo[]>;

  /** Checks and describes a model folder without loading weights. */
  model: Method<{ dir: string }, ModelInfo>;
  describe: Method<{ dir: string }, ModuleTree>;
  /** Unloads a model. Its files are memory-mapped while loaded, and Windows does not delete mapped files. */
  closeModel: Method<{ dir: string }, null>;
  /** The module tree as PyTorch prints it. */
  printModules: Method<{ dir: string }, string>;

  /** Text-generation models of the hub with a supported architecture, most downloaded first. */
  searchHub: Method<{ query: string; access: HubAccess }, FoundModel[]>;
  /** Checks the header of a GGUF file. */
  checkGguf: Method<{ readonly path: string }, ModelFileInfo>;
  /** Creates a model folder. After a cancellation the next import resumes from the cache. */
  importModel: Method<ImportParams, ModelInfo, ImportProgress>;

  /** Tokens of a short text, including the special tokens that the model adds around a prompt. */
  tokenize: Method<{ dir: string; text: string }, TokenSpan[]>;
  /**
   * The token at a UTF-16 offset of a document. The engine caches a document's text and tokens by version; it answers
   * "needText" for a version it does not have, and the caller then sends the text.
   */
  tokenAt: Method<{ dir: string; uri: string; version: number; text?: string; offset: number }, TokenAt>;
  closeDocument: Method<{ uri: string }, null>;

  generate: Method<GenerateParams, GenerateResult, GeneratedToken>;

  /** Trains until done or stopped. Canceling stops the run as `stopRun` does: progress so far is kept. */
  train: Method<TrainParams, TrainResult, TrainEvent>;
  /** Continues from a model folder's last checkpoint. */
  resume: Method<{ dir: string; steps?: number; device?: DeviceChoice }, TrainResult, TrainEvent>;
  /** Continues from a checkpoint in a new folder; without changes, it repeats the original run exactly. */
  branch: Method<BranchParams, TrainResult, TrainEvent>;
  /** Memory that a run needs, computed without starting it. */
  estimate: Method<PlannedRun, MemoryEstimate>;
  /** Trains briefly with rising learning rates, reports each one, and keeps nothing. */
  findLearningRate: Method<PlannedRun, FoundRate, RatePoint>;
  /** Saved checkpoints of a run, the newest last. Empty for runs that train adapters, which are not whole models. */
  checkpoints: Method<{ dir: string }, CheckpointInfo[]>;
  /** A page of a run's training text; fails for runs that generate their examples. */
  trainingExcerpt: Method<{ dir: string; page: number }, Excerpt>;
  /** Writes a model for other programs; "torch" is a project that continues its training. Canceling leaves no files. */
  exportModel: Method<ExportParams, { readonly dir: string }, ExportProgress>;
  pauseRun: Method<{ dir: string; paused: boolean }, null>;
  stopRun: Method<{ dir: string }, null>;
  presets: Method<Record<string, never>, PresetInfo[]>;
  /** Settings for fine-tuning a model, with `set` applied; fails for a model that cannot be fine-tuned. */
  fineTuning: Method<{ readonly dir: string; readonly set: Settings }, SettingsInfo>;
}

export interface ImportParams {
  /** A model of the hub (`org/name`, `org/name@revision`, or its address), a folder, or a .gguf file. */
  readonly source: string;
  /** The model folder to create; must not exist or be empty. */
  readonly out: string;
  /** Quantizes the matrices to 8 or 4 bits. */
  readonly quantize?: "int8" | "int4" | undefined;
  readonly access: HubAccess;
}

type TokenAt =
  | { readonly kind: "needText" }
  /** The offset is past the end of the text, or no token covers it. */
  | { readonly kind: "none" }
  /** `index` counts the document's tokens from 0. */
  | { readonly kind: "token"; readonly span: TokenSpan; readonly index: number };

export interface GenerateParams extends Partial<Sampling> {
  readonly dir: string;
  readonly prompt: string;
  readonly maxNewTokens: number;
  /** Maximum number of prompt tokens to read, counted from the end; the model's context is a limit in any case. */
  readonly contextTokens?: number;
  /** Generation ends before the first occurrence of one of these strings. */
  readonly stop?: readonly string[];
}

interface ExportParams {
  readonly dir: string;
  readonly format: "hf" | "onnx" | "torch";
  /** The folder to create; must not exist or be empty. */
  readonly out: string;
}
