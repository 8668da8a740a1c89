import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStored, readStored } from "../../../src/engine/weights";
import {
  dict,
  global,
  int,
  ints,
  legacyFile,
  long,
  model,
  pickle,
  storage,
  tensor,
  text,
  tuple,
  u8,
  u16,
  u32,
  u64,
} from "../../helpers/pickles";
import { expectRejected } from "../../helpers/rejected";
import { type Spoil, torchZip, zipFile } from "../../helpers/zipFiles";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "malformed-bin-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function openFile(bytes: Uint8Array) {
  await writeFile(join(dir, "pytorch_model.bin"), bytes);
  return openStored(dir);
}
const rejected = (bytes: Uint8Array, message: RegExp) => expectRejected(() => openFile(bytes), message);

test("the intact files that the tests below damage are read", async () => {
  for (const file of [torchZip(model()), legacyFile()]) {
    const tensor = (await openFile(file)).get("w")!;
    expect(tensor).toMatchObject({ shape: [2, 2], dtype: "F32" });
    expect([...(await readStored(tensor))]).toEqual([0, 0, 0, 0]);
  }
});

describe("a pickle that refers to code is rejected by name, and nothing runs:", () => {
  const HOSTILE = [
    ["os", "system"],
    ["posix", "system"],
    ["nt", "system"],
    ["builtins", "eval"],
    ["builtins", "exec"],
    ["builtins", "getattr"],
    ["builtins", "__import__"],
    ["__builtin__", "eval"],
    ["subprocess", "Popen"],
    ["subprocess", "check_output"],
    ["importlib", "import_module"],
    ["runpy", "run_path"],
    ["pickle", "loads"],
    ["shutil", "rmtree"],
    ["socket", "socket"],
    ["webbrowser", "open"],
    ["ctypes", "CDLL"],
    ["operator", "attrgetter"],
    ["functools", "partial"],
    ["codecs", "decode"],
    ["numpy", "load"],
    ["torch", "load"],
    ["torch.hub", "load"],
    ["torch.storage", "_load_from_bytes"],
    ["torch.jit", "load"],
    ["torch._utils", "__builtins__"],
    ["torch._utils", "_rebuild_tensor_v2.__globals__"],
    ["collections", "OrderedDict.fromkeys"],
    ["collections", "namedtuple"],
    ["constructor", "constructor"],
    ["__proto__", "toString"],
  ] as const;
  const byName = (module: string, name: string) =>
    new RegExp(`would run code while loading \\(${module}\\.${name}\\)\\. .* so the file was rejected\\. Use`);

  test.each(HOSTILE)("%s.%s, called", (module, name) =>
    rejected(torchZip(pickle(`${global(module, name)}${tuple(text("touch hacked"))}R`)), byName(module, name)),
  );
  test.each(HOSTILE.slice(0, 5))("%s.%s, with names from the stack", (module, name) => {
    const names = `\x8c${u8(module.length)}${module}\x8c${u8(name.length)}${name}`;
    return rejected(torchZip(pickle(`${names}\x93)R`)), byName(module, name));
  });
  test.each(HOSTILE.slice(0, 5))("%s.%s, as an instance", (module, name) =>
    rejected(torchZip(pickle(`(i${module}\n${name}\n`)), byName(module, name)),
  );
  test.each(HOSTILE.slice(0, 3))("%s.%s, in a legacy file", (module, name) =>
    rejected(legacyFile({ value: pickle(`${global(module, name)})R`) }), byName(module, name)),
  );
  test.each(HOSTILE.slice(0, 3))("%s.%s, as the version of a legacy file", (module, name) =>
    rejected(legacyFile({ version: pickle(`${global(module, name)})R`) }), byName(module, name)),
  );
  test.each(HOSTILE.slice(0, 3))("%s.%s, as the type of a storage", (module, name) =>
    rejected(torchZip(model(tensor({ of: storage({ type: global(module, name) }) }))), byName(module, name)),
  );
  test.each([
    [
      "a name with a line break",
      pickle(`\x8c${u8(3)}o\ns\x8c${u8(1)}x\x93)R`),
      /run code while loading \("o\\ns\.x"\)/,
    ],
    ["an unterminated name", Buffer.from("\x80\x02cos", "latin1"), /its pickle is truncated/],
    ["a very long name", pickle(global("x".repeat(5000), "y")), /run code while loading \("x{40,}…"\)/],
    ["names that are numbers", pickle(`${int(1)}${int(2)}\x93`), /run code while loading \("\?\.\?"\)/],
    ["an extension of 1 byte", pickle(`\x82${u8(7)}`), /run code while loading \("extension 7"\)/],
    ["an extension of 2 bytes", pickle(`\x83${u16(300)}`), /run code while loading \("extension 300"\)/],
    ["an extension of 4 bytes", pickle(`\x84${u32(70_000)}`), /run code while loading \("extension 70000"\)/],
    ["a new object", pickle(`${global("collections", "OrderedDict")})\x81`), /constructs an object/],
    ["a new object with keywords", pickle(`${global("collections", "OrderedDict")})}\x92`), /constructs an object/],
    ["an object of the stack", pickle(`(${global("collections", "OrderedDict")}o`), /constructs an object/],
    ["a call of a string", pickle(`${text("os.system")})R`), /calls a value that cannot be called/],
    ["a call of a type", pickle(`${global("torch", "FloatStorage")})R`), /calls a value that cannot be called/],
    [
      "a call of the result of a call",
      pickle(`${global("collections", "OrderedDict")})R)R`),
      /calls a value that cannot be called/,
    ],
    [
      "a call without arguments",
      pickle(`${global("collections", "OrderedDict")}${int(1)}R`),
      /calls a value that cannot be called/,
    ],
    [
      "a dictionary with initial items",
      pickle(`${global("collections", "OrderedDict")}${tuple("]")}R`),
      /passes items to OrderedDict/,
    ],
  ])("%s", (_, bytes, message) => rejected(torchZip(bytes), message));
});

describe("an invalid pickle is rejected:", () => {
  const nested = "(".repeat(200_000);
  test.each<[string, Buffer, RegExp]>([
    ["an empty file", Buffer.alloc(0), /its pickle is truncated/],
    ["a missing end", Buffer.from("\x80\x02}", "latin1"), /its pickle is truncated/],
    ["an end without a value", pickle(""), /reads from an empty stack/],
    ["protocol 0", Buffer.from("\x80\x00}.", "latin1"), /its pickle protocol is 0, but only 2 to 5 are supported/],
    ["protocol 1", Buffer.from("\x80\x01}.", "latin1"), /its pickle protocol is 1, but only 2 to 5 are supported/],
    ["protocol 6", Buffer.from("\x80\x06}.", "latin1"), /its pickle protocol is 6, but only 2 to 5 are supported/],
    ["an integer of protocol 0", pickle("I1\n"), /unknown operation 73/],
    ["a persistent id of protocol 0", pickle("P0\n"), /unknown operation 80/],
    ["an out-of-band buffer", pickle("\x97"), /unknown operation 151/],
    ["an unknown operation", pickle("\xff"), /unknown operation 255/],
    ["a pop from an empty stack", pickle("0"), /reads from an empty stack/],
    ["a tuple of missing values", pickle("\x87"), /reads from an empty stack/],
    ["a tuple without a mark", pickle("t"), /reads from an empty stack/],
    ["a pop across a mark", pickle(`${int(1)}(0`), /reads from an empty stack/],
    ["an unset memo entry", pickle("h\x00"), /reads the unset memo entry 0/],
    ["memo entry 2^32 - 1", pickle(`j${u32(2 ** 32 - 1)}`), /reads the unset memo entry 4294967295/],
    [
      "an item set on a number",
      pickle(`${int(1)}${int(2)}${int(3)}s`),
      /sets items of a value that is not a dictionary/,
    ],
    ["an item set on a list", pickle(`]${int(2)}${int(3)}s`), /sets items of a value that is not a dictionary/],
    ["a key without a value", pickle(`}(${int(2)}u`), /sets items of a value that is not a dictionary/],
    ["an element appended to a dictionary", pickle(`}${int(2)}a`), /appends to a value that is not a list/],
    ["elements appended to a string", pickle(`${text("x")}(${int(2)}e`), /appends to a value that is not a list/],
    ["a string of 4 GB", pickle(`X${u32(2 ** 32 - 1)}`), /its pickle is truncated/],
    ["a string of 2^63 bytes", pickle(`\x8d${u64(2n ** 63n)}`), /its pickle is truncated/],
    ["bytes of 2^63 bytes", pickle(`\x8e${u64(2n ** 63n)}`), /its pickle is truncated/],
    ["a number of 255 bytes", pickle(`\x8a${u8(255)}${"\xff".repeat(255)}`), /an integer of 255 bytes/],
    ["a number of 4 GB", pickle(`\x8b${u32(2 ** 32 - 1)}`), /an integer of 4294967295 bytes/],
    ["millions of operations", pickle("N0".repeat(1_000_000)), /more than 1500000 operations/],
    ["millions of memo entries", pickle(`N${"\x94".repeat(2_000_000)}`), /memoizes more than 500000 values/],
    ["nested marks", pickle(nested), /reads from an empty stack/],
    ["deeply nested lists", pickle(`${"]".repeat(200_000)}${"a".repeat(199_999)}`), /it is not a state dict/],
    ["a list in itself", pickle("]q\x00h\x00a"), /it is not a state dict/],
    ["a dictionary that is its own key", pickle("}q\x00h\x00h\x00s"), /it is not a state dict/],
    ["a number for a model", pickle(int(7)), /it is not a state dict/],
    ["None for a model", pickle("N"), /it is not a state dict/],
    ["a tensor for a model", pickle(tensor()), /it is not a state dict/],
    ["an empty model", pickle("}"), /it is not a state dict/],
    ["a number for a tensor", pickle(dict(text("epoch"), int(3))), /it is not a state dict/],
    ["a storage for a tensor", pickle(dict(text("w"), storage())), /it is not a state dict/],
  ])("%s", (_, bytes, message) => rejected(torchZip(bytes), message));
});

describe("an invalid tensor is rejected:", () => {
  const invalid = /describes an invalid tensor/;
  test.each<[string, string, RegExp]>([
    ["without a storage", tensor({ of: int(1) }), invalid],
    ["without arguments", `${global("torch._utils", "_rebuild_tensor_v2")})R`, invalid],
    ["that starts before its storage", tensor({ start: int(-1) }), invalid],
    ["that starts at a fractional offset", tensor({ start: "G?\xf0\x00\x00\x00\x00\x00\x01" }), invalid],
    ["without a start", tensor({ start: "N" }), invalid],
    ["of negative size", tensor({ shape: ints(-2, 2) }), invalid],
    ["of a size of strings", tensor({ shape: tuple(text("2"), text("2")) }), invalid],
    ["of a size that is a number", tensor({ shape: int(4) }), invalid],
    ["of a size beyond exact integers", tensor({ shape: tuple(long(2n ** 62n), int(2)) }), invalid],
    ["with negative strides", tensor({ strides: ints(-2, 1) }), invalid],
    ["with too few strides", tensor({ strides: ints(1) }), invalid],
    ["of 65 dimensions", tensor({ shape: ints(...Array(65).fill(1)), strides: ints(...Array(65).fill(1)) }), invalid],
    [
      "of ten thousand dimensions",
      tensor({ shape: ints(...Array(1e4).fill(1)), strides: ints(...Array(1e4).fill(1)) }),
      invalid,
    ],
    [
      "larger than its storage",
      tensor({ shape: ints(2, 3), strides: ints(3, 1) }),
      /"w" extends past the end of its storage/,
    ],
    ["that starts too late in its storage", tensor({ start: int(1) }), /"w" extends past the end of its storage/],
    [
      "with a stride beyond its storage",
      tensor({ strides: ints(2 ** 30, 1) }),
      /"w" extends past the end of its storage/,
    ],
    [
      "whose size overflows",
      tensor({ shape: tuple(long(2n ** 40n), long(2n ** 40n)), strides: ints(1, 1) }),
      /"w" extends past the end of its storage/,
    ],
    [
      "whose strides overflow",
      tensor({ shape: tuple(long(2n ** 52n), int(2)), strides: tuple(long(2n ** 52n), int(1)) }),
      /"w" extends past the end of its storage/,
    ],
    [
      "that repeats one number 2^40 times",
      tensor({ shape: ints(2 ** 20, 2 ** 20), strides: ints(0, 0) }),
      /"w" repeats elements/,
    ],
    ["that repeats its rows", tensor({ shape: ints(9, 2), strides: ints(0, 1) }), /"w" repeats elements/],
    ["that overlaps itself", tensor({ shape: ints(3, 2), strides: ints(1, 1) }), /"w" repeats elements/],
    ["of a missing storage", tensor({ of: storage({ key: text("7") }) }), /"7" should have 16 bytes but has none/],
    [
      "of a storage outside the folder",
      tensor({ of: storage({ key: text("../../x") }) }),
      /"\.\.\/\.\.\/x" should have 16/,
    ],
    ["of a storage that is smaller", tensor({ of: storage({ elements: int(5) }) }), /should have 20 bytes but has 16/],
    [
      "of a storage that is larger",
      tensor({ of: storage({ elements: int(3) }), shape: ints(1), strides: ints(1) }),
      /has 16/,
    ],
    [
      "of a storage of another type",
      tensor({ of: storage({ type: global("torch", "HalfStorage") }) }),
      /should have 8 bytes/,
    ],
    [
      "of an unknown type",
      tensor({ of: storage({ type: global("torch", "QInt8Storage") }) }),
      /a kind that is not supported \(torch\.QInt8Storage\)/,
    ],
    [
      "of complex numbers",
      tensor({ of: storage({ type: global("torch", "ComplexFloatStorage") }) }),
      /the storage "0" should have 32 bytes but has 16/,
    ],
    ["of a storage without a name", tensor({ of: storage({ key: int(0) }) }), /an object that is not a storage/],
    [
      "of a storage of negative size",
      tensor({ of: storage({ elements: int(-4) }) }),
      /an object that is not a storage/,
    ],
    ["of a storage of 2^62", tensor({ of: storage({ elements: long(2n ** 62n) }) }), /an object that is not a storage/],
    [
      "of a storage of 2^52",
      tensor({ of: storage({ elements: long(2n ** 52n) }) }),
      /should have more than 999,999,999,999,999 bytes/,
    ],
    ["of a view of a storage", tensor({ of: storage({ view: ints(0, 0, 4) }) }), /it contains views of storages/],
    ["of a module", tensor({ of: `${tuple(text("module"), "N", text("x"), text("y"))}Q` }), /is not a storage/],
    ["of an id that is a string", tensor({ of: `${text("storage")}Q` }), /is not a storage/],
    ["of an empty id", tensor({ of: ")Q" }), /is not a storage/],
  ])("%s", (_, w, message) => rejected(torchZip(model(w)), message));

  test("a storage with two sizes", () => {
    const other = tensor({ of: storage({ elements: int(2) }), shape: ints(2), strides: ints(1) });
    return rejected(
      torchZip(pickle(dict(text("a"), tensor(), text("b"), other))),
      /"0" has two different sizes or types/,
    );
  });
});

describe("an invalid zip archive is rejected:", () => {
  const end =
    (offset: number, write: (b: Buffer, at: number) => void): Spoil =>
    (b, layout) => {
      write(b, layout.end + offset);
      return undefined;
    };
  const central =
    (offset: number, write: (b: Buffer, at: number) => void, entry = 1): Spoil =>
    (b, layout) => {
      write(b, layout.central[entry]! + offset);
      return undefined;
    };
  const local =
    (offset: number, write: (b: Buffer, at: number) => void, entry = 1): Spoil =>
    (b, layout) => {
      write(b, layout.locals[entry]! + offset);
      return undefined;
    };
  const short = (n: number) => (b: Buffer, at: number) => void b.writeUInt16LE(n, at);
  const word = (n: number) => (b: Buffer, at: number) => void b.writeUInt32LE(n, at);

  test.each<[string, Spoil, RegExp]>([
    ["no directory", (b, { end }) => b.subarray(0, end), /no zip directory at its end/],
    ["a truncated directory", (b, { end }) => b.subarray(0, end + 21), /no zip directory at its end/],
    ["only its beginning", (b) => b.subarray(0, 4), /no zip directory at its end/],
    ["data after the end", (b) => Buffer.concat([b, Buffer.alloc(70_000)]), /no zip directory at its end/],
    ["a directory beyond the file", end(16, word(2 ** 31)), /its zip directory has an invalid offset/],
    ["a directory longer than the file", end(12, word(2 ** 31)), /its zip directory has an invalid offset/],
    ["a directory at the wrong offset", end(16, word(3)), /its zip directory (is invalid|has an invalid offset)/],
    ["a directory with half an entry", end(12, word(30)), /its zip directory is invalid/],
    ["a wrong signature of an entry", central(0, word(0)), /its zip directory is invalid/],
    ["a name longer than the directory", central(28, short(60_000)), /its zip directory is truncated/],
    ["an extra field longer than the directory", central(30, short(60_000)), /its zip directory is truncated/],
    ["a comment longer than the directory", central(32, short(60_000)), /its zip directory is truncated/],
    ["a compressed storage", central(10, short(8)), /"m\/data\/0" is compressed, which torch\.save never does/],
    ["a compressed pickle", central(10, short(8), 0), /"m\/data\.pkl" is compressed/],
    ["an unknown compression", central(10, short(99)), /"m\/data\/0" is compressed/],
    ["a zip bomb of 4 GB", central(24, word(2 ** 32 - 2)), /"m\/data\/0" has an invalid size or offset/],
    ["an encrypted entry", central(8, short(1)), /"m\/data\/0" is encrypted/],
    ["a size that refers to a missing zip64 field", central(24, word(2 ** 32 - 1)), /an invalid size or offset/],
    ["an offset that refers to a missing zip64 field", central(42, word(2 ** 32 - 1)), /an invalid size or offset/],
    ["an entry beyond the file", central(42, word(2 ** 31)), /overlaps another/],
    [
      "an entry in the directory",
      (b, { central, directory }) => void b.writeUInt32LE(directory, central[1]! + 42),
      /overlaps/,
    ],
    ["two entries at the same offset", central(42, word(0)), /overlaps another/],
    ["an entry inside another", central(42, word(8)), /overlaps another/],
    ["a missing header of an entry", local(0, word(0)), /"m\/data\/0" is not at the offset given in the directory/],
    [
      "a missing header of the pickle",
      (b, { locals }) => void b.writeUInt8(0, locals[0]! + 3),
      /was not written by torch/,
    ],
    ["a header with a longer name", local(26, short(5000)), /"m\/data\/0" overlaps another/],
    ["a header with a longer extra field", local(28, short(1)), /"m\/data\/0" overlaps another/],
    [
      "a size beyond the file in both fields",
      (b, { central }) => {
        b.writeUInt32LE(2 ** 31, central[1]! + 20);
        b.writeUInt32LE(2 ** 31, central[1]! + 24);
        return undefined;
      },
      /should have 16 bytes but has 2147483648/,
    ],
    [
      "a pickle of 2 GB",
      (b, { central }) => {
        b.writeUInt32LE(2 ** 31, central[0]! + 20);
        b.writeUInt32LE(2 ** 31, central[0]! + 24);
        return undefined;
      },
      /its pickle has 2147483648 bytes/,
    ],
  ])("%s", (_, spoil, message) => rejected(torchZip(model(), spoil), message));

  /** Adds zip64 fields before the end. */
  const large =
    (length: bigint, start: bigint, at: (layoutEnd: number) => bigint): Spoil =>
    (b, { end }) => {
      const record = Buffer.from(
        `PK\x06\x06${u64(44n)}${u16(45)}${u16(45)}${u32(0)}${u32(0)}${u64(2n)}${u64(2n)}`,
        "latin1",
      );
      const location = Buffer.from(u64(length) + u64(start), "latin1");
      const locator = Buffer.from(`PK\x06\x07${u32(0)}${u64(at(end))}${u32(1)}`, "latin1");
      return Buffer.concat([b.subarray(0, end), record, location, locator, b.subarray(end)]);
    };
  test.each<[string, Spoil, RegExp]>([
    ["a zip64 directory beyond exact integers", large(2n ** 63n, 2n ** 63n, BigInt), /has an invalid offset/],
    ["a zip64 directory beyond the file", large(100n, 2n ** 40n, BigInt), /has an invalid offset/],
    ["a zip64 record beyond the file", large(1n, 1n, () => 2n ** 62n), /has an invalid offset/],
    ["an invalid zip64 record", large(1n, 1n, () => 0n), /its zip directory is invalid/],
  ])("%s", (_, spoil, message) => rejected(torchZip(model(), spoil), message));

  test.each<[string, Buffer, RegExp]>([
    ["without a pickle", zipFile([["m/data/0", new Uint8Array(16)]]), /without data\.pkl/],
    ["with the pickle in a subfolder", zipFile([["m/n/data.pkl", model()]]), /without data\.pkl/],
    [
      "with a storage twice",
      torchZip(model(), undefined, [["m/data/0", new Uint8Array(16)]]),
      /entry "m\/data\/0" twice/,
    ],
    ["without entries", Buffer.from(`PK\x05\x06${"\0".repeat(18)}`, "latin1"), /was not written by torch\.save/],
    [
      "with big-endian numbers",
      torchZip(model(), undefined, [["m/byteorder", Buffer.from("big")]]),
      /it is big-endian/,
    ],
    [
      "with an invalid byte order",
      torchZip(model(), undefined, [["m/byteorder", Buffer.alloc(99)]]),
      /it is big-endian/,
    ],
    ["with a pickle of 20 MB", torchZip(Buffer.alloc(20_000_000)), /its pickle has 20000000 bytes/],
    [
      "with code",
      torchZip(pickle(`${global("__torch__", "Model")})R`)),
      /would run code while loading \(__torch__\.Model\)/,
    ],
  ])("one %s", (_, bytes, message) => rejected(bytes, message));

  test("a directory of 9 MB", () => {
    const name = "x".repeat(60_000);
    const entries = Array.from({ length: 150 }, (_, i): [string, Uint8Array] => [`${name}${i}`, new Uint8Array()]);
    return rejected(zipFile(entries), /its zip directory has \d+ bytes/);
  });

  test("a file truncated at any byte", async () => {
    const whole = torchZip(model());
    for (let length = 0; length < whole.length; length += 3) await rejected(whole.subarray(0, length), /./);
  });
});

describe("an invalid legacy file is rejected:", () => {
  const keysOf = (...keys: string[]) => pickle(`](${keys.join("")}e`);
  test.each<[string, Parameters<typeof legacyFile>[0], RegExp]>([
    ["a wrong magic number", { magic: pickle(int(1)) }, /was not written by torch\.save/],
    ["a string as the magic number", { magic: pickle(text("magic")) }, /was not written by torch\.save/],
    ["a wrong version", { version: pickle(int(1002)) }, /format version 1002 is unknown/],
    ["a list as the version", { version: pickle("]") }, /format version .* is unknown/],
    ["big-endian numbers", { system: pickle(dict(text("little_endian"), "\x89")) }, /it is big-endian/],
    ["no storages", { keys: pickle("N") }, /its list of storages is missing/],
    ["an unused storage", { keys: keysOf(text("9")) }, /the storage "9" is repeated or belongs to no tensor/],
    ["a storage twice", { keys: keysOf(text("0"), text("0")) }, /the storage "0" is repeated or belongs to no tensor/],
    ["a number as a storage", { keys: keysOf(int(0)) }, /the storage 0 is repeated or belongs to no tensor/],
    ["an unlisted storage", { keys: keysOf() }, /the storage "0" is missing/],
    ["a truncated storage", { data: Buffer.from(`${u64(4n)}1234`, "latin1") }, /it is truncated/],
    ["a storage without its size", { data: Buffer.alloc(5) }, /it is truncated/],
    [
      "a storage of the wrong size",
      { data: Buffer.from(u64(5n) + "\0".repeat(20), "latin1") },
      /should have 4 elements but has 5/,
    ],
    [
      "a storage of 2^64 - 1 elements",
      { data: Buffer.from(u64(2n ** 64n - 1n), "latin1") },
      /should have 4 elements but has more than 999,999,999,999,999/,
    ],
  ])("%s", (_, parts, message) => rejected(legacyFile(parts), message));

  test.each<[string, Buffer, RegExp]>([
    ["an empty file", Buffer.alloc(0), /is damaged: it is empty/],
    ["a web page", Buffer.from("<!doctype html><title>404</title>"), /is a web page, not the file itself/],
    ["a Git LFS pointer", Buffer.from("version 1\noid sha256:00\nsize 9\n"), /was not written by torch\.save/],
    ["a tar archive, as written by PyTorch 0.1", Buffer.alloc(2048, "sys_info"), /was not written by torch\.save/],
  ])("%s", (_, bytes, message) => rejected(bytes, message));

  test("a file truncated at any byte", async () => {
    const whole = legacyFile();
    for (let length = 0; length < whole.length; length += 3) await rejected(whole.subarray(0, length), /./);
  });

  test("a file truncated after it was opened", async () => {
    const tensor = (await openFile(legacyFile())).get("w")!;
    await truncate(tensor.file, 40);
    await expectRejected(() => readStored(tensor), /it is truncated/);
  });
});
