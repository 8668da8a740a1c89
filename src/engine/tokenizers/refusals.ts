/** Why a tokenizer.json is not taken, each in one sentence. */

import { inspect } from "node:util";
import { EngineError } from "../errors";

/** The file has what we do not. */
export function unsupported(what: string): EngineError {
  return new EngineError(
    "tokenizer",
    `tokenizer.json: ${what} is not supported yet. Supported: byte-pair encoding as the decoders' tokenizers have it, and the tokenizers trained here.`,
  );
}

/** The file is not what it should be. */
export function damaged(problem: string): EngineError {
  return new EngineError("tokenizer", `tokenizer.json: ${problem}; take the file from its source again.`);
}

/** A value out of a file as a message shows it, however big or deep it is. */
export function shown(value: unknown): string {
  const text =
    typeof value === "object"
      ? inspect(value, { depth: 1, maxArrayLength: 4, maxStringLength: 40, breakLength: Infinity })
      : (JSON.stringify(value) ?? String(value));
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** How deep normalizers and the like may be in one another. */
export const DEEPEST = 5;
