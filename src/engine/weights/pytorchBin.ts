/**
 * The files that torch.save writes: a pickle of the tensors' names, shapes and places, and their bytes ("storages").
 * Since PyTorch 1.6 a zip archive that holds both uncompressed; before, pickles one after the other and then the storages.
 * No code of the file is run: see pickle.ts.
 */

import type { FileHandle } from "node:fs/promises";
import { realpath } from "node:fs/promises";
import { type PickleWorld, unpickle } from "./pickle";
import { damaged, isCounts, quoted, readBytes, withFile } from "./reading";
import { type DType, ELEMENT_BYTES } from "./safetensors";
import type { StoredTensor, StoredTensors } from "./storedTensor";
import { readZip, startOf } from "./zip";

/** What the pickle takes by its key; several tensors may share one. */
class Storage {
  constructor(
    readonly key: string,
    readonly elements: number,
    readonly dtype: DType,
  ) {}

  get bytes(): number {
    return this.elements * ELEMENT_BYTES[this.dtype];
  }
}

/** A tensor as the pickle describes it: nothing in it has been checked against the file. */
class Described {
  constructor(
    readonly storage: Storage,
    /** In elements. */
    readonly start: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

const STORAGES: Readonly<Record<string, DType>> = {
  FloatStorage: "F32",
  HalfStorage: "F16",
  BFloat16Storage: "BF16",
  DoubleStorage: "F64",
  LongStorage: "I64",
  IntStorage: "I32",
  ShortStorage: "I16",
  CharStorage: "I8",
  ByteStorage: "U8",
  BoolStorage: "BOOL",
};

/** A storage's type in the pickle. */
class StorageType {
  constructor(readonly dtype: DType) {}
}

/** The pickle alone, of a model with some ten thousand tensors. */
const MOST_PICKLE_BYTES = 2 ** 24;

/** Reads where the tensors of such a file lie. */
export async function openPytorchBin(path: string): Promise<StoredTensors> {
  return withFile(path, async (file) => {
    const { size } = await file.stat();
    const real = await realpath(path);
    const first = await readBytes(file, path, 0, new Uint8Array(Math.min(4, size)));
    const isZip = String.fromCharCode(...first) === "PK\x03\x04";
    const { value, startOfStorage } = await (isZip ? openZip(file, path) : openLegacy(file, path, size));

    const tensors = new Map<string, StoredTensor>();
    for (const [name, described] of namedTensors(path, value)) {
      const start = await startOfStorage(described.storage);
      tensors.set(name, { name, file: real, ...placeOf(path, name, described, start) });
    }
    return tensors;
  });
}

interface Opened {
  readonly value: unknown;
  /** Where the bytes of a storage begin, all of which are in the file. */
  readonly startOfStorage: (storage: Storage) => number | Promise<number>;
}

async function openZip(file: FileHandle, path: string): Promise<Opened> {
  const entries = await readZip(file, path);
  const pickle = [...entries.values()].find(({ name }) => /^[^/]*\/data\.pkl$/.test(name) || name === "data.pkl");
  if (!pickle) throw damaged(path, "it is a zip archive without the data.pkl that torch.save writes");
  if (pickle.length > MOST_PICKLE_BYTES) throw damaged(path, `its pickle has ${pickle.length} bytes`);
  const read = async (entry: typeof pickle) =>
    readBytes(file, path, await startOf(file, path, entry), new Uint8Array(entry.length));
  const folder = pickle.name.slice(0, -"data.pkl".length);

  const order = entries.get(`${folder}byteorder`);
  if (order && (order.length > 6 || new TextDecoder().decode(await read(order)) !== "little"))
    throw damaged(path, "its numbers are not little endian");

  const storages = new Map<string, Storage>();
  const starts = new Map<string, number>();
  return {
    value: unpickle(path, await read(pickle), 0, worldOf(path, storages)).value,
    startOfStorage: async ({ key, bytes }) => {
      const known = starts.get(key);
      if (known !== undefined) return known;
      const entry = entries.get(`${folder}data/${key}`);
      if (entry?.length !== bytes)
        throw damaged(path, `its storage ${quoted(key)} should have ${bytes} bytes and has ${entry?.length ?? "none"}`);
      const start = await startOf(file, path, entry);
      starts.set(key, start);
      return start;
    },
  };
}

const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;
const LEGACY_PICKLES = ["magic number", "version", "system", "tensors", "storages"] as const;

async function openLegacy(file: FileHandle, path: string, size: number): Promise<Opened> {
  const head = await readBytes(file, path, 0, new Uint8Array(Math.min(size, MOST_PICKLE_BYTES)));
  if (head[0] !== 0x80) throw damaged(path, "it is not a file that torch.save writes");
  const storages = new Map<string, Storage>();
  const world = worldOf(path, storages);
  let at = 0;
  const values = LEGACY_PICKLES.map((what) => {
    const { value, end } = unpickle(path, head, at, world);
    if (what === "magic number" && value !== LEGACY_MAGIC)
      throw damaged(path, "it is not a file that torch.save writes");
    at = end;
    return value;
  });
  const [, version, system, value, keys] = values;
  if (version !== LEGACY_PROTOCOL) throw damaged(path, `it is of the unknown version ${String(version)}`);
  if (system instanceof Map && system.get("little_endian") === false)
    throw damaged(path, "its numbers are not little endian");
  if (!Array.isArray(keys)) throw damaged(path, "it does not list its storages");
  return { value, startOfStorage: await legacyStorages(file, path, size, at, keys, storages) };
}

/** The storages lie one after the other, each after the number of its elements. */
async function legacyStorages(
  file: FileHandle,
  path: string,
  size: number,
  start: number,
  keys: readonly unknown[],
  storages: ReadonlyMap<string, Storage>,
): Promise<Opened["startOfStorage"]> {
  const starts = new Map<string, number>();
  let at = start;
  for (const key of keys) {
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    if (!storage || starts.has(storage.key)) throw damaged(path, `its storage ${quoted(String(key))} is nobody's`);
    const count = Number(
      new DataView((await readBytes(file, path, at, new Uint8Array(8))).buffer).getBigUint64(0, true),
    );
    if (count !== storage.elements)
      throw damaged(
        path,
        `its storage ${quoted(storage.key)} should have ${storage.elements} elements and has ${count}`,
      );
    starts.set(storage.key, at + 8);
    at += 8 + storage.bytes;
    if (at > size) throw damaged(path, "it ends too early");
  }
  return ({ key }) => {
    const found = starts.get(key);
    if (found === undefined) throw damaged(path, `it does not have its storage ${quoted(key)}`);
    return found;
  };
}

/** What the pickle may use. `storages` collects those that it names. */
function worldOf(path: string, storages: Map<string, Storage>): PickleWorld {
  const globals = new Map<string, unknown>([
    [
      "collections.OrderedDict",
      (args: unknown[]) => {
        if (args.length > 0) throw damaged(path, "its pickle fills a dictionary in a way that Python 3 does not");
        return new Map();
      },
    ],
    ["torch._utils._rebuild_tensor", (args: unknown[]) => describe(path, args)],
    ["torch._utils._rebuild_tensor_v2", (args: unknown[]) => describe(path, args)],
    ["torch._utils._rebuild_parameter", (args: unknown[]) => args[0]],
    ["torch._utils._rebuild_parameter_with_state", (args: unknown[]) => args[0]],
    ...Object.entries(STORAGES).map(([name, dtype]): [string, unknown] => [`torch.${name}`, new StorageType(dtype)]),
  ]);
  return {
    globals,
    persistent: (id) => {
      const [what, type, key, , elements, view] = Array.isArray(id) ? id : [];
      if (what !== "storage" || !(type instanceof StorageType) || typeof key !== "string" || !isCount(elements))
        throw damaged(path, "its pickle names an object that is not a storage");
      if (view !== undefined && view !== null)
        throw damaged(path, "it has views of storages, which PyTorch has not written since version 0.4");
      const known = storages.get(key);
      if (known && (known.dtype !== type.dtype || known.elements !== elements))
        throw damaged(path, `its storage ${quoted(key)} has two sizes`);
      const storage = known ?? new Storage(key, elements, type.dtype);
      storages.set(key, storage);
      return storage;
    },
  };
}

const isCount = (n: unknown): n is number => typeof n === "number" && Number.isSafeInteger(n) && n >= 0;

function describe(path: string, [storage, start, shape, strides]: unknown[]): Described {
  // Lengths first: one long list may be pointed to a million times.
  const isRank = Array.isArray(shape) && Array.isArray(strides) && shape.length === strides.length;
  const isPlace = storage instanceof Storage && isCount(start);
  if (!isPlace || !isRank || shape.length > MOST_DIMENSIONS || !isCounts(shape) || !isCounts(strides))
    throw damaged(path, "its pickle describes a tensor that cannot be");
  return new Described(storage, start, shape, strides);
}

/** PyTorch's own limit. */
const MOST_DIMENSIONS = 64;
/** More than any file of a model, and few enough to look at. */
const MOST_TENSORS = 100_000;

function namedTensors(path: string, value: unknown): (readonly [string, Described])[] {
  if (!(value instanceof Map) || value.size === 0)
    throw damaged(path, "it holds no tensors by name, as a model's weights are saved");
  if (value.size > MOST_TENSORS) throw damaged(path, `it has ${value.size} tensors`);
  return [...value].map(([name, tensor]) => {
    if (typeof name !== "string" || !(tensor instanceof Described))
      throw damaged(path, `its entry ${quoted(String(name))} is not a tensor`);
    return [name, tensor];
  });
}

/** Where a tensor lies in the file, given where its storage begins. */
function placeOf(
  path: string,
  name: string,
  { storage, start, shape, strides }: Described,
  storageStart: number,
): Omit<StoredTensor, "name" | "file"> {
  const { dtype, elements } = storage;
  const elementBytes = ELEMENT_BYTES[dtype];
  const size = shape.reduce((a, b) => a * b, 1);
  if (size === 0) return { dtype, shape, offset: storageStart, length: 0 };
  // From the first of its elements to the last.
  const span = 1 + shape.reduce((sum, n, d) => sum + (n - 1) * (strides[d] as number), 0);
  if (!(start + span <= elements)) throw damaged(path, `the tensor ${quoted(name)} reaches beyond its storage`);
  // A few numbers may be said to fill any memory, by strides of 0.
  if (size > span)
    throw damaged(path, `the tensor ${quoted(name)} repeats its elements, which should be saved as a copy`);
  const place = { dtype, shape, offset: storageStart + start * elementBytes, length: span * elementBytes };
  return isInOrder(shape, strides) ? place : { ...place, strides };
}

/** Whether the elements lie as in C; the strides of single rows do not matter. */
function isInOrder(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d] as number;
  }
  return true;
}
