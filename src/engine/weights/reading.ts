/** Helpers for reading untrusted files. */

import type { FileHandle } from "node:fs/promises";
import { type JsonLimits, JsonProblem, parseJson } from "../../files/json";
import { openRegular } from "../../files/regular";
import { EngineError } from "../errors";
import { codeOf, readError } from "./files";
import { adviceFor, SNIFFED_BYTES, wrongContent } from "./wrongContent";

export { quoted, shown } from "../../text/untrusted";

export async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await openFile(path);
  try {
    return await use(file);
  } catch (error) {
    throw (await wrongContentIn(file, path, error)) ?? readError(error, path);
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    return await openRegular(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw readError(error, path);
    throw new EngineError("weights", `${path} does not exist. Choose a model folder that contains weights.`, {
      cause: error,
    });
  }
}

/**
 * Parses a JSON text within limits; `wrong` makes the error from a problem such as "is not valid JSON". If the text is all of
 * the file `path`, a file that is not JSON at all has its own error.
 */
export function parsedJson(
  text: string,
  limits: JsonLimits,
  wrong: (problem: string, cause: unknown) => EngineError,
  path?: string,
): unknown {
  try {
    return parseJson(text, limits);
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error;
    const problem = wrong(error.problem, error);
    const start = new TextEncoder().encode(text.slice(0, SNIFFED_BYTES));
    throw (path !== undefined && wrongContent(path, start, text.length, problem.code)) || problem;
  }
}

/** If a file was rejected as damaged, returns a better error for one that is not what its name says. */
async function wrongContentIn(file: FileHandle, path: string, error: unknown): Promise<EngineError | null> {
  if (!(error instanceof EngineError)) return null;
  const start = new Uint8Array(SNIFFED_BYTES);
  const read = await Promise.all([file.stat(), file.read(start, 0, SNIFFED_BYTES, 0)]).catch(() => null);
  return read && wrongContent(path, start.subarray(0, read[1].bytesRead), read[0].size, error.code);
}

/** Fills `into` from byte `position` of the file. */
export async function readBytes<T extends Uint8Array>(
  file: FileHandle,
  path: string,
  position: number,
  into: T,
): Promise<T> {
  for (let done = 0; done < into.length; ) {
    // A single read is limited to 2 GB.
    const { bytesRead } = await file.read(into, done, Math.min(into.length - done, 2 ** 30), position + done);
    if (bytesRead === 0) throw damaged(path, "it is truncated");
    done += bytesRead;
  }
  return into;
}

/** Allocates a buffer whose length a file gives; fails with a message if memory is insufficient. */
export function allocateBytes(path: string, length: number): Uint8Array<ArrayBuffer> {
  return allocate(path, length, () => new Uint8Array(length));
}

/** The same for float32 values. */
export function allocateFloats(path: string, length: number): Float32Array<ArrayBuffer> {
  return allocate(path, 4 * length, () => new Float32Array(length));
}

function allocate<T>(path: string, bytes: number, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new EngineError(
      "weights",
      `Not enough memory for a tensor of ${bytes} bytes in ${path}. Close other programs or use a smaller model.`,
      { cause: error },
    );
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0);
}

export function damaged(path: string, problem: string, cause?: unknown): EngineError {
  return new EngineError("weights", `${path} is damaged: ${problem}. ${adviceFor(path)}`, { cause });
}
