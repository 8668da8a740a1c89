import { RemoteError } from "../protocol/rpc";

export const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The text of an error for the log. Tokenizer errors quote the document, which must not end up there. */
export const errorTextForLog = (error: unknown): string =>
  error instanceof RemoteError && error.code === "tokenizer"
    ? "the model has no token for part of the text"
    : errorText(error);
