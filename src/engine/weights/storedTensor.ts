import type { DType } from "./safetensors";

/** As safetensors names them. */
export type StoredDType = DType;

export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
  /** Absolute, with links followed; the tensor's bytes are `[offset, offset + length)` of it, little endian, in C order. */
  readonly file: string;
  readonly offset: number;
  readonly length: number;
  /** In elements; only where the elements are not in C order, as some .bin files have them. */
  readonly strides?: readonly number[];
}

export type StoredTensors = ReadonlyMap<string, StoredTensor>;
