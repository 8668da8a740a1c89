/** The presets: a model, its data and its training settings, by name. */

import type { TrainConfig } from "../api/run";
import { ADDITION, type Arithmetic, equationBlockSize } from "../data/adder";
import type { Lora } from "../nn/adapters";
import type { ClassicConfig } from "../nn/config";
import { SCHEDULES } from "../train/schedules";

/** Data and training settings of a run. */
export interface Recipe {
  readonly name: string;
  /** A text that the user chooses, or a task that generates its own data. */
  readonly data: TextData | SentencesData | PairsData | ({ readonly kind: "adder" } & Arithmetic);
  readonly train: TrainConfig;
}

/** How a text is read, split and sampled. */
export interface TextData {
  readonly kind: "text";
  readonly validationShare: number;
  /** The held-out part: the end of the text, or randomly chosen documents. A document is a file, or a line of JSONL. */
  readonly split: "position" | "document";
  /** Appends EOS to each document if the tokenizer has it. */
  readonly endDocuments: boolean;
  /** Sequences at random positions, or one after the other. */
  readonly order: "random" | "sequential";
  /** The field of a JSONL line that holds its text; empty to read JSONL files as plain text. */
  readonly field: string;
  /** Skips files in folders and patterns that git ignores. */
  readonly gitignore: boolean;
  /** The vocabulary to learn from the text; characters by default. */
  readonly tokenizer?: "characters" | "words" | "bytePairs";
  /** Maximum number of tokens, for words and byte pairs. */
  readonly vocabSize?: number;
}

/** How sentences are read: one per line, split into words, between BOS and EOS. */
export interface SentencesData {
  readonly kind: "sentences";
  readonly lowercase: boolean;
  /** An unknown word in a prompt is rejected with an error, or read as `<unk>`. */
  readonly unknown: "refuse" | "unk";
}

/** How sentence pairs are read and split. */
export interface PairsData {
  readonly kind: "pairs";
  /** Share of the pairs used for validation; the test set has the same size. */
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

/** Trains a new model. */
export interface Preset extends Recipe {
  readonly title: string;
  readonly description: string;
  /** Results to expect with the default settings, one sentence each; times on two server cores. */
  readonly expected: readonly string[];
  /** The file in `samples/` to train on when no text is chosen. */
  readonly sample?: "stories.txt" | "greetings.txt" | "english-french.tsv";
  /** The model family of the saved folder, unless changed settings make its models compute something else. */
  readonly family?: "gpt2";
  /** The vocabulary comes from the data; for text, nCtx is the training context length. */
  readonly model: Omit<ClassicConfig, "vocabSize" | "nCtx"> & {
    /** Encoder-decoders only; all other sizes apply to both stacks. */
    readonly nEncoderLayers?: number;
  };
}

/** Trains an existing model further. */
export interface FineTuning extends Recipe {
  /** A rank of 0 trains all parameters. */
  readonly lora: Lora;
}

/** Steps per epoch of two-digit addition: 28 batches of 256 cover its 7,000 training equations once. */
const ADDER_EPOCH = 28;

const adder: Preset = {
  name: "adder",
  title: "Adder",
  description:
    "Learns two-digit addition, such as 15+57=072, and keeps the model of the best epoch. Settings change the number of digits, the operator (subtraction, multiplication) and the order of the answer's digits.",
  expected: ["At least 999 of 1,000 unseen sums are correct after 30 epochs of 28 steps, in about a minute."],
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
    // With attention dropout, one or two answers in a thousand stay wrong after 30 epochs: docs/decisions/2026-11-21-adder.md.
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
  description: "Learns to write like your text, character by character (nanoGPT's CPU configuration).",
  expected: [
    "Validation loss 1.89 on the works of Shakespeare after 2,000 steps (published: 1.88), in two to three minutes.",
  ],
  sample: "stories.txt",
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
  description: "Learns to write like your text, character by character (nanoGPT's GPU configuration).",
  expected: [
    "The best published validation loss on the works of Shakespeare is 1.4697. Without a GPU, the 5,000 steps take half a day.",
  ],
  model: { ...char.model, nLayers: 6, nHeads: 6, dModel: 384, dMlp: 1536 },
  train: { ...char.train, steps: 5000, batchSize: 64, blockSize: 256, dropout: 0.2, evalBatches: 200 },
};

/**
 * The smallest real language model. Its corpus has eight equally likely two-way choices in 26 tokens, so the lowest
 * possible loss is known: 8 ln 2 / 26.
 */
const tinylm: Preset = {
  name: "tinylm",
  title: "Tiny language model",
  description:
    "Memorizes four greetings, word by word: “how are” continues with “you ?”. Small enough to follow every number. model.causal=false shows what the causal mask is for; data.unknown=unk accepts unknown words.",
  expected: [
    "Loss below 0.25 after 200 epochs of one step, in seconds. The entropy of the corpus is 8 ln 2 / 26 = 0.213.",
    "17,932 parameters: 12·32 + 2·(4·33·32 + 33·64 + 65·32 + 2·32 + 2·32) + 2·32 + 33·12.",
    "“how are” is completed with “you ?”.",
  ],
  sample: "greetings.txt",
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

const EVERY_100 = { evalEvery: 100, checkpointEvery: 100, sampleEvery: 100 };

/** A classic teaching setup from before GPT-2: words, Adam, a step schedule of the learning rate. */
const text: Preset = {
  name: "text",
  title: "Text model",
  description:
    "Learns to write like your text or folder, with a vocabulary of characters, words or byte pairs (data.tokenizer, data.vocabSize) and an end token after each document. To train the way GPT models are trained, set train.schedule.kind=cosine and train.optimizer.kind=adamw.",
  expected: ["Validation perplexity 1.9 on the sample stories after 1,000 steps."],
  sample: "stories.txt",
  data: { ...TEXT, endDocuments: true, tokenizer: "words", vocabSize: 5000 },
  model: {
    ...char.model,
    nLayers: 2,
    dModel: 64,
    dMlp: 256,
    normBias: true,
    attentionBias: true,
    mlpBias: true,
    tiedHead: false,
    headBias: true,
  },
  train: {
    ...char.train,
    steps: 1000,
    batchSize: 16,
    dropout: 0.1,
    attentionDropout: false,
    maxGradNorm: 0.5,
    optimizer: { kind: "adam", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
    schedule: SCHEDULES.step,
    ...EVERY_100,
  },
};

/** GPT-2 at a smaller size, with its initialization, saved in its format. */
const gpt2: Preset = {
  name: "gpt2",
  title: "GPT-2 from scratch",
  description:
    "GPT-2's architecture at a size of your choice, with a byte-level BPE vocabulary learned from your text, saved in the format of Hugging Face transformers. To train an imported GPT-2 further, fine-tune it.",
  expected: ["1,071,872 parameters with a vocabulary of 2,048; transformers opens the folder as GPT2LMHeadModel."],
  family: "gpt2",
  sample: "stories.txt",
  data: { ...TEXT, endDocuments: true, tokenizer: "bytePairs", vocabSize: 2048 },
  model: { ...char.model, normBias: true, activation: "geluTanh", attentionBias: true, mlpBias: true },
  train: {
    ...char.train,
    steps: 500,
    batchSize: 8,
    blockSize: 128,
    dropout: 0.1,
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 },
    schedule: { ...SCHEDULES.cosine, lr: 2e-3, minLr: 2e-4 },
    ...EVERY_100,
  },
};

/**
 * The transformer of Vaswani et al. (2017) in miniature: encoder and decoder, sinusoidal positions, label smoothing, Noam
 * schedule. A norm follows each sublayer as in the paper, and each stack as in torch.nn.Transformer.
 */
const translate: Preset = {
  name: "translate",
  title: "Translator",
  description:
    "Learns to translate from tab-separated sentence pairs, with an encoder and a decoder that attends to it.",
  expected: ["At least 98 of 100 held-out sentences of the sample are translated exactly after 1,500 steps."],
  sample: "english-french.tsv",
  data: { kind: "pairs", validationShare: 0.1, lowercase: true },
  model: { nEncoderLayers: 2, ...adder.model, dModel: 64, attentionBias: true },
  train: {
    ...adder.train,
    steps: 1500,
    batchSize: 64,
    blockSize: 32,
    // With 0.1, the model memorizes more of a few hundred pairs: docs/decisions/2026-11-21-translate.md.
    dropout: 0.3,
    labelSmoothing: 0.1,
    schedule: { kind: "noam", factor: 0.4, warmup: 200 },
    evalEvery: 100,
    evalBatches: 20,
    checkpointEvery: 300,
    sampleEvery: 100,
  },
};

/** In the order of the preset list. */
export const PRESETS: readonly Preset[] = [char, adder, tinylm, text, gpt2, translate, charGpu];

/** Fine-tunes a pretrained model on a text: small steps over short sequences, to preserve what it has learned. */
export const FINE_TUNING: FineTuning = {
  name: "finetune",
  data: TEXT,
  lora: { rank: 0, alpha: 16 },
  train: {
    // Its `init` is unused, and not a setting: the parameters already exist.
    ...char.train,
    steps: 200,
    batchSize: 4,
    blockSize: 128,
    attentionDropout: false,
    optimizer: { kind: "adamw", beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0 },
    schedule: { kind: "cosine", lr: 5e-5, minLr: 5e-6, warmup: 20 },
    evalEvery: 50,
    evalBatches: 10,
    checkpointEvery: 100,
    sampleEvery: 50,
  },
};

/** Adapters are few and start at zero, so they need a higher learning rate than full fine-tuning. */
export const LORA_LEARNING_RATE = 2e-4;
