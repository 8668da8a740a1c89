/** The set-ups that Decoder Lab trains by name: a model, how it is trained, and what it is trained on. */

import type { Lora } from "../nn/adapters";
import type { ClassicConfig } from "../nn/config";
import type { TrainConfig } from "../train/config";

/** How a run trains, by name. */
export interface Recipe {
  readonly name: string;
  /** What the model learns: a text that the user chooses, or a task that makes its own data. */
  readonly data: TextData | PairsData | { readonly kind: "adder" };
  readonly train: TrainConfig;
}

/** How a text is read and learned from. */
export interface TextData {
  readonly kind: "text";
  readonly validationShare: number;
  /** What is held out: the end of the text, or documents here and there. A document is a file, or a line of JSONL. */
  readonly split: "position" | "document";
  /** Whether EOS comes after each document, where the tokenizer has it. */
  readonly endDocuments: boolean;
  /** Sequences from anywhere, or one after the other. */
  readonly order: "random" | "sequential";
  /** Where the text of a line of a JSONL file is; an empty name: such files are text like any other. */
  readonly field: string;
  /** Whether folders and patterns leave out what git is told to ignore. */
  readonly gitignore: boolean;
}

/** How sentence pairs are read and learned from. */
export interface PairsData {
  readonly kind: "pairs";
  /** Of the pairs: the share that is validated with, and as many are tested with. */
  readonly validationShare: number;
  readonly lowercase: boolean;
}

const TEXT: TextData = {
  kind: "text",
  validationShare: 0.1,
  split: "position",
  endDocuments: false,
  order: "random",
  field: "text",
  gitignore: true,
};

/** Training a new model. */
export interface Preset extends Recipe {
  readonly title: string;
  readonly description: string;
  /** The vocabulary comes from the data; for text the context is the block that is trained on. */
  readonly model: Omit<ClassicConfig, "vocabSize" | "nCtx"> & {
    /** Of encoder-decoders, whose other sizes are those of both stacks. */
    readonly nEncoderLayers?: number;
  };
}

/** Training a model of a folder further. */
export interface FineTuning extends Recipe {
  /** A rank of 0 trains all parameters. */
  readonly lora: Lora;
}

/** Two-digit addition as in the notebook that made it known; 28 batches of 256 cover its 7,000 equations once. */
const ADDER_EPOCH = 28;

const adder: Preset = {
  name: "adder",
  title: "Adder",
  description:
    "Learns two-digit addition: 15+57=072. Exact answers after about 30 epochs; the model is that of the best epoch.",
  data: { kind: "adder" },
  model: {
    nLayers: 2,
    nHeads: 4,
    dModel: 128,
    dMlp: 256,
    norm: "post",
    finalNorm: true,
    normEps: 1e-5,
    normBias: true,
    activation: "relu",
    attentionBias: false,
    mlpBias: true,
    tiedHead: false,
    headBias: true,
  },
  train: {
    seed: 1,
    steps: 30 * ADDER_EPOCH,
    batchSize: 256,
    blockSize: 10,
    dropout: 0.1,
    // With it 30 epochs leave one or two wrong answers in a thousand: docs/decisions/2026-11-21-adder.md.
    attentionDropout: false,
    init: "xavier",
    optimizer: { kind: "adam", beta1: 0.9, beta2: 0.98, eps: 1e-9, weightDecay: 0 },
    schedule: { kind: "noam", factor: 0.2, warmup: 3 * ADDER_EPOCH },
    maxGradNorm: 1,
    evalEvery: ADDER_EPOCH,
    evalBatches: 8,
    checkpointEvery: 5 * ADDER_EPOCH,
    sampleEvery: ADDER_EPOCH,
  },
};

/** nanoGPT's configuration for a CPU (its README, "I only have a macbook"): character level, about 3 minutes there. */
const char: Preset = {
  name: "char",
  title: "Character GPT",
  description: "Learns to write like a text of yours, character by character (nanoGPT's CPU configuration).",
  data: TEXT,
  model: {
    nLayers: 4,
    nHeads: 4,
    dModel: 128,
    dMlp: 512,
    norm: "pre",
    finalNorm: true,
    normEps: 1e-5,
    normBias: false,
    activation: "gelu",
    attentionBias: false,
    mlpBias: false,
    tiedHead: true,
    headBias: false,
  },
  train: {
    seed: 1,
    steps: 2000,
    batchSize: 12,
    blockSize: 64,
    dropout: 0,
    attentionDropout: true,
    init: "gpt2",
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0.1 },
    schedule: { kind: "cosine", lr: 1e-3, minLr: 1e-4, warmup: 100 },
    maxGradNorm: 1,
    evalEvery: 250,
    evalBatches: 20,
    checkpointEvery: 250,
    sampleEvery: 250,
  },
};

/**
 * The transformer of 2017 at the size of a toy: encoder and decoder, sinusoidal positions, label smoothing, Noam's
 * schedule. Norms stand after each sublayer as in the paper, and one after each stack as in torch.nn.Transformer.
 */
const translate: Preset = {
  name: "translate",
  title: "Translator",
  description:
    "Learns to translate from sentence pairs, a tab between the two: an encoder and a decoder that attends to it.",
  data: { kind: "pairs", validationShare: 0.1, lowercase: true },
  model: {
    nEncoderLayers: 2,
    nLayers: 2,
    nHeads: 4,
    dModel: 64,
    dMlp: 256,
    norm: "post",
    finalNorm: true,
    normEps: 1e-5,
    normBias: true,
    activation: "relu",
    attentionBias: true,
    mlpBias: true,
    tiedHead: false,
    headBias: true,
  },
  train: {
    seed: 1,
    steps: 1500,
    batchSize: 64,
    blockSize: 32,
    // Of a few hundred pairs less is learned by heart than with 0.1: docs/decisions/2026-11-21-translate.md.
    dropout: 0.3,
    attentionDropout: false,
    labelSmoothing: 0.1,
    init: "xavier",
    optimizer: { kind: "adam", beta1: 0.9, beta2: 0.98, eps: 1e-9, weightDecay: 0 },
    schedule: { kind: "noam", factor: 0.4, warmup: 200 },
    maxGradNorm: 1,
    evalEvery: 100,
    evalBatches: 20,
    checkpointEvery: 300,
    sampleEvery: 100,
  },
};

export const PRESETS: readonly Preset[] = [char, adder, translate];

/** A pretrained model on a text: small steps, which change what it knows little, over short sequences. */
export const FINE_TUNING: FineTuning = {
  name: "finetune",
  data: TEXT,
  lora: { rank: 0, alpha: 16 },
  train: {
    seed: 1,
    steps: 200,
    batchSize: 4,
    blockSize: 128,
    dropout: 0,
    attentionDropout: false,
    // Not used, and no setting: the parameters are there.
    init: "gpt2",
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
    schedule: { kind: "cosine", lr: 5e-5, minLr: 5e-6, warmup: 20 },
    maxGradNorm: 1,
    evalEvery: 50,
    evalBatches: 10,
    checkpointEvery: 100,
    sampleEvery: 50,
  },
};

/** Adapters start from nothing and are few: they take larger steps than the parameters of a model. */
export const LORA_LEARNING_RATE = 2e-4;
