/** How a model is trained: everything a run needs besides the model and the data. */

export type Optimizer = {
  readonly kind: "adam" | "adamw";
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** AdamW's decoupled decay, applied to matrices only: never to biases, norms or embeddings. */
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
  /** Batches whose gradients make one step together: the same as one batch of all of them, in the memory of one. */
  readonly gradientAccumulation: number;
  /** Tokens of a training sequence, at most the model's nCtx. */
  readonly blockSize: number;
  /** On the embeddings and on what attention and MLP add to the residual stream (Vaswani et al. 2017, section 5.4). */
  readonly dropout: number;
  /** Dropout also on the attention patterns, as in GPT-2. */
  readonly attentionDropout: boolean;
  /** The share of each label that is spread over the whole vocabulary (Szegedy et al., 2016); absent, none. */
  readonly labelSmoothing?: number;
  readonly init: "xavier" | "gpt2";
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
  /** Gradients are scaled down to this L2 norm; 0 switches clipping off. */
  readonly maxGradNorm: number;
  readonly evalEvery: number;
  readonly evalBatches: number;
  readonly checkpointEvery: number;
  readonly sampleEvery: number;
}

/** What one optimization step says about itself. */
export interface StepReport {
  /** Counted from 1; a report of step n is made after n updates. */
  readonly step: number;
  /** Mean cross-entropy of the step's batch, in nats per token, before the update. */
  readonly loss: number;
  readonly lr: number;
  /** L2 norm of all gradients before clipping. */
  readonly gradNorm: number;
  readonly tokensPerSecond: number;
}

/** Answers of numbers, looked at more closely. Digits are in the order in which they are written. */
export interface TaskReport {
  /** By place in the answer, the share of examples that have it right. */
  readonly byDigit: readonly number[];
  /** By how often something is carried (of differences: borrowed) on the way to the answer; empty for products. */
  readonly byCarry: readonly { readonly carries: number; readonly right: number; readonly of: number }[];
  /** By place: how often which digit (columns, 0-9) was written where which was right (rows, 0-9). */
  readonly confusion: readonly (readonly (readonly number[])[])[];
}

export interface EvalReport {
  readonly step: number;
  /** Mean cross-entropy on the validation split, in nats per token. */
  readonly loss: number;
  readonly perplexity: number;
  readonly tokens: number;
  /** Share of task answers that are right in every token; task presets only. */
  readonly accuracy?: number;
  /** Where the answers go wrong; tasks of numbers only. */
  readonly task?: TaskReport;
}

/** How far a step has moved the weights. */
export interface UpdateReport {
  readonly step: number;
  readonly layers: readonly LayerUpdate[];
}

export interface LayerUpdate {
  /** "embeddings", "blocks.0" …, "lnFinal", "head"; of a translator's encoder with "enc." before it. */
  readonly name: string;
  /** RMS of what the step added, divided by RMS of the weights before it. */
  readonly ratio: number;
}

/** What went wrong at a step: one sentence that says what was seen and what to change. */
export interface RunWarning {
  readonly step: number;
  readonly message: string;
  /** Whether there was nothing to go on with. */
  readonly ends: boolean;
}
