/**
 * Maximum difference between the engine and an independent PyTorch implementation, per family: over all values of a float32
 * forward pass on the CPU, from embeddings to logits, with the tiny checkpoints in test/golden. The table has twice the
 * measured difference, rounded up, because CPUs sum in different orders. test/engine/models/architectures.test.ts checks
 * it, and writes it if DECODER_LAB_WRITE_PARITY is set.
 */

import type { Parity } from "../api/model";
import differences from "./parity.json";

/** Undefined for quantized weights, whose reference would be the unquantized model. */
export function parityOf(family: string, isQuantized: boolean): Parity | undefined {
  const known: Readonly<Record<string, number>> = differences;
  const maxDifference = known[family];
  return maxDifference === undefined || isQuantized ? undefined : { maxDifference, of: "PyTorch" };
}
