/**
 * The safetensors format: the length of the header (8 bytes), the header (JSON: type, shape and byte range of each tensor),
 * then the bytes of the tensors without gaps. https://github.com/huggingface/safetensors
 *
 * Files are untrusted: everything in the header is validated.
 */

import type { FileHandle } from "node:fs/promises";
import { scanJson } from "../../files/json";
import { EngineError } from "../errors";
import { writeFileWhole } from "./files";
import { bfloat16ToFloat32, float16ToFloat32 } from "./halves";
import { damaged, isCounts, isObject, parsedJson, quoted, readBytes, shown, withFile } from "./reading";

/** Bytes per element. */
export const ELEMENT_BYTES = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  // Types of the format that are not supported for weights.
  F8_E4M3: 1,
  F8_E5M2: 1,
  F8_E8M0: 1,
  F8_E4M3FNUZ: 1,
  F8_E5M2FNUZ: 1,
  F6_E2M3: 6 / 8,
  F6_E3M2: 6 / 8,
  F4: 4 / 8,
  C64: 8,
};

export type DType = keyof typeof ELEMENT_BYTES;

interface TensorInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Byte range `[start, end)` in the file. */
  readonly start: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface TensorToWrite {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: ArrayBufferView;
}

const MAX_HEADER_BYTES = 100_000_000;

/** Reads and validates the header of a file. */
export async function readHeader(path: string): Promise<SafetensorsHeader> {
  return withFile(path, (file) => headerOf(file, path));
}

/** Reads one tensor as float32. */
export async function readTensor(path: string, name: string): Promise<Tensor> {
  const tensors = await readTensors(path, [name]);
  return tensors.get(name) as Tensor;
}

/** Reads the named tensors (default: all) as float32. */
export async function readTensors(path: string, names?: readonly string[]): Promise<Map<string, Tensor>> {
  return withFile(path, async (file) => {
    const { tensors } = await headerOf(file, path);
    const read = new Map<string, Tensor>();
    for (const name of names ?? tensors.keys()) {
      const info = tensors.get(name);
      if (!info) throw damaged(path, `the tensor ${quoted(name)} is missing`);
      read.set(name, { shape: info.shape, data: await readFloats(file, path, name, info) });
    }
    return read;
  });
}

/** Writes a file atomically. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorToWrite>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  for (const [name, { dtype, shape, data }] of tensors) {
    const bytes = bytesOf({ dtype, shape });
    if (data.byteLength !== bytes) {
      throw new Error(
        `writeSafetensors: ${name} [${shape.join(", ")}] of ${dtype} must have ${bytes} bytes, got ${data.byteLength}`,
      );
    }
  }
  const fill = async (write: WritePart) => {
    for (const [name, { data }] of tensors)
      await write(name, 0, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  };
  await writeSafetensorsInParts(path, tensors, fill, metadata);
}

/** Writes bytes of a tensor, starting at its byte `at`. */
export type WritePart = (name: string, at: number, bytes: Uint8Array) => Promise<void>;

/**
 * Writes a file whose tensors do not fit in memory at once: `fill` writes every byte of each tensor, in parts and in any
 * order. The order of tensors in the file is that of the reference implementation. The write is atomic.
 */
export async function writeSafetensorsInParts(
  path: string,
  tensors: ReadonlyMap<string, Pick<TensorToWrite, "dtype" | "shape">>,
  fill: (write: WritePart) => Promise<void>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  // Wide elements come first, so that every tensor is aligned.
  const sorted = [...tensors].sort(
    ([a, x], [b, y]) => ELEMENT_BYTES[y.dtype] - ELEMENT_BYTES[x.dtype] || (a < b ? -1 : a > b ? 1 : 0),
  );
  const header = encodeHeader(sorted, metadata);
  const starts = new Map<string, number>();
  let end = header.length;
  for (const [name, tensor] of sorted) {
    starts.set(name, end);
    end += bytesOf(tensor);
  }
  await writeFileWhole(path, async (file) => {
    let written = header.length;
    await writeBytes(file, header, 0);
    await fill(async (name, at, bytes) => {
      await writeBytes(file, bytes, (starts.get(name) as number) + at);
      written += bytes.length;
    });
    if (written !== end) throw new Error(`writeSafetensorsInParts: expected ${end} bytes, got ${written}`);
  });
}

async function writeBytes(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    // A single write is limited to 2 GB and may be partial.
    const { bytesWritten } = await file.write(bytes, done, Math.min(bytes.length - done, 2 ** 30), position + done);
    done += bytesWritten;
  }
}

function encodeHeader(
  tensors: readonly (readonly [string, Pick<TensorToWrite, "dtype" | "shape">])[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const entries: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let end = 0;
  for (const [name, { dtype, shape }] of tensors) {
    const bytes = bytesOf({ dtype, shape });
    entries.push([name, { dtype, shape, data_offsets: [end, end + bytes] }]);
    end += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil(json.length / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return header;
}

async function headerOf(file: FileHandle, path: string): Promise<SafetensorsHeader> {
  const { size } = await file.stat();
  if (size < 8) throw damaged(path, `it has only ${size} bytes`);
  const prefix = await readBytes(file, path, 0, new Uint8Array(8));
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES || Number(length) > size - 8)
    throw damaged(path, `it has ${size} bytes, but its header claims ${shown(length)}`);

  const bytes = await readBytes(file, path, 8, new Uint8Array(Number(length)));
  const dataStart = 8 + bytes.length;
  const entries = parseHeader(path, bytes);
  const { __metadata__: metadata = {}, ...rest } = entries;
  if (!isObject(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
    throw damaged(path, "its metadata contains values that are not strings");
  }
  const tensors = new Map(
    Object.entries(rest).map(([name, entry]) => [name, tensorInfo(path, name, entry, dataStart)]),
  );
  requireContiguous(path, tensors, dataStart, size);
  return { tensors, metadata: metadata as Record<string, string> };
}

/** More than the tensors of any model need, each with its type, shape and offsets. */
const HEADER_LIMITS = { depth: 20, values: 4_000_000 };

function parseHeader(path: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw damaged(path, "its header is not valid JSON", error);
  }
  const header = parsedJson(text, HEADER_LIMITS, (problem, cause) => damaged(path, `its header ${problem}`, cause));
  if (!text.startsWith("{") || !isObject(header)) throw damaged(path, "its header is not a JSON object");
  const twice = repeatedKey(text);
  if (twice !== null) throw damaged(path, `its header contains ${quoted(twice)} twice`);
  return header;
}

function tensorInfo(path: string, name: string, entry: unknown, dataStart: number): TensorInfo {
  const wrong = (problem: string) => damaged(path, `the tensor ${quoted(name)} ${problem}`);
  if (!isObject(entry)) throw wrong("has no valid description");
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(ELEMENT_BYTES, dtype))
    throw wrong(`has the unknown type ${shown(dtype)}`);
  if (!isCounts(shape)) throw wrong(`has the invalid shape ${shown(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2) throw wrong(`has the invalid byte range ${shown(offsets)}`);

  const [start, end] = offsets as [number, number];
  // `dtype` was checked above.
  const type = dtype as DType;
  const bytes = sizeOf(shape) * ELEMENT_BYTES[type];
  if (!Number.isSafeInteger(bytes) || end - start !== bytes) {
    throw wrong(`has ${shown(end - start)} bytes, which does not match its shape ${shown(shape)} and type ${type}`);
  }
  return { dtype: type, shape, start: dataStart + start, end: dataStart + end };
}

/** Requires that every byte after the header belongs to exactly one tensor. */
function requireContiguous(
  path: string,
  tensors: ReadonlyMap<string, TensorInfo>,
  dataStart: number,
  size: number,
): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.start - b.start || a.end - b.end);
  let at = dataStart;
  for (const [name, { start, end }] of inOrder) {
    if (start !== at)
      throw damaged(path, `the tensor ${quoted(name)} ${start < at ? "overlaps another" : "comes after a gap"}`);
    at = end;
  }
  if (at !== size) throw damaged(path, `its tensors end at byte ${at}, but the file has ${size} bytes`);
}

async function readFloats(
  file: FileHandle,
  path: string,
  name: string,
  { dtype, start, end }: TensorInfo,
): Promise<Float32Array> {
  const convert = converterOf(path, name, dtype);
  const { buffer, length } = await readBytes(file, path, start, new Uint8Array(end - start));
  if (dtype === "F32") return new Float32Array(buffer);
  const floats = new Float32Array(length / ELEMENT_BYTES[dtype]);
  convert(buffer, floats.length, floats, 0);
  return floats;
}

type Converter = (bytes: ArrayBuffer, length: number, into: Float32Array, at: number) => void;

/** Conversion to float32 for the types that weights may have. */
export const CONVERTERS: { readonly [T in DType]?: Converter } = {
  F64: (bytes, length, into, at) => into.set(new Float64Array(bytes, 0, length), at),
  F32: (bytes, length, into, at) => into.set(new Float32Array(bytes, 0, length), at),
  F16: (bytes, length, into, at) => float16ToFloat32(new Uint16Array(bytes, 0, length), into, at),
  BF16: (bytes, length, into, at) => bfloat16ToFloat32(new Uint16Array(bytes, 0, length), into, at),
};

export function converterOf(path: string, name: string, dtype: DType): Converter {
  const convert = CONVERTERS[dtype];
  if (convert) return convert;
  throw new EngineError(
    "weights",
    `${path}: the tensor ${quoted(name, 80)} has type ${dtype}${meaningOf(dtype)}, which is not supported for weights. Use a version of the model in F32, F16 or BF16.`,
  );
}

const meaningOf = (dtype: DType): string => {
  const bits = /^F([468])_?/.exec(dtype)?.[1];
  return bits ? ` (FP${bits}, floats of ${bits} bits)` : "";
};

/** Returns a key that occurs twice in an object of a JSON text, or null. `JSON.parse` does not report these. */
function repeatedKey(json: string): string | null {
  const open: Set<string>[] = [];
  let repeated: string | null = null;
  scanJson(json, HEADER_LIMITS, {
    open: () => open.push(new Set()),
    close: () => open.pop(),
    key: (key) => {
      const name = JSON.parse(key) as string;
      const keys = open.at(-1);
      if (keys?.has(name)) repeated ??= name;
      keys?.add(name);
    },
  });
  return repeated;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

const bytesOf = ({ dtype, shape }: Pick<TensorToWrite, "dtype" | "shape">) => sizeOf(shape) * ELEMENT_BYTES[dtype];
