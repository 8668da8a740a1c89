/** Every error a user can see from the engine, and the sentence it is told in. */

import type { Shape } from "./graph/shape";

export type ErrorCode =
  | "shape"
  | "config"
  | "data"
  | "tokenizer"
  | "weights"
  | "checkpoint"
  | "device"
  | "diverged"
  | "storage"
  | "hub"
  /** What another token may allow. */
  | "hubAccess"
  | "notFound"
  | "canceled";

/** An error the user can act on: one sentence that says what is wrong and what to do. Anything else that escapes the engine is a bug. */
export class EngineError extends Error {
  override readonly name: string = "EngineError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Reads as `matmul: inner dimensions differ, got a [2, 3] and b [4, 5]`. */
export class ShapeError extends EngineError {
  override readonly name = "ShapeError";

  constructor(op: string, problem: string, operands: Record<string, { readonly shape: Shape }>) {
    const got = Object.entries(operands).map(([name, { shape }]) => `${name} [${shape.join(", ")}]`);
    super("shape", `${op}: ${problem}, got ${got.join(" and ")}`);
  }
}
