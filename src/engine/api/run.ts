/** Training runs: settings, events and results. */

import type { Device, DeviceChoice, ModelInfo } from "./model";

/** A setting's value, by its dotted name such as "model.nLayers" or "train.steps". */
export type Setting = string | number | boolean;
export type Settings = Readonly<Record<string, Setting>>;

export type TextSource =
  | { readonly kind: "text"; readonly name: string; readonly text: string }
  /** Text files, folders (read recursively) and patterns such as `src/*.txt`, on the engine's machine. */
  | { readonly kind: "paths"; readonly paths: readonly string[] };

export interface TrainParams {
  readonly preset: string;
  /** The model folder to fine-tune; with the preset "finetune" only. */
  readonly from?: string;
  /** Task presets generate their data, and some presets include a text; translators learn from sentence pairs. */
  readonly data?: TextSource;
  /** The model folder to create; must not exist or be empty. */
  readonly out: string;
  readonly name: string;
  readonly device: DeviceChoice;
  /** Overrides of the preset's settings. */
  readonly set?: Settings;
}

/** Parameters of `train` before the folder and the name are chosen. */
export type PlannedRun = Omit<TrainParams, "out" | "name"> & Partial<Pick<TrainParams, "out" | "name">>;

export interface BranchParams {
  /** The checkpoint's folder. */
  readonly dir: string;
  /** The model folder to create; must not exist or be empty. */
  readonly out: string;
  readonly name: string;
  readonly device: DeviceChoice;
  /** Training settings to change from here on; the model and the held-out data stay the same. */
  readonly set?: Settings;
}

/** Everything a run needs besides the model and the data. */

export type Optimizer = {
  readonly kind: "adam" | "adamw";
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** AdamW's decoupled decay, applied to matrices only, not to biases, norms or embeddings. */
  readonly weightDecay: number;
};

export type Schedule =
  | { readonly kind: "constant"; readonly lr: number }
  | { readonly kind: "noam"; readonly factor: number; readonly warmup: number }
  | { readonly kind: "step"; readonly lr: number; readonly stepSize: number; readonly gamma: number }
  | { readonly kind: "cosine"; readonly lr: number; readonly minLr: number; readonly warmup: number };

export interface TrainConfig {
  readonly seed: number;
  readonly steps: number;
  readonly batchSize: number;
  /** Batches accumulated per step: equivalent to one larger batch, in the memory of one. */
  readonly gradientAccumulation: number;
  /** Context length of training sequences in tokens, at most the model's nCtx. */
  readonly blockSize: number;
  /** Applied to the embeddings and to the outputs of attention and MLP (Vaswani et al. 2017, section 5.4). */
  readonly dropout: number;
  /** Applies dropout to the attention patterns too, as in GPT-2. */
  readonly attentionDropout: boolean;
  /** Share of each label spread over the whole vocabulary (Szegedy et al., 2016); none by default. */
  readonly labelSmoothing?: number;
  readonly init: "xavier" | "gpt2";
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
  /** Gradients are clipped to this L2 norm; 0 disables clipping. */
  readonly maxGradNorm: number;
  readonly evalEvery: number;
  readonly evalBatches: number;
  readonly checkpointEvery: number;
  readonly sampleEvery: number;
}

/** Measurements of one optimization step. */
export interface StepReport {
  /** Counted from 1; the report of step n is made after n updates. */
  readonly step: number;
  /** Mean cross-entropy of the step's batch, in nats per token, before the update. */
  readonly loss: number;
  readonly lr: number;
  /** L2 norm of all gradients before clipping. */
  readonly gradNorm: number;
  readonly tokensPerSecond: number;
}

/** Errors in numeric answers. Digits are in writing order. */
export interface TaskReport {
  /** Share of examples with the correct digit, by digit index in the answer. */
  readonly byDigit: readonly number[];
  /** Correct answers by number of carries (borrows, in subtractions); empty for products. */
  readonly byCarry: readonly { readonly carries: number; readonly right: number; readonly of: number }[];
  /** By digit index: counts of the written digit (columns, 0-9) by the correct one (rows, 0-9). */
  readonly confusion: readonly (readonly (readonly number[])[])[];
}

export interface EvalReport {
  readonly step: number;
  /** Mean cross-entropy on the validation split, in nats per token. */
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  /** Share of task answers with every token correct; task presets only. */
  readonly accuracy?: number;
  /** Only for tasks with numeric answers. */
  readonly task?: TaskReport;
}

/** Update-to-weight ratios of one step. */
export interface UpdateReport {
  readonly step: number;
  readonly layers: readonly LayerUpdate[];
}

export interface LayerUpdate {
  /** "embeddings", "blocks.0" …, "lnFinal", "head"; with the prefix "enc." in a translator's encoder. */
  readonly name: string;
  /** RMS of the update divided by RMS of the weights before it. */
  readonly ratio: number;
}

/** A problem at a step: one sentence that says what went wrong and what to change. */
export interface RunWarning {
  readonly step: number;
  readonly message: string;
  /** The run cannot continue; the same message is reported as its error. */
  readonly ends: boolean;
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
  /** Sent after each evaluation. */
  | ({ readonly kind: "updates" } & UpdateReport)
  | ({ readonly kind: "warning" } & RunWarning)
  | ({ readonly kind: "sample" } & SampleReport)
  | { readonly kind: "checkpoint"; readonly step: number }
  | { readonly kind: "paused"; readonly paused: boolean };

export interface SampleReport {
  readonly step: number;
  readonly text: string;
}

export interface TrainResult {
  readonly dir: string;
  readonly step: number;
  readonly reason: "done" | "stopped";
  readonly eval: EvalReport | null;
}

export interface MemoryEstimate {
  readonly parameters: number;
  readonly neededBytes: number;
  readonly freeBytes: number;
  readonly fits: boolean;
  /** A sentence that says what to change; null if the run fits. `train` fails with the same sentence. */
  readonly advice: string | null;
}

export interface RatePoint {
  readonly lr: number;
  /** Smoothed over the last steps, in nats per token. */
  readonly loss: number;
}

export interface FoundRate {
  readonly points: readonly RatePoint[];
  /** The rate with the steepest fall of the loss: the peak that the schedule should reach. */
  readonly suggestion: number;
  /** The setting that applies it: "train.schedule.lr", or the factor of Noam's schedule. */
  readonly set: Settings;
}

/** A checkpoint of a run. Its folder is a model folder, usable wherever a model's `dir` is. */
export interface CheckpointInfo {
  readonly step: number;
  readonly dir: string;
  /** The latest values known at that step. */
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly accuracy: number | null;
}

/** One page of a run's training text. */
export interface Excerpt {
  readonly text: string;
  /** Counted from 0; a page past the end is the last page. */
  readonly page: number;
  /** An estimate for a text that was not read to its end. */
  readonly pages: number;
  /** The text's name. */
  readonly source: string;
}

export interface PresetInfo extends SettingsInfo {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Results to expect with the default settings, one sentence each. */
  readonly expected: readonly string[];
  /** The preset trains on a text that the user chooses. */
  readonly needsText: boolean;
  /** Name of the included text, if there is one. */
  readonly sample: string | null;
}

/** The settings of a run before it starts. */
export interface SettingsInfo {
  /** Every setting with its default. */
  readonly settings: Settings;
  /** Allowed words of the settings that have a fixed set. */
  readonly choices: Readonly<Record<string, readonly string[]>>;
  /** The settings of every schedule that can replace the preset's own, by kind (`train.schedule.kind`). */
  readonly schedules: Readonly<Record<string, Settings>>;
}
