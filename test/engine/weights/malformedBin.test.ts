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
import { expectRefused } from "../../helpers/refused";
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
const refused = (bytes: Uint8Array, message: RegExp) => expectRefused(() => openFile(bytes), message);

test("what the files below are spoiled from is read", async () => {
  for (const file of [torchZip(model()), legacyFile()]) {
    const tensor = (await openFile(file)).get("w")!;
    expect(tensor).toMatchObject({ shape: [2, 2], dtype: "F32" });
    expect([...(await readStored(tensor))]).toEqual([0, 0, 0, 0]);
  }
});

describe("a pickle that asks for code is refused by name, and nothing is run:", () => {
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
    new RegExp(`asks to run ${module}\\.${name}, which .* so it was not run; take`);

  test.each(HOSTILE)("%s.%s, called", (module, name) =>
    refused(torchZip(pickle(`${global(module, name)}${tuple(text("touch hacked"))}R`)), byName(module, name)),
  );
  test.each(HOSTILE.slice(0, 5))("%s.%s, by names from the stack", (module, name) => {
    const names = `\x8c${u8(module.length)}${module}\x8c${u8(name.length)}${name}`;
    return refused(torchZip(pickle(`${names}\x93)R`)), byName(module, name));
  });
  test.each(HOSTILE.slice(0, 5))("%s.%s, as an instance", (module, name) =>
    refused(torchZip(pickle(`(i${module}\n${name}\n`)), byName(module, name)),
  );
  test.each(HOSTILE.slice(0, 3))("%s.%s, in an old file", (module, name) =>
    refused(legacyFile({ value: pickle(`${global(module, name)})R`) }), byName(module, name)),
  );
  test.each(HOSTILE.slice(0, 3))("%s.%s, where an old file has its version", (module, name) =>
    refused(legacyFile({ version: pickle(`${global(module, name)})R`) }), byName(module, name)),
  );
  test.each(HOSTILE.slice(0, 3))("%s.%s, as the type of a storage", (module, name) =>
    refused(torchZip(model(tensor({ of: storage({ type: global(module, name) }) }))), byName(module, name)),
  );
  test.each([
    ["a name with a line's end", pickle(`\x8c${u8(3)}o\ns\x8c${u8(1)}x\x93)R`), /asks to run "o\ufffds\.x"/],
    ["a name without an end", Buffer.from("\x80\x02cos", "latin1"), /its pickle ends too early/],
    ["an endless name", pickle(global("x".repeat(5000), "y")), /asks to run "x{100}…"/],
    ["names that are numbers", pickle(`${int(1)}${int(2)}\x93`), /asks to run "\?\.\?"/],
    ["an extension of 1 byte", pickle(`\x82${u8(7)}`), /asks to run "extension 7"/],
    ["an extension of 2 bytes", pickle(`\x83${u16(300)}`), /asks to run "extension 300"/],
    ["an extension of 4 bytes", pickle(`\x84${u32(70_000)}`), /asks to run "extension 70000"/],
    ["a new object", pickle(`${global("collections", "OrderedDict")})\x81`), /makes an object of a class/],
    [
      "a new object with keywords",
      pickle(`${global("collections", "OrderedDict")})}\x92`),
      /makes an object of a class/,
    ],
    ["an object of the stack", pickle(`(${global("collections", "OrderedDict")}o`), /makes an object of a class/],
    ["a call of a text", pickle(`${text("os.system")})R`), /calls what is not a function/],
    ["a call of a type", pickle(`${global("torch", "FloatStorage")})R`), /calls what is not a function/],
    [
      "a call of what a call made",
      pickle(`${global("collections", "OrderedDict")})R)R`),
      /calls what is not a function/,
    ],
    [
      "a call without a list",
      pickle(`${global("collections", "OrderedDict")}${int(1)}R`),
      /calls what is not a function/,
    ],
    [
      "a dictionary that a call fills",
      pickle(`${global("collections", "OrderedDict")}${tuple("]")}R`),
      /fills a dictionary/,
    ],
  ])("%s", (_, bytes, message) => refused(torchZip(bytes), message));
});

describe("a pickle that makes no sense is refused:", () => {
  const nested = "(".repeat(200_000);
  test.each<[string, Buffer, RegExp]>([
    ["nothing", Buffer.alloc(0), /its pickle ends too early/],
    ["no end", Buffer.from("\x80\x02}", "latin1"), /its pickle ends too early/],
    ["an end without a value", pickle(""), /takes what is not there/],
    ["protocol 0", Buffer.from("\x80\x00}.", "latin1"), /is of protocol 0, not 2 to 5/],
    ["protocol 1", Buffer.from("\x80\x01}.", "latin1"), /is of protocol 1, not 2 to 5/],
    ["protocol 6", Buffer.from("\x80\x06}.", "latin1"), /is of protocol 6, not 2 to 5/],
    ["text of protocol 0", pickle("I1\n"), /unknown operation 73/],
    ["a persistent id of protocol 0", pickle("P0\n"), /unknown operation 80/],
    ["a buffer that is elsewhere", pickle("\x97"), /unknown operation 151/],
    ["an unknown operation", pickle("\xff"), /unknown operation 255/],
    ["taking from an empty stack", pickle("0"), /takes what is not there/],
    ["a tuple of nothing", pickle("\x87"), /takes what is not there/],
    ["a tuple without a beginning", pickle("t"), /takes what is not there/],
    ["taking what is before a mark", pickle(`${int(1)}(0`), /takes what is not there/],
    ["a memory that is empty", pickle("h\x00"), /takes what is not there/],
    ["a memory of four billion", pickle(`j${u32(2 ** 32 - 1)}`), /takes what is not there/],
    ["an item for a number", pickle(`${int(1)}${int(2)}${int(3)}s`), /adds to a dictionary that is none/],
    ["an item for a list", pickle(`]${int(2)}${int(3)}s`), /adds to a dictionary that is none/],
    ["a key without a value", pickle(`}(${int(2)}u`), /adds to a dictionary that is none/],
    ["an element for a dictionary", pickle(`}${int(2)}a`), /adds to a list that is none/],
    ["elements for a text", pickle(`${text("x")}(${int(2)}e`), /adds to a list that is none/],
    ["a text of 4 GB", pickle(`X${u32(2 ** 32 - 1)}`), /its pickle ends too early/],
    ["a text of 2^63 bytes", pickle(`\x8d${u64(2n ** 63n)}`), /its pickle ends too early/],
    ["bytes of 2^63 bytes", pickle(`\x8e${u64(2n ** 63n)}`), /its pickle ends too early/],
    ["a number of 255 bytes", pickle(`\x8a${u8(255)}${"\xff".repeat(255)}`), /a number of 255 bytes/],
    ["a number of 4 GB", pickle(`\x8b${u32(2 ** 32 - 1)}`), /a number of 4294967295 bytes/],
    ["a million operations for nothing", pickle("N0".repeat(1_000_000)), /more than 1500000 operations/],
    ["a memory of millions", pickle(`N${"\x94".repeat(2_000_000)}`), /remembers more than 500000 values/],
    ["marks in marks", pickle(nested), /takes what is not there/],
    ["lists in lists, deep", pickle(`${"]".repeat(200_000)}${"a".repeat(199_999)}`), /holds no tensors by name/],
    ["a list in itself", pickle("]q\x00h\x00a"), /holds no tensors by name/],
    ["a dictionary that is its own key", pickle("}q\x00h\x00h\x00s"), /its entry "\[object Map\]" is not a tensor/],
    ["a number for a model", pickle(int(7)), /holds no tensors by name/],
    ["None for a model", pickle("N"), /holds no tensors by name/],
    ["a tensor for a model", pickle(tensor()), /holds no tensors by name/],
    ["a model of nothing", pickle("}"), /holds no tensors by name/],
    ["a number for a tensor", pickle(dict(text("epoch"), int(3))), /its entry "epoch" is not a tensor/],
    [
      "a model in a model",
      pickle(dict(text("state_dict"), dict(text("w"), tensor()))),
      /its entry "state_dict" is not/,
    ],
    ["a number for a name", pickle(dict(int(1), tensor())), /its entry "1" is not a tensor/],
    ["a storage for a tensor", pickle(dict(text("w"), storage())), /its entry "w" is not a tensor/],
  ])("%s", (_, bytes, message) => refused(torchZip(bytes), message));
});

describe("a tensor that cannot be is refused:", () => {
  const cannotBe = /describes a tensor that cannot be/;
  test.each<[string, string, RegExp]>([
    ["of no storage", tensor({ of: int(1) }), cannotBe],
    ["of nothing", `${global("torch._utils", "_rebuild_tensor_v2")})R`, cannotBe],
    ["that starts before", tensor({ start: int(-1) }), cannotBe],
    ["that starts at a fraction", tensor({ start: "G?\xf0\x00\x00\x00\x00\x00\x01" }), cannotBe],
    ["that starts nowhere", tensor({ start: "N" }), cannotBe],
    ["of negative size", tensor({ shape: ints(-2, 2) }), cannotBe],
    ["of a size in words", tensor({ shape: tuple(text("2"), text("2")) }), cannotBe],
    ["of a size that is a number", tensor({ shape: int(4) }), cannotBe],
    ["of a size beyond numbers", tensor({ shape: tuple(long(2n ** 62n), int(2)) }), cannotBe],
    ["with strides backwards", tensor({ strides: ints(-2, 1) }), cannotBe],
    ["with too few strides", tensor({ strides: ints(1) }), cannotBe],
    ["of 65 dimensions", tensor({ shape: ints(...Array(65).fill(1)), strides: ints(...Array(65).fill(1)) }), cannotBe],
    [
      "of ten thousand dimensions",
      tensor({ shape: ints(...Array(1e4).fill(1)), strides: ints(...Array(1e4).fill(1)) }),
      cannotBe,
    ],
    ["larger than its storage", tensor({ shape: ints(2, 3), strides: ints(3, 1) }), /"w" reaches beyond its storage/],
    ["that starts at its storage's end", tensor({ start: int(1) }), /"w" reaches beyond its storage/],
    ["with a stride beyond its storage", tensor({ strides: ints(2 ** 30, 1) }), /"w" reaches beyond its storage/],
    [
      "whose size overflows",
      tensor({ shape: tuple(long(2n ** 40n), long(2n ** 40n)), strides: ints(1, 1) }),
      /"w" reaches beyond its storage/,
    ],
    [
      "whose strides overflow",
      tensor({ shape: tuple(long(2n ** 52n), int(2)), strides: tuple(long(2n ** 52n), int(1)) }),
      /"w" reaches beyond its storage/,
    ],
    [
      "that fills a terabyte with one number",
      tensor({ shape: ints(2 ** 20, 2 ** 20), strides: ints(0, 0) }),
      /"w" repeats its/,
    ],
    ["that repeats its rows", tensor({ shape: ints(9, 2), strides: ints(0, 1) }), /"w" repeats its elements/],
    ["that overlaps itself", tensor({ shape: ints(3, 2), strides: ints(1, 1) }), /"w" repeats its elements/],
    [
      "of a storage that is not there",
      tensor({ of: storage({ key: text("7") }) }),
      /"7" should have 16 bytes and has none/,
    ],
    [
      "of a storage above the folder",
      tensor({ of: storage({ key: text("../../x") }) }),
      /"\.\.\/\.\.\/x" should have 16/,
    ],
    ["of a storage that is smaller", tensor({ of: storage({ elements: int(5) }) }), /should have 20 bytes and has 16/],
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
      /asks to run torch\.QInt8Storage/,
    ],
    [
      "of complex numbers",
      tensor({ of: storage({ type: global("torch", "ComplexFloatStorage") }) }),
      /torch\.ComplexFloat/,
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
      /should have 18014398509481984 bytes/,
    ],
    ["of a view of a storage", tensor({ of: storage({ view: ints(0, 0, 4) }) }), /it has views of storages/],
    ["of a module", tensor({ of: `${tuple(text("module"), "N", text("x"), text("y"))}Q` }), /is not a storage/],
    ["of an id that is a text", tensor({ of: `${text("storage")}Q` }), /is not a storage/],
    ["of an id of nothing", tensor({ of: ")Q" }), /is not a storage/],
  ])("%s", (_, w, message) => refused(torchZip(model(w)), message));

  test("one whose storage has two sizes", () => {
    const other = tensor({ of: storage({ elements: int(2) }), shape: ints(2), strides: ints(1) });
    return refused(torchZip(pickle(dict(text("a"), tensor(), text("b"), other))), /"0" has two sizes/);
  });
});

describe("a zip archive that lies is refused:", () => {
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
    ["a directory cut off", (b, { end }) => b.subarray(0, end + 21), /no zip directory at its end/],
    ["only its beginning", (b) => b.subarray(0, 4), /no zip directory at its end/],
    ["something after its end", (b) => Buffer.concat([b, Buffer.alloc(70_000)]), /no zip directory at its end/],
    ["a directory beyond the file", end(16, word(2 ** 31)), /its zip directory lies beyond its end/],
    ["a directory longer than the file", end(12, word(2 ** 31)), /its zip directory lies beyond its end/],
    ["a directory somewhere else", end(16, word(3)), /its zip directory (is not one|lies beyond)/],
    ["a directory of half an entry", end(12, word(30)), /its zip directory is not one/],
    ["an entry's signature", central(0, word(0)), /its zip directory is not one/],
    ["a name longer than the directory", central(28, short(60_000)), /its zip directory ends too early/],
    ["an extra field longer than the directory", central(30, short(60_000)), /its zip directory ends too early/],
    ["a comment longer than the directory", central(32, short(60_000)), /its zip directory ends too early/],
    ["a compressed storage", central(10, short(8)), /"m\/data\/0" is compressed, which torch\.save never does/],
    ["a compressed pickle", central(10, short(8), 0), /"m\/data\.pkl" is compressed/],
    ["an unknown compression", central(10, short(99)), /"m\/data\/0" is compressed/],
    ["a bomb of 4 GB", central(24, word(2 ** 32 - 2)), /"m\/data\/0" has an impossible size or place/],
    ["an encrypted entry", central(8, short(1)), /"m\/data\/0" is encrypted/],
    ["a size that needs a field that is not there", central(24, word(2 ** 32 - 1)), /an impossible size or place/],
    ["a place that needs a field that is not there", central(42, word(2 ** 32 - 1)), /an impossible size or place/],
    ["an entry beyond the file", central(42, word(2 ** 31)), /overlaps what comes after it/],
    [
      "an entry in the directory",
      (b, { central, directory }) => void b.writeUInt32LE(directory, central[1]! + 42),
      /overlaps/,
    ],
    ["two entries in one place", central(42, word(0)), /overlaps what comes after it/],
    ["an entry inside of another", central(42, word(8)), /overlaps what comes after it/],
    ["no header where an entry should be", local(0, word(0)), /no zip entry where its directory has "m\/data\/0"/],
    [
      "no header where the pickle should be",
      (b, { locals }) => void b.writeUInt8(0, locals[0]! + 3),
      /is not a file that torch/,
    ],
    ["a header with a longer name", local(26, short(5000)), /"m\/data\/0" overlaps what comes after it/],
    ["a header with a longer extra field", local(28, short(1)), /"m\/data\/0" overlaps what comes after it/],
    [
      "a size on which both agree and that is not there",
      (b, { central }) => {
        b.writeUInt32LE(2 ** 31, central[1]! + 20);
        b.writeUInt32LE(2 ** 31, central[1]! + 24);
        return undefined;
      },
      /should have 16 bytes and has 2147483648/,
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
  ])("%s", (_, spoil, message) => refused(torchZip(model(), spoil), message));

  /** The fields of a large archive, put before the end. */
  const large =
    (length: bigint, start: bigint, at: (layoutEnd: number) => bigint): Spoil =>
    (b, { end }) => {
      const record = Buffer.from(
        `PK\x06\x06${u64(44n)}${u16(45)}${u16(45)}${u32(0)}${u32(0)}${u64(2n)}${u64(2n)}`,
        "latin1",
      );
      const places = Buffer.from(u64(length) + u64(start), "latin1");
      const locator = Buffer.from(`PK\x06\x07${u32(0)}${u64(at(end))}${u32(1)}`, "latin1");
      return Buffer.concat([b.subarray(0, end), record, places, locator, b.subarray(end)]);
    };
  test.each<[string, Spoil, RegExp]>([
    ["a large directory beyond numbers", large(2n ** 63n, 2n ** 63n, BigInt), /lies beyond its end/],
    ["a large directory beyond the file", large(100n, 2n ** 40n, BigInt), /lies beyond its end/],
    ["a large directory's record beyond the file", large(1n, 1n, () => 2n ** 62n), /lies beyond its end/],
    ["a large directory's record that is none", large(1n, 1n, () => 0n), /its zip directory is not one/],
  ])("%s", (_, spoil, message) => refused(torchZip(model(), spoil), message));

  test.each<[string, Buffer, RegExp]>([
    ["without a pickle", zipFile([["m/data/0", new Uint8Array(16)]]), /without the data\.pkl/],
    ["with the pickle two folders deep", zipFile([["m/n/data.pkl", model()]]), /without the data\.pkl/],
    [
      "with a storage twice",
      torchZip(model(), undefined, [["m/data/0", new Uint8Array(16)]]),
      /entry "m\/data\/0" twice/,
    ],
    ["of nothing", Buffer.from(`PK\x05\x06${"\0".repeat(18)}`, "latin1"), /is not a file that torch\.save writes/],
    ["of big-endian numbers", torchZip(model(), undefined, [["m/byteorder", Buffer.from("big")]]), /not little endian/],
    [
      "with a byte order of a gigabyte",
      torchZip(model(), undefined, [["m/byteorder", Buffer.alloc(99)]]),
      /not little endian/,
    ],
    ["with a pickle of 20 MB", torchZip(Buffer.alloc(20_000_000)), /its pickle has 20000000 bytes/],
    ["of code", torchZip(pickle(`${global("__torch__", "Model")})R`)), /asks to run __torch__\.Model/],
  ])("one %s", (_, bytes, message) => refused(bytes, message));

  test("one whose directory has 9 MB", () => {
    const name = "x".repeat(60_000);
    const entries = Array.from({ length: 150 }, (_, i): [string, Uint8Array] => [`${name}${i}`, new Uint8Array()]);
    return refused(zipFile(entries), /its zip directory has \d+ bytes/);
  });

  test("one that was cut off anywhere", async () => {
    const whole = torchZip(model());
    for (let length = 0; length < whole.length; length += 3) await refused(whole.subarray(0, length), /./);
  });
});

describe("an old file that lies is refused:", () => {
  const keysOf = (...keys: string[]) => pickle(`](${keys.join("")}e`);
  test.each<[string, Parameters<typeof legacyFile>[0], RegExp]>([
    ["another magic number", { magic: pickle(int(1)) }, /is not a file that torch\.save writes/],
    ["a text for a magic number", { magic: pickle(text("magic")) }, /is not a file that torch\.save writes/],
    ["another version", { version: pickle(int(1002)) }, /unknown version 1002/],
    ["a list for a version", { version: pickle("]") }, /unknown version/],
    ["big-endian numbers", { system: pickle(dict(text("little_endian"), "\x89")) }, /not little endian/],
    ["no storages", { keys: pickle("N") }, /does not list its storages/],
    ["a storage that nobody has", { keys: keysOf(text("9")) }, /its storage "9" is nobody's/],
    ["a storage twice", { keys: keysOf(text("0"), text("0")) }, /its storage "0" is nobody's/],
    ["a number for a storage", { keys: keysOf(int(0)) }, /its storage "0" is nobody's/],
    ["a storage that is not listed", { keys: keysOf() }, /does not have its storage "0"/],
    ["a storage that is cut off", { data: Buffer.from(`${u64(4n)}1234`, "latin1") }, /it ends too early/],
    ["a storage without its size", { data: Buffer.alloc(5) }, /it ends too early/],
    [
      "a storage of another size",
      { data: Buffer.from(u64(5n) + "\0".repeat(20), "latin1") },
      /should have 4 elements and has 5/,
    ],
    [
      "a storage beyond numbers",
      { data: Buffer.from(u64(2n ** 64n - 1n), "latin1") },
      /should have 4 elements and has 18446/,
    ],
  ])("%s", (_, parts, message) => refused(legacyFile(parts), message));

  test.each<[string, Buffer, RegExp]>([
    ["an empty file", Buffer.alloc(0), /is not a file that torch\.save writes/],
    ["a page of the web", Buffer.from("<!doctype html><title>404</title>"), /is not a file that torch\.save writes/],
    [
      "a pointer to where the file is",
      Buffer.from("version 1\noid sha256:00\nsize 9\n"),
      /is not a file that torch\.save/,
    ],
    [
      "an archive of tar, as PyTorch 0.1 wrote",
      Buffer.alloc(2048, "sys_info"),
      /is not a file that torch\.save writes/,
    ],
  ])("%s", (_, bytes, message) => refused(bytes, message));

  test("one that was cut off anywhere", async () => {
    const whole = legacyFile();
    for (let length = 0; length < whole.length; length += 3) await refused(whole.subarray(0, length), /./);
  });

  test("one that is cut off after it was opened", async () => {
    const tensor = (await openFile(legacyFile())).get("w")!;
    await truncate(tensor.file, 40);
    await expectRefused(() => readStored(tensor), /it ends too early/);
  });
});
