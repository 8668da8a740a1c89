/**
 * Tensors of a model folder, located in their files: path, byte range and type, independent of the container format. Opening
 * reads only headers, so that a runtime can map the weights from the files. `readStored` reads one tensor as float32.
 */

import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { JSON_LIMITS } from "../../files/json";
import { readRegularText } from "../../files/regular";
import { byteSize } from "../../text/untrusted";
import { EngineError } from "../errors";
import { ADAPTER_FILES, plainFileName } from "./checkpoint";
import { codeOf, readError } from "./files";
import { MAX_HEADER_BYTES as MAX_HEADER, readPart } from "./gguf";
import { openPytorchBin } from "./pytorchBin";
import { allocateBytes, allocateFloats, damaged, isObject, parsedJson, quoted, readBytes, withFile } from "./reading";
import { CONVERTERS, converterOf, ELEMENT_BYTES, readHeader } from "./safetensors";
import type { StoredTensor, StoredTensors } from "./storedTensor";

export type { StoredTensor, StoredTensors } from "./storedTensor";

/** Weight files in order of preference, with their readers. */
const CONTAINERS: readonly (readonly [file: string, read: (path: string) => Promise<StoredTensors>])[] = [
  ["model.safetensors", openSafetensors],
  ["model.safetensors.index.json", (path) => openShards(path, openSafetensors)],
  ["pytorch_model.bin", openPytorchBin],
  ["pytorch_model.bin.index.json", (path) => openShards(path, openPytorchBin)],
];

/** Returns the tensors of a model folder without reading their values. */
export async function openStored(dir: string): Promise<StoredTensors> {
  const files = new Set(await filesOf(dir));
  for (const [name, read] of CONTAINERS) if (files.has(name)) return read(join(dir, name));
  const other = otherContainer([...files]);
  if (other !== undefined) return (other.endsWith(".safetensors") ? openSafetensors : openPytorchBin)(join(dir, other));
  if (files.has(ADAPTER_FILES.weights)) {
    throw new EngineError(
      "weights",
      `${dir} contains only adapters, which need their base model. Choose the model folder of their training run.`,
    );
  }
  const known = CONTAINERS.map(([name]) => name).join(", ");
  throw new EngineError("weights", `${dir} has no weights. Choose a model folder that contains one of ${known}.`);
}

/** Returns true if a folder contains a file of weights, which may be damaged. */
export async function hasStored(dir: string): Promise<boolean> {
  const files = await filesOf(dir);
  return CONTAINERS.some(([name]) => files.includes(name)) || otherContainer(files) !== undefined;
}

/** Files beside the weights that training code writes. */
const BESIDE = /^(adapter_|optimizer|scheduler|scaler|rng_state|training_args|trainer_state|target_)/;

/** The only file of weights in a folder if it has a name of its own, such as nanoGPT's ckpt.pt. */
function otherContainer(files: readonly string[]): string | undefined {
  const found = files.filter((name) => /\.(safetensors|bin|pth?|ckpt)$/.test(name) && !BESIDE.test(name));
  return found.length === 1 ? found[0] : undefined;
}

async function filesOf(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw readError(error, dir);
    throw new EngineError("weights", `${dir} does not exist. Choose a model folder.`, { cause: error });
  }
}

/** Bytes behind the last tensor of a GGUF file that alignment may explain. */
const MAX_PADDING = 2 ** 20;

/** Checks the header of a file of weights, which costs little, before its content is read. Ignores other files. */
export async function checkHeader(path: string, name: string): Promise<void> {
  if (name.endsWith(".safetensors")) await readHeader(path);
  else if (name.endsWith(".bin")) await openPytorchBin(path);
  else if (name.endsWith(".gguf")) {
    const { size } = await stat(path);
    const { tensors } = await readPart(path);
    const end = [...tensors.values()].reduce((last, { offset, length }) => Math.max(last, offset + length), 0);
    // A part of a split model may have only metadata.
    if (size - end > MAX_HEADER + MAX_PADDING)
      throw damaged(path, `it has ${byteSize(size)}, but its tensors end after ${byteSize(end)}`);
  }
}

async function openSafetensors(path: string): Promise<StoredTensors> {
  const { tensors } = await readHeader(path);
  // A runtime needs all weights in one folder. In the Hugging Face cache, that is the folder the links point to.
  const file = await realpath(path);
  return new Map(
    [...tensors].map(([name, { dtype, shape, start, end }]) => [
      name,
      { name, dtype, shape, file, offset: start, length: end - start },
    ]),
  );
}

/** Larger than the index of any model, and small enough to read. */
const MAX_INDEX_BYTES = 100_000_000;

/** Tensors of the files in an index. Each file must contain the tensors that the index assigns to it. */
async function openShards(path: string, read: (path: string) => Promise<StoredTensors>): Promise<StoredTensors> {
  const shardOf = await readIndex(path);
  const tensors = new Map<string, StoredTensor>();
  for (const shard of new Set(shardOf.values())) {
    const opened = await read(join(path, "..", shard));
    for (const [name, tensor] of opened) {
      if (tensors.has(name)) throw damaged(path, `two of its files contain the tensor ${quoted(name)}`);
      tensors.set(name, tensor);
    }
    for (const [name, file] of shardOf) {
      if (file === shard && !opened.has(name))
        throw damaged(path, `${shard} does not contain the tensor ${quoted(name)}`);
    }
  }
  return tensors;
}

async function readIndex(path: string): Promise<ReadonlyMap<string, string>> {
  const text = await readRegularText(path, MAX_INDEX_BYTES).catch((error) => {
    throw readError(error, path);
  });
  const index = parsedJson(text, JSON_LIMITS, (problem, cause) => damaged(path, `it ${problem}`, cause), path);
  const map = isObject(index) ? index.weight_map : undefined;
  if (!isObject(map) || Object.keys(map).length === 0) throw damaged(path, "it has no weight_map");
  return new Map(
    Object.entries(map).map(([name, shard]) => {
      if (typeof shard !== "string") throw damaged(path, `the file of the tensor ${quoted(name)} is not a string`);
      return [name, plainFileName(shard, path)];
    }),
  );
}

/** Reads bytes `[start, end)` of a tensor, as stored. */
export async function readStoredBytes(
  tensor: StoredTensor,
  start = 0,
  end = tensor.length,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = allocateBytes(tensor.file, end - start);
  return withFile(tensor.file, (file) => readBytes(file, tensor.file, tensor.offset + start, bytes));
}

/** Reads the bytes of a tensor in C order, whatever its strides. */
export async function readOrderedBytes(tensor: StoredTensor): Promise<Uint8Array<ArrayBuffer>> {
  const stored = await readStoredBytes(tensor);
  return tensor.strides ? inOrder(tensor, tensor.strides, stored) : stored;
}

/** Reads a tensor as float32, in C order. */
export async function readStored(tensor: StoredTensor): Promise<Float32Array<ArrayBuffer>> {
  const { name, file: path, dtype, offset, length } = tensor;
  const convert = converterOf(path, name, dtype);
  const elementBytes = ELEMENT_BYTES[dtype];
  if (tensor.strides) {
    const { buffer } = await readOrderedBytes(tensor);
    const floats = allocateFloats(path, buffer.byteLength / elementBytes);
    convert(buffer, floats.length, floats, 0);
    return floats;
  }
  const floats = allocateFloats(path, length / elementBytes);
  return withFile(path, async (file) => {
    if (dtype === "F32") {
      await readBytes(file, path, offset, new Uint8Array(floats.buffer));
      return floats;
    }
    const piece = new Uint8Array(Math.min(PIECE_BYTES, length));
    for (let at = 0; at < length; at += piece.length) {
      const bytes = Math.min(piece.length, length - at);
      await readBytes(file, path, offset + at, piece.subarray(0, bytes));
      convert(piece.buffer, bytes / elementBytes, floats, at / elementBytes);
    }
    return floats;
  });
}

/** Returns true if two tensors have the same bytes in C order. Reads pieces up to the first difference. */
export async function sameBytes(a: StoredTensor, b: StoredTensor): Promise<boolean> {
  const isSameOrder = JSON.stringify(a.strides) === JSON.stringify(b.strides);
  if (a.file === b.file && a.offset === b.offset && a.length === b.length && isSameOrder) return true;
  if (!isSameOrder) {
    const [first, second] = [await readOrderedBytes(a), await readOrderedBytes(b)];
    return Buffer.compare(first, second) === 0;
  }
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += PIECE_BYTES) {
    const end = Math.min(at + PIECE_BYTES, a.length);
    const [first, second] = await Promise.all([readStoredBytes(a, at, end), readStoredBytes(b, at, end)]);
    if (Buffer.compare(first, second) !== 0) return false;
  }
  return true;
}

/** Rows `[from, to)` of a tensor in C order. */
export function rowsOf(tensor: StoredTensor, from: number, to: number): StoredTensor {
  const [rows, ...rest] = tensor.shape;
  const rowBytes = rows ? tensor.length / rows : 0;
  return {
    ...tensor,
    shape: [to - from, ...rest],
    offset: tensor.offset + from * rowBytes,
    length: (to - from) * rowBytes,
  };
}

/** Rejects a tensor of a type that weights cannot have, before anything is read. */
export function requireWeights({ file, name, dtype }: StoredTensor): void {
  converterOf(file, name, dtype);
}

/** Returns true if a tensor can be read as float32. */
export const holdsWeights = ({ dtype }: StoredTensor): boolean => dtype in CONVERTERS;

/** Conversion works in pieces, so that memory holds little more than the result. A multiple of every element size. */
const PIECE_BYTES = 2 ** 22;

const ELEMENTS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array };

/** Copies strided elements into C order. */
function inOrder(
  { file, shape, dtype }: StoredTensor,
  strides: readonly number[],
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  // ELEMENT_BYTES has only these four sizes.
  const elementBytes = ELEMENT_BYTES[dtype] as keyof typeof ELEMENTS;
  const stored = new ELEMENTS[elementBytes](bytes.buffer);
  const size = shape.reduce((a, b) => a * b, 1);
  const result = allocateBytes(file, size * elementBytes);
  const ordered = new ELEMENTS[elementBytes](result.buffer);

  const rank = shape.length;
  const last = shape[rank - 1] ?? 1;
  const step = strides[rank - 1] ?? 0;
  const index = new Array<number>(rank).fill(0);
  let from = 0;
  for (let to = 0; to < size; ) {
    for (let i = 0; i < last; i++) ordered[to++] = stored[from + i * step] as number;
    // Advance to the next row like an odometer.
    for (let d = rank - 2; d >= 0; d--) {
      from += strides[d] as number;
      index[d] = (index[d] as number) + 1;
      if ((index[d] as number) < (shape[d] as number)) break;
      from -= (shape[d] as number) * (strides[d] as number);
      index[d] = 0;
    }
  }
  return result;
}
