/** Errors of a system that has run out of memory, disk space or file handles. */

import { EngineError } from "./errors";

const OUT_OF_MEMORY =
  /bad_alloc|bad_array_new_length|out of memory|(?:array buffer|memory) allocation failed|(?:cannot|failed to) allocate|invalid typed array length: \d{9}|invalid (?:array buffer|string) length|\bENOMEM\b/i;
const NO_THREADS = /pthread_create|resource temporarily unavailable|\bEAGAIN\b/i;

const MESSAGES: Readonly<Record<string, string>> = {
  ENOMEM: "The machine ran out of memory. Close other programs, or use a smaller model or smaller batches.",
  EMFILE: "Too many files are open. Close other programs or raise the limit of open files, and try again.",
  ENFILE: "Too many files are open. Close other programs or raise the limit of open files, and try again.",
  EAGAIN: "The system could not start another thread or process. Close other programs and try again.",
  ENOSPC: "The disk is full. Free some space and try again.",
  EDQUOT: "The disk quota is used up. Free some space and try again.",
};

/** Turns an error for lack of memory, disk space or handles into one for the user. Returns other errors unchanged. */
export function resourceError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof EngineError) return error;
  const message = MESSAGES[resourceOf(error)];
  return message === undefined ? error : new EngineError("resources", message, { cause: error });
}

function resourceOf(error: Error): string {
  const code = String((error as NodeJS.ErrnoException).code ?? "");
  if (Object.hasOwn(MESSAGES, code)) return code;
  const isMemory = ["ERR_MEMORY_ALLOCATION_FAILED", "ERR_WORKER_OUT_OF_MEMORY", "ERR_STRING_TOO_LONG"].includes(code);
  if (isMemory || OUT_OF_MEMORY.test(error.message)) return "ENOMEM";
  return NO_THREADS.test(error.message) ? "EAGAIN" : "";
}
