/**
 * How near the engine comes to PyTorch, by family: no value of a run in float32 on the CPU, from embeddings to logits,
 * differed by more from an implementation of its own, over the tiny checkpoints of test/golden. The table has twice what
 * was measured, rounded up, for processors that sum in other orders; test/engine/models/architectures.test.ts holds it,
 * and writes it where DECODER_LAB_WRITE_PARITY is set.
 */

import type { Parity } from "../api/model";
import differences from "./parity.json";

/** Nothing of quantized weights: there the reference is what they were made from. */
export function parityOf(family: string, isQuantized: boolean): Parity | undefined {
  const known: Readonly<Record<string, number>> = differences;
  const maxDifference = known[family];
  return maxDifference === undefined || isQuantized ? undefined : { maxDifference, of: "PyTorch" };
}
