/** The set-ups that Decoder Lab trains by name: a model, how it is trained, and what it is trained on. */

import type { TrainConfig } from "../api/run";
import { ADDITION, type Arithmetic, equationBlockSize } from "../data/adder";
import type { Lora } from "../nn/adapters";
import type { ClassicConfig } from "../nn/config";
import { SCHEDULES } from "../train/schedules";

/** How a run trains, by name. */
export interface Recipe {
  readonly name: string;
  /** What the model learns: a text that the user chooses, or a task that makes its own data. */
  readonly data: TextData | SentencesData | PairsData | ({ readonly kind: "adder" } & Arithmetic);
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
  /** The vocabulary that is learned from the text; characters where nothing is said. */
  readonly tokenizer?: "characters" | "words" | "bytePairs";
  /** Of words or byte pairs: how many tokens at most. */
  readonly vocabSize?: number;
}

/** How sentences are read and learned from: one on each line, by their words, between BOS and EOS. */
export interface SentencesData {
  readonly kind: "sentences";
  readonly lowercase: boolean;
  /** What becomes of a word in a prompt that no sentence has: it is refused by name, or read as `<unk>`. */
  readonly unknown: "refuse" | "unk";
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
  /** What comes of it with its defaults, each in a sentence; times are of two cores of a server. */
  readonly expected: readonly string[];
  /** What it learns from where no text is chosen. */
  readonly sample?: { readonly name: string; readonly text: string };
  /** The family that its models are of, as long as they compute what that one does. */
  readonly family?: "gpt2";
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
    "Learns two-digit addition: 15+57=072. Exact answers after about 30 epochs; the model is that of the best epoch. Other numbers of digits, subtraction, multiplication and reversed answers are settings.",
  expected: ["At least 999 of 1,000 unseen sums are right after 30 epochs of 28 steps, in about a minute."],
  data: { kind: "adder", ...ADDITION },
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
    gradientAccumulation: 1,
    blockSize: equationBlockSize(ADDITION),
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
  expected: [
    "On the works of Shakespeare a validation loss of 1.89 after 2,000 steps (published: 1.88), in two to three minutes.",
  ],
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
    gradientAccumulation: 1,
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

/** nanoGPT's configuration for a GPU (its README, train_shakespeare_char.py). */
const charGpu: Preset = {
  ...char,
  name: "char-gpu",
  title: "Character GPT, large",
  description: "Learns to write like a text of yours, character by character (nanoGPT's GPU configuration).",
  expected: [
    "On the works of Shakespeare the published best validation loss is 1.4697; without a GPU its 5,000 steps take half a day.",
  ],
  model: { ...char.model, nLayers: 6, nHeads: 6, dModel: 384, dMlp: 1536 },
  train: { ...char.train, steps: 5000, batchSize: 64, blockSize: 256, dropout: 0.2, evalBatches: 200 },
};

/**
 * The smallest language model that is one. The corpus has all it can say twice or four times over, so what is left to
 * guess is known: 8 ln 2 of its 26 words.
 */
const tinylm: Preset = {
  name: "tinylm",
  title: "Tiny language model",
  description:
    "Learns four greetings by heart, word by word: “how are” goes on with “you ?”. Small enough to follow every number; model.causal=false shows what the mask is for, data.unknown=unk reads words it does not know.",
  expected: [
    "A loss below 0.25 after 200 epochs of one step, in seconds; the corpus's own entropy is 8 ln 2 / 26 = 0.213.",
    "17,932 parameters: 12·32 + 2·(4·33·32 + 33·64 + 65·32 + 2·32 + 2·32) + 2·32 + 33·12.",
    "“how are” is completed with “you ?”.",
  ],
  sample: {
    name: "greetings",
    text: "hello , how are you ?\nhello , how is your day ?\nhow are you ?\nhow is your day ?\n",
  },
  data: { kind: "sentences", lowercase: false, unknown: "refuse" },
  model: {
    nLayers: 2,
    nHeads: 2,
    dModel: 32,
    dMlp: 64,
    positions: "none",
    causal: true,
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
    steps: 200,
    batchSize: 4,
    gradientAccumulation: 1,
    blockSize: 16,
    dropout: 0,
    attentionDropout: false,
    init: "xavier",
    optimizer: { kind: "adam", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
    schedule: { kind: "constant", lr: 1e-3 },
    maxGradNorm: 0,
    evalEvery: 20,
    evalBatches: 20,
    checkpointEvery: 50,
    sampleEvery: 20,
  },
};

/** A language model as they were taught with before GPT-2: words, Adam, a learning rate that falls in steps. */
const text: Preset = {
  name: "text",
  title: "Text model",
  description:
    "Learns to write like a text or a folder of yours, by characters, words or byte pairs (data.tokenizer, data.vocabSize), with a token after each document. train.schedule.kind=cosine train.optimizer.kind=adamw trains as GPTs are.",
  expected: ["On the stories of the samples a validation perplexity of 1.8 after 1,000 steps."],
  data: { ...TEXT, endDocuments: true, tokenizer: "words", vocabSize: 5000 },
  model: {
    nLayers: 2,
    nHeads: 4,
    dModel: 64,
    dMlp: 256,
    norm: "pre",
    finalNorm: true,
    normEps: 1e-5,
    normBias: true,
    activation: "gelu",
    attentionBias: true,
    mlpBias: true,
    tiedHead: false,
    headBias: true,
  },
  train: {
    seed: 1,
    steps: 1000,
    batchSize: 16,
    gradientAccumulation: 1,
    blockSize: 64,
    dropout: 0.1,
    attentionDropout: false,
    init: "gpt2",
    optimizer: { kind: "adam", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
    schedule: SCHEDULES.step,
    maxGradNorm: 0.5,
    evalEvery: 100,
    evalBatches: 20,
    checkpointEvery: 100,
    sampleEvery: 100,
  },
};

/** GPT-2 but for its size, initialized as it was. Its folder is one of GPT-2's. */
const gpt2: Preset = {
  name: "gpt2",
  title: "GPT-2 from scratch",
  description:
    "GPT-2's architecture at a size of your choice, with a byte-level BPE vocabulary learned from your text; saved as transformers' GPT-2. To train an imported GPT-2 further, fine-tune it.",
  expected: [
    "1,071,872 parameters with a vocabulary of 2,048, in a folder that transformers opens as GPT2LMHeadModel.",
  ],
  family: "gpt2",
  data: { ...TEXT, endDocuments: true, tokenizer: "bytePairs", vocabSize: 2048 },
  model: {
    nLayers: 4,
    nHeads: 4,
    dModel: 128,
    dMlp: 512,
    norm: "pre",
    finalNorm: true,
    normEps: 1e-5,
    normBias: true,
    activation: "geluTanh",
    attentionBias: true,
    mlpBias: true,
    tiedHead: true,
    headBias: false,
  },
  train: {
    seed: 1,
    steps: 500,
    batchSize: 8,
    gradientAccumulation: 1,
    blockSize: 128,
    dropout: 0.1,
    attentionDropout: true,
    init: "gpt2",
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 },
    schedule: { ...SCHEDULES.cosine, lr: 2e-3, minLr: 2e-4 },
    maxGradNorm: 1,
    evalEvery: 100,
    evalBatches: 20,
    checkpointEvery: 100,
    sampleEvery: 100,
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
  expected: ["At least 98 of 100 of the sample's held-out sentences are translated exactly after 1,500 steps."],
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
    gradientAccumulation: 1,
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

/** In the order in which they are offered. */
export const PRESETS: readonly Preset[] = [char, adder, tinylm, text, gpt2, translate, charGpu];

/** A pretrained model on a text: small steps, which change what it knows little, over short sequences. */
export const FINE_TUNING: FineTuning = {
  name: "finetune",
  data: TEXT,
  lora: { rank: 0, alpha: 16 },
  train: {
    seed: 1,
    steps: 200,
    batchSize: 4,
    gradientAccumulation: 1,
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
