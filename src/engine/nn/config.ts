/** What a decoder is: its sizes and the choices between its variants. Weights live elsewhere. */

export type Activation = "relu" | "gelu" | "geluTanh";

export interface DecoderConfig {
  readonly vocabSize: number;
  /** The longest sequence the model was built for, in tokens. */
  readonly nCtx: number;
  readonly nLayers: number;
  readonly nHeads: number;
  /** Width of the residual stream; a head is dModel / nHeads wide. */
  readonly dModel: number;
  readonly dMlp: number;
  /** Where a block normalises: before each sublayer (GPT-2) or after the residual sum (the 2017 transformer). */
  readonly norm: "pre" | "post";
  /** A norm after the last block. */
  readonly finalNorm: boolean;
  readonly normEps: number;
  readonly normBias: boolean;
  readonly activation: Activation;
  /** Biases of q, k, v and o. */
  readonly attentionBias: boolean;
  readonly mlpBias: boolean;
  /** The head uses the token embedding's weights. */
  readonly tiedHead: boolean;
  readonly headBias: boolean;
}
