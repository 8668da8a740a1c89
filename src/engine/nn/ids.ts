import { EngineError } from "../errors";
import type { DecoderConfig } from "./config";

/** Rejects ids without a row in the token embedding: a tokenizer may have more tokens than its model. */
export function requireIds(ids: ArrayLike<number>, { vocabSize }: Pick<DecoderConfig, "vocabSize">): void {
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i] as number;
    if (id < vocabSize) continue;
    throw new EngineError(
      "tokenizer",
      `The model has no token ${id}; its ids are 0 to ${vocabSize - 1}. Remove that token from the text.`,
    );
  }
}
