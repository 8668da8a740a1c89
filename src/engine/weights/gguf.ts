/**
 * GGUF, the format of llama.cpp: key-value metadata, then the name, shape and offset of each tensor, then their bytes.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 *
 * Files are untrusted: every size in the header is checked before memory is allocated for it.
 */

import { realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EngineError } from "../errors";
import { GGUF_TYPE_NAMES, GGUF_TYPES, type GgufType, isGgufType } from "./ggufTypes";
import { damaged, quoted, readBytes, shown, withFile } from "./reading";

type GgufValue = number | bigint | boolean | string | readonly (number | bigint | boolean | string)[];

export interface GgufTensor {
  readonly name: string;
  /** Real path. */
  readonly file: string;
  readonly type: GgufType;
  /** Outermost dimension first (the file has it last). */
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

export interface Gguf {
  readonly values: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

const FIRST_HEADER_BYTES = 2 ** 22;
/** A vocabulary of 250,000 tokens needs about 10 MB. */
export const MAX_HEADER_BYTES = 2 ** 27;
/** Total number of values in all arrays. Most are tokens and merges. */
const MAX_VALUES = 4_000_000;
const MAX_TENSORS = 100_000;
const DEFAULT_ALIGNMENT = 32;

/** Finds another part of a model by its file name; null if there is none. */
export type FindPart = (name: string) => Promise<string | null>;

const beside =
  (path: string): FindPart =>
  async (name) => {
    const part = join(dirname(path), name);
    return (await stat(part).catch(() => null))?.isFile() ? part : null;
  };

/**
 * Reads and validates the header of a file, and those of the other parts of a split model. `name` is its file name, if
 * `path` has another.
 */
export async function readGguf(
  path: string,
  { name = basename(path), findPart = beside(path) }: { readonly name?: string; readonly findPart?: FindPart } = {},
): Promise<Gguf> {
  const part = await readPart(path);
  const count = part.values.get("split.count") ?? 1;
  return count === 1 || count === 0 ? part : joinParts(path, name, part, findPart);
}

const PART_NAME = /^(?<prefix>.+)-(?<part>\d{5})-of-(?<count>\d{5})(?<ending>\.[^.]*)?$/s;

/** Names of all parts of a model, from the name of any of them; only this name if it has no number. */
export function partNames(name: string): readonly string[] {
  const { prefix = "", count = "0", ending = "" } = PART_NAME.exec(name)?.groups ?? {};
  const numbers = Array.from({ length: Math.min(Number(count), MAX_PARTS) }, (_, i) => String(i + 1).padStart(5, "0"));
  const names = numbers.map((number) => `${prefix}-${number}-of-${count}${ending}`);
  return names.includes(name) ? names : [name];
}

const MAX_PARTS = 1000;

async function joinParts(path: string, name: string, opened: Gguf, findPart: FindPart): Promise<Gguf> {
  const [index, count, total] = ["no", "count", "tensors.count"].map((key) => opened.values.get(`split.${key}`));
  const wrong = (problem: string) =>
    new EngineError("weights", `${path}: ${problem}. Download all parts of the model into one folder.`);
  const own = `part ${typeof index === "number" ? index + 1 : shown(index)} of ${shown(count)}`;
  const names = partNames(name);
  if (names.length !== count || names.indexOf(name) !== index)
    throw wrong(`it is ${own}, but its name does not end in -00001-of-00002 or the like`);
  const paths = await Promise.all(names.map((other) => (other === name ? path : findPart(other))));
  const missing = names.filter((_, i) => paths[i] === null);
  if (missing.length > 0) {
    const more = missing.length > 3 ? ` and ${missing.length - 3} more` : "";
    const are = missing.length > 1 ? "are" : "is";
    throw wrong(
      `it is ${own}, and ${missing
        .slice(0, 3)
        .map((other) => quoted(other, 40))
        .join(", ")}${more} ${are} missing`,
    );
  }

  const values = new Map<string, GgufValue>();
  const tensors = new Map<string, GgufTensor>();
  for (const [i, partPath] of paths.entries()) {
    const part = partPath === path ? opened : await readPart(partPath as string);
    const belongs = part.values.get("split.no") === i && part.values.get("split.count") === count;
    if (!belongs || part.values.get("split.tensors.count") !== total)
      throw wrong(`${quoted(names[i] as string, 60)} belongs to another model`);
    for (const [key, value] of part.values) {
      // Only the first part has the metadata of the model; others may repeat it.
      if (!values.has(key)) values.set(key, value);
      else if (IDENTITY.includes(key) && values.get(key) !== value)
        throw wrong(`${quoted(names[i] as string, 60)} belongs to another model`);
    }
    for (const [tensor, info] of part.tensors) {
      if (tensors.has(tensor)) throw wrong(`two parts contain the tensor ${quoted(tensor, 60)}`);
      tensors.set(tensor, info);
    }
  }
  if (total !== undefined && tensors.size !== total)
    throw wrong(`its parts have ${tensors.size} tensors, but ${shown(total)} belong to the model`);
  return { values, tensors };
}

const IDENTITY = ["general.architecture", "general.name", "general.uuid"];

export async function readPart(path: string): Promise<Gguf> {
  const real = await realpath(path).catch(() => path);
  return withFile(path, async (file) => {
    const { size } = await file.stat();
    // The header does not say how long it is, so read more until it is complete.
    for (let length = FIRST_HEADER_BYTES; ; length *= 4) {
      const head = await readBytes(file, path, 0, new Uint8Array(Math.min(length, size)));
      const canGrow = head.length < size && length < MAX_HEADER_BYTES;
      const header = parseHeader(new Cursor(path, real, head, canGrow), size);
      if (header) return header;
    }
  });
}

/** Returns the header, or null if more of the file is needed. */
function parseHeader(cursor: Cursor, size: number): Gguf | null {
  try {
    return readHeader(cursor, size);
  } catch (error) {
    if (error === MORE) return null;
    throw error;
  }
}

function readHeader(cursor: Cursor, size: number): Gguf {
  const { path } = cursor;
  if (cursor.ascii(4) !== "GGUF") throw damaged(path, "it is not a GGUF file");
  const version = cursor.number(UINT32);
  if (version === 0x02000000 || version === 0x03000000) throw damaged(path, "it is big-endian, which is not supported");
  if (version !== 2 && version !== 3)
    throw damaged(path, `its GGUF version is ${shown(version)}, but only 2 and 3 are supported`);
  const tensorCount = cursor.count(24, MAX_TENSORS, "tensors");
  const valueCount = cursor.count(12, MAX_TENSORS, "values");

  const values = new Map<string, GgufValue>();
  for (let i = 0; i < valueCount; i++) {
    const key = cursor.string();
    if (values.has(key)) throw damaged(path, `it contains the key ${quoted(key)} twice`);
    values.set(key, cursor.value(cursor.number(UINT32)));
  }
  const infos = Array.from({ length: tensorCount }, () => readTensorInfo(cursor));

  const alignment = values.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== "number" || !Number.isInteger(alignment) || alignment < 8 || alignment % 8 !== 0)
    throw damaged(path, `its alignment is ${shown(alignment)}, which is not a multiple of 8`);
  const start = Math.ceil(cursor.at / alignment) * alignment;
  return { values, tensors: locateTensors(path, infos, start, alignment, size) };
}

/** A tensor with its offset as stored: relative to the end of the header. */
function readTensorInfo(cursor: Cursor): GgufTensor {
  const { path } = cursor;
  const name = cursor.string();
  const wrong = (problem: string) => damaged(path, `the tensor ${quoted(name)} ${problem}`);
  const rank = Number(cursor.number(UINT32));
  if (rank < 1 || rank > 4) throw wrong(`has ${shown(rank)} dimensions`);
  const dims = Array.from({ length: rank }, () => Number(cursor.number(UINT64)));
  const typeNumber = Number(cursor.number(UINT32));
  const offset = Number(cursor.number(UINT64));

  const typeName = GGUF_TYPE_NAMES[typeNumber] ?? `number ${shown(typeNumber)}`;
  if (!isGgufType(typeName)) {
    throw new EngineError(
      "weights",
      `${path}: the tensor ${quoted(name)} has type ${typeName}, which is not supported. Use a GGUF file with types ${Object.keys(GGUF_TYPES).join(", ")}.`,
    );
  }
  const { block, bytes } = GGUF_TYPES[typeName];
  const elements = dims.reduce((a, b) => a * b, 1);
  const isSound = dims.every((n) => Number.isSafeInteger(n) && n > 0) && (dims[0] as number) % block === 0;
  if (!isSound || !Number.isSafeInteger(elements * bytes))
    throw wrong(`of type ${typeName} has the impossible shape ${shown(dims)}`);
  return { name, file: cursor.file, type: typeName, shape: dims.reverse(), offset, length: (elements / block) * bytes };
}

/** Makes offsets absolute. Tensors must not overlap or extend past the end of the file. */
function locateTensors(
  path: string,
  infos: readonly GgufTensor[],
  start: number,
  alignment: number,
  size: number,
): ReadonlyMap<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const info of infos) {
    const name = quoted(info.name);
    if (tensors.has(info.name)) throw damaged(path, `it contains the tensor ${name} twice`);
    if (info.offset % alignment !== 0 || !(start + info.offset + info.length <= size))
      throw damaged(path, `the tensor ${name} has the invalid offset ${shown(info.offset)}`);
    tensors.set(info.name, { ...info, offset: start + info.offset });
  }
  let end = start;
  for (const { name, offset, length } of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    if (offset < end) throw damaged(path, `the tensor ${quoted(name)} overlaps another`);
    end = offset + length;
  }
  return tensors;
}

/** Thrown if the part of the file that was read is too short. */
const MORE = Symbol("more");

type Read = (view: DataView, at: number) => number | bigint;
interface NumberType {
  readonly bytes: number;
  readonly read: Read;
}

const UINT32: NumberType = { bytes: 4, read: (view, at) => view.getUint32(at, true) };
const UINT64: NumberType = { bytes: 8, read: (view, at) => exact(view.getBigUint64(at, true)) };

/** Numeric metadata types by number. */
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

/** Converts to a number if that is exact. */
const exact = (n: bigint) => (Number.isSafeInteger(Number(n)) ? Number(n) : n);

/** A token may begin with the character that marks the byte order, which a decoder removes by default. */
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

class Cursor {
  at = 0;
  private values = 0;
  private readonly view: DataView;

  constructor(
    readonly path: string,
    readonly file: string,
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
    return UTF8.decode(this.bytes.subarray(start, this.at));
  }

  /** Reads a count of items that need at least `bytes` each. */
  count(bytes: number, max: number, items: string): number {
    const count = Number(this.number(UINT64));
    if (count > max) throw damaged(this.path, `its header claims ${shown(count)} ${items}`);
    if (count * bytes > this.bytes.length - this.at) this.tooShort();
    return count;
  }

  value(type: number | bigint): GgufValue {
    if (type !== ARRAY) return this.single(Number(type));
    const elements = Number(this.number(UINT32));
    const bytes = elements === STRING ? 8 : elements === BOOLEAN ? 1 : NUMBERS[elements]?.bytes;
    if (bytes === undefined) throw damaged(this.path, `it contains an array of unknown type ${shown(elements)}`);
    const count = this.count(bytes, MAX_VALUES - this.values, "values in an array");
    this.values += count;
    return Array.from({ length: count }, () => this.single(elements));
  }

  private single(type: number): number | bigint | boolean | string {
    if (type === STRING) return this.string();
    if (type === BOOLEAN) return this.bytes[this.skip(1)] !== 0;
    const number = NUMBERS[type];
    if (!number) throw damaged(this.path, `it contains a value of unknown type ${shown(type)}`);
    return this.number(number);
  }

  /** Advances by `length` bytes and returns where they start. */
  private skip(length: number): number {
    if (!(length <= this.bytes.length - this.at)) this.tooShort();
    this.at += length;
    return this.at - length;
  }

  private tooShort(): never {
    if (this.canGrow) throw MORE;
    throw damaged(this.path, "its header is truncated");
  }
}
