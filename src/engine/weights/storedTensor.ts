import type { DType } from "./safetensors";

export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Absolute real path. The tensor is bytes `[offset, offset + length)`, little-endian, in C order. */
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  /** In elements. Present only if the elements are not in C order, which occurs in .bin files. */
  readonly strides?: readonly number[];
}

export type StoredTensors = ReadonlyMap<string, StoredTensor>;
