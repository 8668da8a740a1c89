/** Errors for a tokenizer.json that is rejected, and limits that all its parts share. */

import { shown as shownUpTo } from "../../text/untrusted";
import { EngineError } from "../errors";

/** The file uses a feature that is not supported. */
export function unsupported(what: string): EngineError {
  return new EngineError(
    "tokenizer",
    `tokenizer.json: ${what} is not supported yet. Supported: byte-pair encoding as decoder models use it, and tokenizers trained in Decoder Lab.`,
  );
}

/** The file has a part of a type that is not supported, or of none. */
export function unknownType(part: string, type: unknown): EngineError {
  return typeof type === "string" ? unsupported(`the ${part} ${shown(type)}`) : damaged(`a ${part} has no type`);
}

/** The file is invalid. */
export function damaged(problem: string): EngineError {
  return new EngineError("tokenizer", `tokenizer.json: ${problem}. Download the file again.`);
}

/** A value from a file, shortened for an error message. */
export const shown = (value: unknown): string => shownUpTo(value, 60);

/** Maximum nesting of normalizers and similar lists. */
const DEEPEST = 5;
/** Several times as many as any tokenizer has. */
const MOST_PARTS = 32;

/** The normalizers of a file, or its pre-tokenizers, decoders or post-processors, which may be lists in lists. */
export class Parts {
  #count = 0;
  #depth = 0;

  constructor(readonly name: string) {}

  /** Reads the parts of a list, or of the list that a part is. */
  read<T>(list: unknown, read: (part: unknown) => T): T[] {
    if (!Array.isArray(list) || this.#depth === DEEPEST) {
      throw damaged(`its ${this.name} are not a list or nested too deeply`);
    }
    this.#count += list.length;
    if (this.#count > MOST_PARTS) throw damaged(`it has more than ${MOST_PARTS} ${this.name}`);
    this.#depth++;
    const parts = list.map(read);
    this.#depth--;
    return parts;
  }
}
