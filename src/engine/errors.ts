/** The errors that the engine shows to users. */

import { messageText } from "../text/untrusted";
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
  /** Access denied; another access token may help. */
  | "hubAccess"
  | "notFound"
  /** Memory, disk space, files or threads. */
  | "resources"
  | "canceled";

/** An error the user can act on: the message says what happened, then what to do. Any other error that leaves the engine is a bug. */
export class EngineError extends Error {
  override readonly name: string = "EngineError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(messageText(message), options);
    this.code = code;
  }
}

/** Example: `matmul: inner dimensions differ, got a [2, 3] and b [4, 5]`. */
export class ShapeError extends EngineError {
  override readonly name = "ShapeError";

  constructor(op: string, problem: string, operands: Record<string, { readonly shape: Shape }>) {
    const got = Object.entries(operands).map(([name, { shape }]) => `${name} [${shape.join(", ")}]`);
    super("shape", `${op}: ${problem}, got ${got.join(" and ")}`);
  }
}
