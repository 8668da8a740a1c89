/**
 * What the engine process serves and the extension host asks.
 *
 * Both sides import this file and nothing else of each other. Typed arrays cross as they are (structured clone).
 */

import type { DecoderConfig } from "../engine/nn/config";
import type { EvalReport, StepReport, TrainConfig } from "../engine/train/config";
import type { Method } from "./rpc";
import type { Intervention, TraceApi } from "./traceApi";

export type { EvalReport, StepReport, TrainConfig };

/** What the engine answers of `TraceApi` so far. */
type TraceAnswers =
  | "intervene"
  | "lens"
  | "expectations"
  | "sampler"
  | "attribution"
  | "surprisal"
  | "generationTrace"
  | "attentionGrid"
  | "neighbors"
  | "projection"
  | "vocabularyTokens"
  | "weightSummary"
  | "compareTraces"
  | "compareWeights"
  | "saveTrace"
  | "openTrace";

/** Served by the engine process. */
export interface EngineApi extends Pick<TraceApi, TraceAnswers> {
  devices: Method<Record<string, never>, DeviceInfo[]>;

  /** Checks a model folder and answers what is in it; loads no weights. */
  model: Method<{ dir: string }, ModelInfo>;
  describe: Method<{ dir: string }, ModuleTree>;
  /** Lets go of a model's files, which are mapped while it is used: Windows deletes no mapped file. */
  closeModel: Method<{ dir: string }, null>;
  /** The same as PyTorch prints it. */
  printModules: Method<{ dir: string }, string>;

  /** Text-generation models of the hub whose architecture is known, most downloaded first. */
  searchHub: Method<{ query: string; access: HubAccess }, FoundModel[]>;
  /** Makes a model folder. Canceling leaves what was downloaded in the cache, from which the next import goes on. */
  importModel: Method<ImportParams, ModelInfo, ImportProgress>;

  /** Tokens of a short text, with the special tokens that the model puts around a prompt. */
  tokenize: Method<{ dir: string; text: string }, TokenSpan[]>;
  /**
   * The token at a UTF-16 offset of a document. The engine keeps the document's text and its tokens by version;
   * it answers "needText" when it does not have that version, and the caller sends the text once.
   */
  tokenAt: Method<{ dir: string; uri: string; version: number; text?: string; offset: number }, TokenAt>;
  closeDocument: Method<{ uri: string }, null>;

  generate: Method<GenerateParams, GenerateResult, GeneratedToken>;

  /** Runs the model once over a text and keeps the trace; values are asked for by name. */
  inspect: Method<
    { dir: string; text: string /** Keep only the last this many tokens. */; maxTokens?: number },
    TraceInfo
  >;
  /** Of an attention value, one head of its queries; of keys and values, those that this head reads. */
  traceTensor: Method<{ trace: number; name: string; head?: number }, TraceTensor>;
  /** Tokens by id (`#12`) or text, exact matches first, with their ranks after a position: the last, if none is given. */
  findTokens: Method<{ trace: number; query: string; count: number; position?: number }, FoundTokens>;
  releaseTrace: Method<{ trace: number }, null>;

  /** Trains until done or stopped. Canceling the request stops the run as `stopRun` does: what was learned is kept. */
  train: Method<TrainParams, TrainResult, TrainEvent>;
  /** Goes on from a model folder's last checkpoint. */
  resume: Method<{ dir: string; steps?: number; device?: DeviceChoice }, TrainResult, TrainEvent>;
  /** Trains on from a checkpoint in a new folder: without changes, exactly as the run that it is of went on. */
  branch: Method<BranchParams, TrainResult, TrainEvent>;
  /** Whether a run fits into memory, without starting it. */
  estimate: Method<PlannedRun, MemoryEstimate>;
  /** A short training with rising learning rates, of which nothing is kept; every rate is told as it was tried. */
  findLearningRate: Method<PlannedRun, FoundRate, RatePoint>;
  /** What a run has kept of itself, the newest last. None of a run that trains adapters: those are no whole models. */
  checkpoints: Method<{ dir: string }, CheckpointInfo[]>;
  /** A page of the text that a run learns from; refused of runs that make their own examples. */
  trainingExcerpt: Method<{ dir: string; page: number }, Excerpt>;
  /** Writes a model for other programs; "torch" is a project that trains it further. Canceling leaves nothing. */
  exportModel: Method<ExportParams, { readonly dir: string }, ExportProgress>;
  pauseRun: Method<{ dir: string; paused: boolean }, null>;
  stopRun: Method<{ dir: string }, null>;
  presets: Method<Record<string, never>, PresetInfo[]>;
}

export type Device = "cpu" | "webgpu";
/** "auto" measures both where a GPU is present and takes the faster. */
export type DeviceChoice = Device | "auto";

export interface DeviceInfo {
  readonly device: Device;
  readonly available: boolean;
  /** Adapter or processor, or why it is not available. */
  readonly detail: string;
}

export interface ModelInfo {
  readonly dir: string;
  readonly name: string;
  /** What it was trained with here; null of imported models. */
  readonly preset: string | null;
  /** config.json's model_type. */
  readonly family: string;
  readonly parameters: number;
  /** Of the weights in their files. */
  readonly bytes: number;
  readonly precision: "float32" | "float16" | "bfloat16" | "8-bit" | "4-bit";
  readonly config: DecoderConfig;
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly device: Device;
  readonly tokenizer: "characters" | "words" | "bytePairs" | "fixed" | "none";
  readonly createdAt: string;
  /** How near this family's float32 numbers come to a reference's: no value of a run differed by more. */
  readonly parity?: { readonly maxDifference: number; readonly of: string } | undefined;
}

export interface HubAccess {
  /** For gated and private models; where there is none, what the engine finds in its environment. */
  readonly token?: string | undefined;
  /** A mirror's address; where there is none, the hub itself. */
  readonly endpoint?: string | undefined;
  /** Only what the cache has. */
  readonly offline: boolean;
}

export interface FoundModel {
  readonly id: string;
  readonly downloads: number;
  readonly likes: number;
  readonly parameters?: number;
  readonly modelType?: string;
}

export interface ImportParams {
  /** A model of the hub (`org/name`, `org/name@revision`, its address), a folder, or a .gguf file. */
  readonly source: string;
  /** The model folder to make; must not exist or be empty. */
  readonly out: string;
  /** Keeps the matrices in 8 or 4 bits. */
  readonly quantize?: "int8" | "int4" | undefined;
  readonly access: HubAccess;
}

export interface ImportProgress {
  readonly phase: "connect" | "download" | "check" | "copy" | "convert" | "quantize" | "measure";
  /** What is being worked on; empty before the first file. */
  readonly file: string;
  /** Of all files of the phase; what was there before counts as done. */
  readonly bytes: number;
  /** Zero where it is not known yet. */
  readonly totalBytes: number;
  readonly bytesPerSecond: number;
  /** Null where the speed is not known yet. */
  readonly secondsLeft: number | null;
}

/** A module as PyTorch would print it, with the parameters it holds itself. */
export interface ModuleTree {
  readonly name: string;
  readonly kind: string;
  /** What we call it, such as `blocks.3.q`; none of a module that only holds others. */
  readonly module?: string | undefined;
  /** With everything in it; a tied head counts once. */
  readonly parameters: number;
  /** What they take as they are stored. */
  readonly bytes: number;
  readonly tensors: readonly {
    /** As in the checkpoint. */
    readonly name: string;
    readonly shape: readonly number[];
    /** As PyTorch calls it; of a quantized matrix with its width, `uint8 (8-bit)`. */
    readonly dtype: string;
    readonly bytes: number;
    /** What quantizing it cost: root mean square of the difference, by that of the values. */
    readonly relativeError?: number | undefined;
  }[];
  readonly children: readonly ModuleTree[];
  /** Of a whole model that was quantized: its perplexity on a sample text, before and after. */
  readonly perplexity?: { readonly tokens: number; readonly before: number; readonly after: number } | undefined;
}

export interface TokenSpan {
  readonly id: number;
  /** As the vocabulary writes it. */
  readonly token: string;
  /** UTF-16 offsets in the text; equal for special tokens that stand for no text. */
  readonly start: number;
  readonly end: number;
  readonly special: boolean;
  /** The token's bytes in UTF-8; a token can be part of a character. */
  readonly bytes: Uint8Array;
}

export type TokenAt =
  | { readonly kind: "needText" }
  /** The offset is past the text, or the text there has no token. */
  | { readonly kind: "none" }
  | {
      readonly kind: "token";
      readonly span: TokenSpan /** Counted from 0 over the document. */;
      readonly index: number;
    };

export interface Sampling {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Keep the k most likely tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set of tokens with this probability mass; 1 keeps all. */
  readonly topP: number;
  /** Keep tokens with this share of the most likely one's probability; 0 keeps all. */
  readonly minP: number;
  /** Makes tokens that are there already less likely; 1 leaves them. */
  readonly repetitionPenalty: number;
  readonly seed: number;
}

export interface GenerateParams extends Partial<Sampling> {
  readonly dir: string;
  readonly prompt: string;
  readonly maxNewTokens: number;
  /** Reads at most so many of the prompt's last tokens; the model's own context is the limit in any case. */
  readonly contextTokens?: number;
  /** Generation ends before the first of these strings. */
  readonly stop?: readonly string[];
}

export interface GeneratedToken {
  readonly id: number;
  /** The text so far, without the prompt; a character whose bytes are not complete yet is held back. */
  readonly text: string;
  readonly probability: number;
  /** Of the distribution it was drawn from, in nats. */
  readonly entropy: number;
}

export interface GenerateResult {
  readonly ids: readonly number[];
  readonly text: string;
  readonly reason: "eos" | "length" | "stop" | "canceled";
  readonly promptTokens: number;
  /** Prompt tokens whose keys and values were still in the cache. */
  readonly reusedTokens: number;
  /** First tokens that the window over a text longer than the context leaves out. */
  readonly droppedTokens: number;
  readonly milliseconds: number;
}

export interface TraceInfo {
  readonly trace: number;
  readonly model: ModelInfo;
  readonly tokens: readonly TokenSpan[];
  /**
   * Of a translator, what it read. `tokens` are then BOS and the translation that it gives; values over the source are
   * named `enc.…`, and the attention to it `blocks.{l}.cross.…`, its pattern [1, H, T, S].
   */
  readonly source?: TraceSource | undefined;
  /** Every value of the run, by its trace name, with its shape (batch first). */
  readonly values: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** L2 norm of the residual stream, [nLayers + 1, T]: before the first block and after each. */
  readonly residualNorms: Float32Array;
  /** What comes after the last token. */
  readonly nextToken: NextToken;
  /** How this run was changed on the way; nothing of a run as it is. */
  readonly interventions?: readonly Intervention[] | undefined;
  readonly device: Device;
  readonly milliseconds: number;
  /** Whether it is from a file: without its model, whatever would run it is refused. */
  readonly opened?: boolean | undefined;
}

/** The encoder's side of a translator's trace. */
export interface TraceSource {
  /** Of the sentence, between BOS and EOS; offsets are of the text that was given. */
  readonly tokens: readonly TokenSpan[];
  /** L2 norm of the encoder's residual stream, [encoder layers + 1, S]. */
  readonly residualNorms: Float32Array;
  /** What the model makes of the sentence; the offsets of the trace's tokens are of this text. */
  readonly translation: string;
}

export interface NextToken {
  /** The most likely tokens, at most 100 of the vocabulary's `config.vocabSize`. */
  readonly top: readonly RankedToken[];
  /** Of the distribution over the whole vocabulary. */
  readonly entropyBits: number;
}

export interface RankedToken {
  readonly id: number;
  /** As the vocabulary writes it. */
  readonly token: string;
  /** Its text in UTF-8, which can be part of a character; none of a special token. */
  readonly bytes: Uint8Array;
  readonly probability: number;
  /** 1 is the most likely; of equally likely ones the lower id comes first. */
  readonly rank: number;
}

export interface FoundTokens {
  readonly found: readonly RankedToken[];
  /** How many there are, found or not. */
  readonly matches: number;
}

export interface TraceTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type TextSource =
  | { readonly kind: "text"; readonly name: string; readonly text: string }
  /** Files and folders on the engine's machine; folders are read recursively, text files only. */
  | { readonly kind: "paths"; readonly paths: readonly string[] };

export interface TrainParams {
  readonly preset: string;
  /** The model folder to train further; with the preset "finetune" only. */
  readonly from?: string;
  /** Task presets make their own data, and some come with a text. */
  readonly data?: TextSource;
  /** The model folder to make; must not exist or be empty. */
  readonly out: string;
  readonly name: string;
  readonly device: DeviceChoice;
  /** Dotted settings that override the preset's, such as "model.nLayers" or "train.steps". */
  readonly set?: Readonly<Record<string, string | number | boolean>>;
}

/** What `train` takes; the folder and the name are not needed yet. */
export type PlannedRun = Omit<TrainParams, "out" | "name"> & Partial<Pick<TrainParams, "out" | "name">>;

export interface MemoryEstimate {
  readonly parameters: number;
  readonly neededBytes: number;
  readonly freeBytes: number;
  readonly fits: boolean;
  /** A sentence that says what to change; null where it fits. Starting such a run is refused with the same. */
  readonly advice: string | null;
}

export interface RatePoint {
  readonly lr: number;
  /** Smoothed over the last steps. */
  readonly loss: number;
}

export interface FoundRate {
  readonly points: readonly RatePoint[];
  /** Where the loss falls fastest: the rate that the schedule should go up to. */
  readonly suggestion: number;
  /** The setting that makes it so: "train.schedule.lr", or of Noam's schedule its factor. */
  readonly set: Readonly<Record<string, string | number | boolean>>;
}

export interface BranchParams {
  /** The checkpoint's folder. */
  readonly dir: string;
  /** The model folder to make; must not exist or be empty. */
  readonly out: string;
  readonly name: string;
  readonly device: DeviceChoice;
  /** Settings of how it is trained that differ from here on: not the model's, nor what decides which data is held out. */
  readonly set?: Readonly<Record<string, string | number | boolean>>;
}

/** A model folder of its own, as the run was at a step: what takes a model's `dir` takes this one. */
export interface CheckpointInfo {
  readonly step: number;
  readonly dir: string;
  /** As they were last known at that step. */
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly accuracy: number | null;
}

export interface Excerpt {
  readonly text: string;
  /** Counted from 0; a page past the last is the last. */
  readonly page: number;
  /** Of a text that was not read to its end, an estimate. */
  readonly pages: number;
  /** The text's name. */
  readonly source: string;
}

export interface ExportParams {
  readonly dir: string;
  readonly format: "hf" | "onnx" | "torch";
  /** The folder to make; must not exist or be empty. */
  readonly out: string;
}

/** Of the weights; the other files are small. */
export interface ExportProgress {
  readonly bytes: number;
  readonly totalBytes: number;
}

export type TrainEvent =
  | { readonly kind: "prepare"; readonly message: string; readonly fraction: number | null }
  | {
      readonly kind: "start";
      readonly model: ModelInfo;
      readonly train: TrainConfig;
      readonly device: Device;
      readonly deviceReason: string;
    }
  | { readonly kind: "steps"; readonly reports: readonly StepReport[]; readonly secondsLeft: number }
  | { readonly kind: "eval"; readonly report: EvalReport }
  /** How far a step moved the weights: after each evaluation, the RMS of the update divided by that of the weights. */
  | { readonly kind: "updates"; readonly step: number; readonly layers: readonly LayerUpdate[] }
  /** One sentence on what went wrong at a step, and what to change; where it `ends` the run, an error says it as well. */
  | { readonly kind: "warning"; readonly step: number; readonly message: string; readonly ends: boolean }
  | { readonly kind: "sample"; readonly step: number; readonly text: string }
  | { readonly kind: "checkpoint"; readonly step: number }
  | { readonly kind: "paused"; readonly paused: boolean };

export interface LayerUpdate {
  /** "embeddings", "blocks.0" …, "lnFinal", "head"; of a translator's encoder with "enc." before it. */
  readonly name: string;
  readonly ratio: number;
}

export interface TrainResult {
  readonly dir: string;
  readonly step: number;
  readonly reason: "done" | "stopped";
  readonly eval: EvalReport | null;
}

export interface PresetInfo {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** What comes of it with its defaults, each in a sentence. */
  readonly expected: readonly string[];
  /** Whether it learns from a text, which the user chooses. */
  readonly needsText: boolean;
  /** The name of the text that it comes with, where none has to be chosen. */
  readonly sample: string | null;
  /** Every setting with its default, by dotted name. */
  readonly settings: Readonly<Record<string, string | number | boolean>>;
  /** The words that a setting is one of. */
  readonly choices: Readonly<Record<string, readonly string[]>>;
  /** The settings of every schedule that can take the place of its own, by kind (`train.schedule.kind`). */
  readonly schedules: Readonly<Record<string, Readonly<Record<string, string | number | boolean>>>>;
}
