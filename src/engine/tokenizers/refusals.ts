/** Errors for a tokenizer.json that is rejected. */

import { inspect } from "node:util";
import { EngineError } from "../errors";

/** The file uses a feature that is not supported. */
export function unsupported(what: string): EngineError {
  return new EngineError(
    "tokenizer",
    `tokenizer.json: ${what} is not supported yet. Supported: byte-pair encoding as decoder models use it, and tokenizers trained in Decoder Lab.`,
  );
}

/** The file is invalid. */
export function damaged(problem: string): EngineError {
  return new EngineError("tokenizer", `tokenizer.json: ${problem}. Download the file again.`);
}

/** A value from a file, shortened for an error message. */
export function shown(value: unknown): string {
  const text =
    typeof value === "object"
      ? inspect(value, { depth: 1, maxArrayLength: 4, maxStringLength: 40, breakLength: Infinity })
      : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Maximum nesting of normalizers and similar lists. */
export const DEEPEST = 5;
