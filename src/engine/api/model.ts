/** Models as folders on disk, and the devices that run them. */

import type { DecoderConfig } from "./config";

export type Device = "cpu" | "webgpu";
/** "auto" benchmarks the CPU and the GPU once and uses the faster one. */
export type DeviceChoice = Device | "auto";

export interface DeviceInfo {
  readonly device: Device;
  readonly available: boolean;
  /** Name of the adapter or CPU, or why the device is not available. */
  readonly detail: string;
}

/** How the matrices are stored. */
export type Precision = "float32" | "float16" | "bfloat16" | "8-bit" | "4-bit";

export type TokenizerKind = "characters" | "words" | "bytePairs" | "fixed" | "none";

export interface ModelInfo {
  readonly dir: string;
  readonly name: string;
  /** Preset of the training run here; null for imported models. */
  readonly preset: string | null;
  /** The `model_type` of config.json. */
  readonly family: string;
  readonly parameters: number;
  /** Size of the weight files. */
  readonly bytes: number;
  readonly precision: Precision;
  readonly config: DecoderConfig;
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly device: Device;
  readonly tokenizer: TokenizerKind;
  readonly createdAt: string;
  readonly parity?: Parity | undefined;
  /** How the files differ from what config.json and their names say, one sentence each. */
  readonly notes?: readonly string[] | undefined;
}

/** A tensor in the weight files that the model does not use. */
export interface IgnoredTensor {
  /** Name in the checkpoint. */
  readonly name: string;
  /** Its purpose, for example "rotary frequencies, which follow from config.json"; null if unknown. */
  readonly reason: string | null;
}

/** Largest difference of any float32 value of this family's forward pass from a reference implementation. */
export interface Parity {
  readonly maxDifference: number;
  /** The reference implementation. */
  readonly of: string;
}

/** A module as PyTorch prints it, with the parameters it owns directly. */
export interface ModuleTree {
  readonly name: string;
  /** For example `Linear(in_features=128, out_features=512, bias=True)`. */
  readonly kind: string;
  /** Our name, for example `blocks.3.q`; absent for modules that only contain others. */
  readonly module?: string | undefined;
  /** Including all submodules; a tied head counts once. */
  readonly parameters: number;
  /** Size as stored. */
  readonly bytes: number;
  readonly tensors: readonly TensorDescription[];
  readonly children: readonly ModuleTree[];
  /** Only on the root of a quantized model. */
  readonly perplexity?: PerplexityCost | undefined;
  /** Only on the root: see `ModelInfo`. */
  readonly notes?: readonly string[] | undefined;
  /** Only on the root. */
  readonly ignored?: readonly IgnoredTensor[] | undefined;
}

export interface TensorDescription {
  /** Name in the checkpoint. */
  readonly name: string;
  readonly shape: readonly number[];
  /** PyTorch's name; for a quantized matrix with its width, `uint8 (8-bit)`. */
  readonly dtype: string;
  readonly bytes: number;
  /** Quantization error: RMS of the difference divided by RMS of the original values. */
  readonly relativeError?: number | undefined;
}

/** Perplexity on a sample text before and after quantization. */
export interface PerplexityCost {
  readonly tokens: number;
  readonly before: number;
  readonly after: number;
}

/** Bytes of weights written so far; the other files are small. */
export interface ExportProgress {
  readonly bytes: number;
  readonly totalBytes: number;
}
