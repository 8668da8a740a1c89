/** Reading files that may come from anywhere. */

import { type FileHandle, open, stat } from "node:fs/promises";
import { EngineError } from "../errors";
import { codeOf, readError } from "./files";

export async function withFile<T>(path: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await openFile(path);
  try {
    return await use(file);
  } catch (error) {
    throw readError(error, path);
  } finally {
    await file.close();
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    // Opening a pipe waits for whoever writes to it, and a device has no end.
    const found = await stat(path);
    if (!found.isFile() && !found.isDirectory())
      throw new EngineError("weights", `${path} is not a file but a pipe or a device; choose a model's folder.`);
    return await open(path, "r");
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw readError(error, path);
    throw new EngineError("weights", `${path} does not exist; choose a model folder that has its weights.`, {
      cause: error,
    });
  }
}

/** Fills `into` from a place in the file. */
export async function readBytes<T extends Uint8Array>(
  file: FileHandle,
  path: string,
  position: number,
  into: T,
): Promise<T> {
  for (let done = 0; done < into.length; ) {
    // A single read is at most 2 GB.
    const { bytesRead } = await file.read(into, done, Math.min(into.length - done, 2 ** 30), position + done);
    if (bytesRead === 0) throw damaged(path, "it ends too early");
    done += bytesRead;
  }
  return into;
}

/** Bytes that a file says it has; refused before memory is taken where they are more than fits. */
export function takeBytes(path: string, length: number): Uint8Array<ArrayBuffer> {
  return take(path, length, () => new Uint8Array(length));
}

/** Floats that a file says it has. */
export function takeFloats(path: string, length: number): Float32Array<ArrayBuffer> {
  return take(path, 4 * length, () => new Float32Array(length));
}

function take<T>(path: string, bytes: number, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new EngineError(
      "weights",
      `${path} has a tensor that takes ${bytes} bytes, more than there is memory for; close other programs or use a smaller model.`,
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

/** A name from a file as a sentence shows it: on one line, and not endless. */
export function quoted(name: string): string {
  const shown = name.length > 100 ? `${name.slice(0, 100)}…` : name;
  return JSON.stringify(shown.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, "\u{fffd}"));
}

/** A value of a file's JSON as a sentence shows it. */
export function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${value.slice(0, 9).map(item).join(", ")}${value.length > 9 ? ", …" : ""}]`;
  return item(value);
}

// Not any deeper: a list may be nested a million times.
const item = (value: unknown) => (typeof value === "object" && value !== null ? "…" : String(value));

export function damaged(path: string, problem: string, cause?: unknown): EngineError {
  const advice = path.endsWith(".dltrace")
    ? "run its text again and save that"
    : "take it from its source again, or go back to an earlier checkpoint";
  return new EngineError("weights", `${path} is damaged: ${problem}; ${advice}.`, { cause });
}
