/**
 * Reads files written by torch.save: a pickle of the names, shapes and offsets of the tensors, and their bytes ("storages").
 * Since PyTorch 1.6, both are in an uncompressed zip archive. Older files are a sequence of pickles followed by the storages.
 * No code from the file is executed: see pickle.ts.
 */

import type { FileHandle } from "node:fs/promises";
import { realpath } from "node:fs/promises";
import { EngineError } from "../errors";
import { type PickleEnvironment, unpickle } from "./pickle";
import { damaged, isCounts, quoted, readBytes, shown, withFile } from "./reading";
import { type DType, ELEMENT_BYTES } from "./safetensors";
import type { StoredTensor, StoredTensors } from "./storedTensor";
import { readZip, startOf } from "./zip";

/** A block of memory, referred to by key. Several tensors may share one. */
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

/** A tensor as the pickle describes it, not yet checked against the file. */
class Description {
  constructor(
    readonly storage: Storage,
    /** In elements. */
    readonly start: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
    readonly dtype: DType = storage.dtype,
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
  ComplexFloatStorage: "C64",
  // Counted in bytes. The tensor has the type.
  "storage.UntypedStorage": "U8",
};

/** Types of tensors without a type of storage. */
const TENSOR_TYPES: Readonly<Record<string, DType>> = {
  float8_e4m3fn: "F8_E4M3",
  float8_e5m2: "F8_E5M2",
  float8_e8m0fnu: "F8_E8M0",
  float8_e4m3fnuz: "F8_E4M3FNUZ",
  float8_e5m2fnuz: "F8_E5M2FNUZ",
  uint16: "U16",
  uint32: "U32",
  uint64: "U64",
};

/** The type of a storage, as a global of the pickle. */
class StorageType {
  constructor(readonly dtype: DType) {}
}

/** The type of a tensor, as a global of the pickle. */
class TensorType {
  constructor(readonly dtype: DType) {}
}

/** Classes and functions of other values that training code saves: settings, counters, paths, random states. */
const OTHER_VALUES = new RegExp(
  `^(${[
    "argparse\\.Namespace|types\\.SimpleNamespace|pathlib\\.\\w*Path|_codecs\\.encode|copyreg\\._reconstructor",
    "collections\\.(defaultdict|Counter|deque)|datetime\\.\\w+|decimal\\.Decimal|uuid\\.UUID|typing\\.Any",
    "(builtins|__builtin__)\\.(set|frozenset|list|tuple|dict|int|long|float|bool|str|unicode|bytes|bytearray|complex|object|slice)",
    "numpy\\.(ndarray|dtype)|numpy\\._?core\\.multiarray\\.(_reconstruct|scalar)|numpy\\.dtypes\\.\\w+",
    "torch\\.(Size|device|float\\d+|bfloat16|int\\d+|uint8|bool)|torch\\.torch_version\\.TorchVersion",
    "(pytorch_lightning|lightning\\.pytorch)\\.utilities\\.parsing\\.AttributeDict",
    "(lightning_fabric|lightning\\.fabric)\\.utilities\\.data\\.AttributeDict",
    "omegaconf\\.(dictconfig\\.DictConfig|listconfig\\.ListConfig|base\\.\\w*Metadata|nodes\\.\\w+Node)",
    "__main__\\.\\w+",
  ].join("|")})$`,
);
/** Kinds of tensors and storages that are not supported. */
const OTHER_TENSORS =
  /^torch\.(\w+Storage|\w*(float|int|complex|bits)\w*|_utils\._rebuild_\w+|serialization\._get_layout|per_\w+)$/;

/** Enough for the pickle of a model with about 10,000 tensors. */
const MAX_PICKLE_BYTES = 2 ** 24;

/** Locates the tensors of a file. */
export async function openPytorchBin(path: string): Promise<StoredTensors> {
  return withFile(path, async (file) => {
    const { size } = await file.stat();
    const real = await realpath(path);
    const first = await readBytes(file, path, 0, new Uint8Array(Math.min(4, size)));
    const isZip = String.fromCharCode(...first) === "PK\x03\x04";
    const { value, startOfStorage } = await (isZip ? openZip(file, path) : openLegacy(file, path, size));

    const tensors = new Map<string, StoredTensor>();
    for (const [name, description] of namedTensors(path, value)) {
      const start = await startOfStorage(description.storage);
      tensors.set(name, { name, file: real, ...locate(path, name, description, start) });
    }
    return tensors;
  });
}

interface Opened {
  readonly value: unknown;
  /** Returns the offset of a storage, after checking that the file contains all of it. */
  readonly startOfStorage: (storage: Storage) => number | Promise<number>;
}

async function openZip(file: FileHandle, path: string): Promise<Opened> {
  const entries = await readZip(file, path);
  const pickle = [...entries.values()].find(({ name }) => /^[^/]*\/data\.pkl$/.test(name) || name === "data.pkl");
  if (!pickle) throw damaged(path, "it is a zip archive without data.pkl, so it was not written by torch.save");
  if (pickle.length > MAX_PICKLE_BYTES) throw damaged(path, `its pickle has ${shown(pickle.length)} bytes`);
  const read = async (entry: typeof pickle) =>
    readBytes(file, path, await startOf(file, path, entry), new Uint8Array(entry.length));
  const folder = pickle.name.slice(0, -"data.pkl".length);

  const order = entries.get(`${folder}byteorder`);
  if (order && (order.length > 6 || new TextDecoder().decode(await read(order)) !== "little"))
    throw damaged(path, "it is big-endian, which is not supported");

  const storages = new Map<string, Storage>();
  const starts = new Map<string, number>();
  return {
    value: unpickle(path, await read(pickle), 0, pickleEnvironment(path, storages)).value,
    startOfStorage: async ({ key, bytes }) => {
      const known = starts.get(key);
      if (known !== undefined) return known;
      const entry = entries.get(`${folder}data/${key}`);
      if (entry?.length !== bytes)
        throw damaged(
          path,
          `the storage ${quoted(key)} should have ${shown(bytes)} bytes but has ${entry ? shown(entry.length) : "none"}`,
        );
      const start = await startOf(file, path, entry);
      starts.set(key, start);
      return start;
    },
  };
}

const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;
const NOT_TORCH = "it was not written by torch.save";
const LEGACY_PICKLES = ["magic number", "version", "system", "tensors", "storages"] as const;

async function openLegacy(file: FileHandle, path: string, size: number): Promise<Opened> {
  const head = await readBytes(file, path, 0, new Uint8Array(Math.min(size, MAX_PICKLE_BYTES)));
  if (head[0] !== 0x80) throw damaged(path, NOT_TORCH);
  const storages = new Map<string, Storage>();
  const environment = pickleEnvironment(path, storages);
  let at = 0;
  const values = LEGACY_PICKLES.map((name) => {
    const { value, end } = unpickle(path, head, at, environment);
    if (name === "magic number" && value !== LEGACY_MAGIC) throw damaged(path, NOT_TORCH);
    at = end;
    return value;
  });
  const [, version, system, value, keys] = values;
  if (version !== LEGACY_PROTOCOL) throw damaged(path, `its format version ${shown(version)} is unknown`);
  if (system instanceof Map && system.get("little_endian") === false)
    throw damaged(path, "it is big-endian, which is not supported");
  if (!Array.isArray(keys)) throw damaged(path, "its list of storages is missing");
  return { value, startOfStorage: await legacyStorages(file, path, size, at, keys, storages) };
}

/** Storages follow one another, each preceded by its number of elements. */
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
    if (!storage || starts.has(storage.key))
      throw damaged(path, `the storage ${shown(key)} is repeated or belongs to no tensor`);
    const count = Number(
      new DataView((await readBytes(file, path, at, new Uint8Array(8))).buffer).getBigUint64(0, true),
    );
    if (count !== storage.elements)
      throw damaged(
        path,
        `the storage ${quoted(storage.key)} should have ${shown(storage.elements)} elements but has ${shown(count)}`,
      );
    starts.set(storage.key, at + 8);
    at += 8 + storage.bytes;
    if (at > size) throw damaged(path, "it is truncated");
  }
  return ({ key }) => {
    const found = starts.get(key);
    if (found === undefined) throw damaged(path, `the storage ${quoted(key)} is missing`);
    return found;
  };
}

/** The globals that a pickle may use. Adds the storages that it refers to to `storages`. */
function pickleEnvironment(path: string, storages: Map<string, Storage>): PickleEnvironment {
  const globals = new Map<string, unknown>([
    [
      "collections.OrderedDict",
      (args: unknown[]) => {
        if (args.length > 0) throw damaged(path, "its pickle passes items to OrderedDict, which Python 3 does not do");
        return new Map();
      },
    ],
    ["torch._utils._rebuild_tensor", (args: unknown[]) => describe(path, args)],
    ["torch._utils._rebuild_tensor_v2", (args: unknown[]) => describe(path, args)],
    ["torch._utils._rebuild_tensor_v3", (args: unknown[]) => describe(path, args, args[6])],
    ["torch._utils._rebuild_parameter", (args: unknown[]) => args[0]],
    ["torch._utils._rebuild_parameter_with_state", (args: unknown[]) => args[0]],
    ...Object.entries(STORAGES).map(([name, dtype]): [string, unknown] => [`torch.${name}`, new StorageType(dtype)]),
    ...Object.entries(TENSOR_TYPES).map(([name, dtype]): [string, unknown] => [`torch.${name}`, new TensorType(dtype)]),
  ]);
  return {
    globals,
    other: (name) => {
      if (OTHER_VALUES.test(name)) return true;
      if (!OTHER_TENSORS.test(name)) return false;
      throw new EngineError(
        "weights",
        `${path} contains tensors of a kind that is not supported (${name}). Use a version of the model in safetensors with F32, F16 or BF16.`,
      );
    },
    persistent: (id) => {
      const [kind, type, key, , elements, view] = Array.isArray(id) ? id : [];
      if (kind !== "storage" || !(type instanceof StorageType) || typeof key !== "string" || !isCount(elements))
        throw damaged(path, "its pickle refers to an object that is not a storage");
      if (view !== undefined && view !== null)
        throw damaged(path, "it contains views of storages, which PyTorch stopped writing in version 0.4");
      const known = storages.get(key);
      if (known && (known.dtype !== type.dtype || known.elements !== elements))
        throw damaged(path, `the storage ${quoted(key)} has two different sizes or types`);
      const storage = known ?? new Storage(key, elements, type.dtype);
      storages.set(key, storage);
      return storage;
    },
  };
}

const isCount = (n: unknown): n is number => typeof n === "number" && Number.isSafeInteger(n) && n >= 0;

function describe(path: string, [storage, start, shape, strides]: unknown[], type?: unknown): Description {
  // Compares lengths first: a hostile file may refer to one long list a million times.
  const isRank = Array.isArray(shape) && Array.isArray(strides) && shape.length === strides.length;
  const isLocated = storage instanceof Storage && isCount(start);
  if (!isLocated || !isRank || shape.length > MAX_DIMENSIONS || !isCounts(shape) || !isCounts(strides))
    throw damaged(path, "its pickle describes an invalid tensor");
  return new Description(storage, start, shape, strides, type instanceof TensorType ? type.dtype : storage.dtype);
}

/** PyTorch's limit. */
const MAX_DIMENSIONS = 64;
/** More than any model file contains. */
const MAX_TENSORS = 100_000;

/** Training code nests state dicts: {"model": …, "optimizer": {"state": {0: …}}}. */
const MAX_DEPTH = 8;

/** The tensors in nested dictionaries, with the keys joined by dots. Other values are not needed. */
function namedTensors(path: string, value: unknown): ReadonlyMap<string, Description> {
  const tensors = new Map<string, Description>();
  let entries = 0;
  const collect = (map: ReadonlyMap<unknown, unknown>, prefix: string, depth: number): void => {
    for (const [key, entry] of map) {
      // A hostile file may contain the same dictionary a million times.
      if (++entries > MAX_TENSORS) throw damaged(path, `it has more than ${MAX_TENSORS} tensors and values`);
      const name = prefix + String(typeof key === "number" || typeof key === "string" ? key : "?");
      if (entry instanceof Description) tensors.set(name, entry);
      else if (entry instanceof Map && depth < MAX_DEPTH) collect(entry, `${name}.`, depth + 1);
    }
  };
  if (value instanceof Map) collect(value, "", 0);
  if (tensors.size === 0) throw damaged(path, "it is not a state dict (named tensors)");
  return tensors;
}

/** Location of a tensor in the file, given the offset of its storage. */
function locate(
  path: string,
  name: string,
  { storage, start, shape, strides, dtype }: Description,
  storageStart: number,
): Omit<StoredTensor, "name" | "file"> {
  const elementBytes = ELEMENT_BYTES[dtype];
  const elements = storage.bytes / elementBytes;
  const size = shape.reduce((a, b) => a * b, 1);
  if (size === 0) return { dtype, shape, offset: storageStart, length: 0 };
  // Number of storage elements from the first element to the last.
  const span = 1 + shape.reduce((sum, n, d) => sum + (n - 1) * (strides[d] as number), 0);
  if (!(start + span <= elements))
    throw damaged(path, `the tensor ${quoted(name)} extends past the end of its storage`);
  // Strides of 0 would let a small file fill all memory.
  if (size > span) throw damaged(path, `the tensor ${quoted(name)} repeats elements; it must be saved as a copy`);
  const location = { dtype, shape, offset: storageStart + start * elementBytes, length: span * elementBytes };
  return isInOrder(shape, strides) ? location : { ...location, strides };
}

/** Returns true if the elements are in C order. Strides of dimensions with size 1 do not matter. */
function isInOrder(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d] as number;
  }
  return true;
}
