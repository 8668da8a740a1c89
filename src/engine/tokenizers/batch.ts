/** Prompts of unequal length as one batch. */

import type { Tokenizer } from "./tokenizer";

export interface TokenBatch {
  /** Every row padded on the right to the length of the longest. */
  readonly ids: readonly (readonly number[])[];
  /** 1 for the prompt's own ids, 0 for padding. */
  readonly mask: readonly (readonly (0 | 1)[])[];
}

/** Encodes prompts and pads them. A tokenizer without a padding token pads with its EOS, which the mask hides. */
export function encodeBatch(tokenizer: Tokenizer, prompts: readonly string[]): TokenBatch {
  return padBatch(
    prompts.map((prompt) => tokenizer.encodePrompt(prompt)),
    tokenizer.padId ?? tokenizer.eosId ?? 0,
  );
}

export function padBatch(rows: readonly (readonly number[])[], padId: number): TokenBatch {
  const T = rows.reduce((longest, row) => Math.max(longest, row.length), 0);
  const fill = <X>(row: readonly number[], x: X): X[] => new Array<X>(T - row.length).fill(x);
  return {
    ids: rows.map((row) => [...row, ...fill(row, padId)]), // [B, T]
    mask: rows.map((row) => [...row.map(() => 1 as const), ...fill(row, 0 as const)]), // [B, T]
  };
}
