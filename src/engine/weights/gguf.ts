/**
 * GGUF, llama.cpp's format: metadata by key, the tensors' names, shapes and places, and their bytes.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * A file may come from anywhere: everything its header says is checked before memory is taken for it.
 */

import { realpath } from "node:fs/promises";
import { EngineError } from "../errors";
import { damaged, quoted, readBytes, withFile } from "./reading";

export type GgufValue = number | bigint | boolean | string | readonly (number | bigint | boolean | string)[];

/** Bytes that so many values take. */
export const GGUF_TYPES = {
  F32: { block: 1, bytes: 4 },
  F16: { block: 1, bytes: 2 },
  BF16: { block: 1, bytes: 2 },
  /** A scale in F16, and 32 signed bytes. */
  Q8_0: { block: 32, bytes: 34 },
  /** A scale in F16, and 32 halves of a byte: value i is in the low half of byte i, value i + 16 in its high half. */
  Q4_0: { block: 32, bytes: 18 },
} as const;

export type GgufType = keyof typeof GGUF_TYPES;

export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  /** Outermost first, as everywhere but in the file. */
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

export interface Gguf {
  /** With links followed. */
  readonly file: string;
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** The numbers of types, to say which one is not supported. */
const TYPE_NAMES: Readonly<Record<number, string>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  6: "Q5_0",
  7: "Q5_1",
  8: "Q8_0",
  9: "Q8_1",
  10: "Q2_K",
  11: "Q3_K",
  12: "Q4_K",
  13: "Q5_K",
  14: "Q6_K",
  15: "Q8_K",
  16: "IQ2_XXS",
  17: "IQ2_XS",
  18: "IQ3_XXS",
  19: "IQ1_S",
  20: "IQ4_NL",
  21: "IQ3_S",
  22: "IQ2_S",
  23: "IQ4_XS",
  24: "I8",
  25: "I16",
  26: "I32",
  27: "I64",
  28: "F64",
  29: "IQ1_M",
  30: "BF16",
  34: "TQ1_0",
  35: "TQ2_0",
  39: "MXFP4",
};

const FIRST_HEADER_BYTES = 2 ** 22;
/** A vocabulary of a quarter of a million tokens takes some ten million. */
const MOST_HEADER_BYTES = 2 ** 27;
/** Values of all arrays together, tokens and merges most of them. */
const MOST_VALUES = 4_000_000;
const MOST_TENSORS = 100_000;
const DEFAULT_ALIGNMENT = 32;

/** Reads and checks a file's header. */
export async function readGguf(path: string): Promise<Gguf> {
  return withFile(path, async (file) => {
    const { size } = await file.stat();
    // How long the header is, only reading it tells.
    for (let length = FIRST_HEADER_BYTES; ; length *= 4) {
      const head = await readBytes(file, path, 0, new Uint8Array(Math.min(length, size)));
      const canGrow = head.length < size && length < MOST_HEADER_BYTES;
      const header = parseHeader(new Cursor(path, head, canGrow), size);
      if (header) return { file: await realpath(path), ...header };
    }
  });
}

/** The header, or null where more of the file is needed. */
function parseHeader(cursor: Cursor, size: number): Omit<Gguf, "file"> | null {
  try {
    return readHeader(cursor, size);
  } catch (error) {
    if (error === MORE) return null;
    throw error;
  }
}

function readHeader(cursor: Cursor, size: number): Omit<Gguf, "file"> {
  const { path } = cursor;
  if (cursor.ascii(4) !== "GGUF") throw damaged(path, "it is not a GGUF file");
  const version = cursor.number(UINT32);
  if (version === 0x02000000 || version === 0x03000000) throw damaged(path, "its numbers are not little endian");
  if (version !== 2 && version !== 3) throw damaged(path, `it is of GGUF version ${version}, not 2 or 3`);
  const tensorCount = cursor.count(24, MOST_TENSORS, "tensors");
  const valueCount = cursor.count(12, MOST_TENSORS, "values");

  const values = new Map<string, GgufValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = cursor.string();
    if (values.has(key)) throw damaged(path, `it has the key ${quoted(key)} twice`);
    values.set(key, cursor.value(cursor.number(UINT32)));
  }
  const infos = Array.from({ length: tensorCount }, () => readTensorInfo(cursor));

  const alignment = values.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== "number" || !Number.isInteger(alignment) || alignment < 8 || alignment % 8 !== 0)
    throw damaged(path, `its alignment is ${String(alignment)}, which is not a multiple of 8`);
  const start = Math.ceil(cursor.at / alignment) * alignment;
  return { values, tensors: placeTensors(path, infos, start, alignment, size) };
}

/** As in the file: the place counts from the end of the header. */
function readTensorInfo(cursor: Cursor): GgufTensor {
  const { path } = cursor;
  const name = cursor.string();
  const wrong = (problem: string) => damaged(path, `the tensor ${quoted(name)} ${problem}`);
  const rank = Number(cursor.number(UINT32));
  if (rank < 1 || rank > 4) throw wrong(`has ${rank} dimensions`);
  const dims = Array.from({ length: rank }, () => Number(cursor.number(UINT64)));
  const typeNumber = Number(cursor.number(UINT32));
  const offset = Number(cursor.number(UINT64));

  const typeName = TYPE_NAMES[typeNumber] ?? `number ${typeNumber}`;
  if (!isSupported(typeName)) {
    throw new EngineError(
      "weights",
      `${path}: the tensor ${quoted(name)} is of type ${typeName}, which is not supported; use a GGUF file of ${Object.keys(GGUF_TYPES).join(", ")}.`,
    );
  }
  const { block, bytes } = GGUF_TYPES[typeName];
  const elements = dims.reduce((a, b) => a * b, 1);
  const isSound = dims.every((n) => Number.isSafeInteger(n) && n > 0) && (dims[0] as number) % block === 0;
  if (!isSound || !Number.isSafeInteger(elements * bytes))
    throw wrong(`of type ${typeName} has the impossible shape [${dims.join(", ")}]`);
  return { name, type: typeName, shape: dims.reverse(), offset, length: (elements / block) * bytes };
}

const isSupported = (type: string): type is GgufType => Object.hasOwn(GGUF_TYPES, type);

/** Tensors where they are in the file; none may overlap another or reach beyond the file. */
function placeTensors(
  path: string,
  infos: readonly GgufTensor[],
  start: number,
  alignment: number,
  size: number,
): ReadonlyMap<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const info of infos) {
    const name = quoted(info.name);
    if (tensors.has(info.name)) throw damaged(path, `it has the tensor ${name} twice`);
    if (info.offset % alignment !== 0 || !(start + info.offset + info.length <= size))
      throw damaged(path, `the tensor ${name} lies at ${info.offset}, where it cannot`);
    tensors.set(info.name, { ...info, offset: start + info.offset });
  }
  let end = start;
  for (const { name, offset, length } of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    if (offset < end) throw damaged(path, `the tensor ${quoted(name)} overlaps another`);
    end = offset + length;
  }
  return tensors;
}

/** Thrown where the part of the file that was read is too short. */
const MORE = Symbol("more");

type Read = (view: DataView, at: number) => number | bigint;
interface NumberType {
  readonly bytes: number;
  readonly read: Read;
}

const UINT32: NumberType = { bytes: 4, read: (view, at) => view.getUint32(at, true) };
const UINT64: NumberType = { bytes: 8, read: (view, at) => exact(view.getBigUint64(at, true)) };

/** Types of values, by their number. */
const NUMBERS: Readonly<Record<number, NumberType>> = {
  0: { bytes: 1, read: (view, at) => view.getUint8(at) },
  1: { bytes: 1, read: (view, at) => view.getInt8(at) },
  2: { bytes: 2, read: (view, at) => view.getUint16(at, true) },
  3: { bytes: 2, read: (view, at) => view.getInt16(at, true) },
  4: UINT32,
  5: { bytes: 4, read: (view, at) => view.getInt32(at, true) },
  6: { bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  10: UINT64,
  11: { bytes: 8, read: (view, at) => exact(view.getBigInt64(at, true)) },
  12: { bytes: 8, read: (view, at) => view.getFloat64(at, true) },
};
const BOOLEAN = 7;
const STRING = 8;
const ARRAY = 9;

/** A number where it is one exactly. */
const exact = (n: bigint) => (Number.isSafeInteger(Number(n)) ? Number(n) : n);

class Cursor {
  at = 0;
  private values = 0;
  private readonly view: DataView;

  constructor(
    readonly path: string,
    private readonly bytes: Uint8Array,
    private readonly canGrow: boolean,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  number({ bytes, read }: NumberType): number | bigint {
    return read(this.view, this.skip(bytes));
  }

  ascii(length: number): string {
    const start = this.skip(length);
    return String.fromCharCode(...this.bytes.subarray(start, this.at));
  }

  string(): string {
    const length = Number(this.number(UINT64));
    const start = this.skip(length);
    return new TextDecoder().decode(this.bytes.subarray(start, this.at));
  }

  /** A number of things that take at least `bytes` each. */
  count(bytes: number, most: number, what: string): number {
    const count = Number(this.number(UINT64));
    if (count > most) throw damaged(this.path, `it says that it has ${count} ${what}`);
    if (count * bytes > this.bytes.length - this.at) this.tooShort();
    return count;
  }

  value(type: number | bigint): GgufValue {
    if (type !== ARRAY) return this.single(Number(type));
    const elements = Number(this.number(UINT32));
    const bytes = elements === STRING ? 8 : elements === BOOLEAN ? 1 : NUMBERS[elements]?.bytes;
    if (bytes === undefined) throw damaged(this.path, `it has an array of the unknown type ${elements}`);
    const count = this.count(bytes, MOST_VALUES - this.values, "values in an array");
    this.values += count;
    return Array.from({ length: count }, () => this.single(elements));
  }

  private single(type: number): number | bigint | boolean | string {
    if (type === STRING) return this.string();
    if (type === BOOLEAN) return this.bytes[this.skip(1)] !== 0;
    const number = NUMBERS[type];
    if (!number) throw damaged(this.path, `it has a value of the unknown type ${type}`);
    return this.number(number);
  }

  /** Goes over so many bytes; answers where they begin. */
  private skip(length: number): number {
    if (!(length <= this.bytes.length - this.at)) this.tooShort();
    this.at += length;
    return this.at - length;
  }

  private tooShort(): never {
    if (this.canGrow) throw MORE;
    throw damaged(this.path, "its header ends too early");
  }
}
