import { RemoteError } from "../protocol/rpc";

/** An error as the log may have it: without text of a document, which the tokenizer quotes where it cannot read it. */
export function errorTextForLog(error: unknown): string {
  if (error instanceof RemoteError && error.code === "tokenizer") return "the model has no token for part of the text";
  return error instanceof Error ? error.message : String(error);
}
