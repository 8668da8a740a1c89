/**
 * A reader for the part of Python's pickle format (protocols 2 to 5) that plain data and tensors need. A pickle is a
 * program for a stack machine that may call any Python function. This machine calls only the functions it is given and
 * rejects all others by name. https://docs.python.org/3/library/pickletools.html
 *
 * None, numbers, strings and bytes become their JavaScript counterparts; lists and tuples become arrays, dictionaries Maps.
 */

import { EngineError } from "../errors";
import { damaged, quoted, shown } from "./reading";

export interface PickleEnvironment {
  /** Allowed globals by `module.name`: values, and functions that receive their arguments as an array. */
  readonly globals: ReadonlyMap<string, unknown>;
  /** Returns true for a global of a value that is not needed, which is left out; it is never called. */
  readonly other?: (name: string) => boolean;
  /** Resolves a persistent id. */
  readonly persistent: (id: unknown) => unknown;
}

/** A tensor needs about 50 operations. The limit bounds memory. */
const MAX_STEPS = 1_500_000;
const MAX_MEMO = 500_000;

/** Runs the pickle at `start`. Returns its value and where it ends. */
export function unpickle(
  path: string,
  bytes: Uint8Array,
  start: number,
  environment: PickleEnvironment,
): { readonly value: unknown; readonly end: number } {
  const machine = new Machine(path, bytes, start, environment);
  for (let steps = 0; steps < MAX_STEPS; steps++) {
    const code = machine.byte();
    if (code === STOP) return { value: machine.pop(), end: machine.at };
    const operation = OPERATIONS.get(code);
    if (!operation) throw machine.damaged(`its pickle contains the unknown operation ${shown(code)}`);
    operation(machine);
  }
  throw machine.damaged(`its pickle has more than ${MAX_STEPS} operations`);
}

/** A value that is not needed. As a class or a function, its results are not needed either. */
const OTHER = Symbol("other");

class Machine {
  private readonly memo = new Map<number, unknown>();
  private readonly stack: unknown[] = [];
  private readonly marks: number[] = [];
  private readonly view: DataView;

  constructor(
    private readonly path: string,
    private readonly bytes: Uint8Array,
    public at: number,
    readonly environment: PickleEnvironment,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The next `length` bytes. */
  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) throw this.damaged("its pickle is truncated");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  byte(): number {
    return this.take(1)[0] as number;
  }

  /** Reads an unsigned integer. Values above 2^53 are inexact, but too large for any count anyway. */
  unsigned(size: 1 | 2 | 4 | 8): number {
    this.take(size);
    const at = this.at - size;
    if (size === 1) return this.view.getUint8(at);
    if (size === 2) return this.view.getUint16(at, true);
    if (size === 4) return this.view.getUint32(at, true);
    return Number(this.view.getBigUint64(at, true));
  }

  /** Reads a signed integer of `size` bytes, as a bigint if a number would be inexact. */
  signed(size: number): number | bigint {
    // PyTorch's magic number has 10 bytes.
    if (size > 16) throw this.damaged(`its pickle contains an integer of ${shown(size)} bytes`);
    const value = this.take(size).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    const signed = BigInt.asIntN(8 * size, value);
    return Number.isSafeInteger(Number(signed)) ? Number(signed) : signed;
  }

  double(): number {
    this.take(8);
    return this.view.getFloat64(this.at - 8, false);
  }

  text(length: number): string {
    return new TextDecoder().decode(this.take(length));
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw this.damaged("its pickle is truncated");
    const line = this.text(end - this.at);
    this.at = end + 1;
    return line;
  }

  push(value: unknown): void {
    this.stack.push(value);
  }

  pop(): unknown {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  top(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw this.damaged(EMPTY_STACK);
    return this.stack.at(-1);
  }

  mark(): void {
    this.marks.push(this.stack.length);
  }

  popToMark(): unknown[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.damaged(EMPTY_STACK);
    return this.stack.splice(mark);
  }

  popCount(count: number): unknown[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  list(): unknown[] {
    const value = this.top();
    if (value === OTHER) return [];
    if (!Array.isArray(value)) throw this.damaged("its pickle appends to a value that is not a list");
    return value;
  }

  setItems(items: readonly unknown[]): void {
    const target = this.top();
    if (target === OTHER) return;
    if (!(target instanceof Map) || items.length % 2 === 1)
      throw this.damaged("its pickle sets items of a value that is not a dictionary");
    for (let i = 0; i < items.length; i += 2) target.set(items[i], items[i + 1]);
  }

  /** Stores the top of the stack in the memo, by default under the next free index. */
  remember(index = this.memo.size): void {
    this.memo.set(index, this.top());
    if (this.memo.size > MAX_MEMO) throw this.damaged(`its pickle memoizes more than ${MAX_MEMO} values`);
  }

  recall(index: number): void {
    if (!this.memo.has(index)) throw this.damaged(`its pickle reads the unset memo entry ${shown(index)}`);
    this.push(this.memo.get(index));
  }

  global(module: unknown, name: unknown): unknown {
    const full = `${typeof module === "string" ? module : "?"}.${typeof name === "string" ? name : "?"}`;
    if (!this.environment.globals.has(full)) {
      if (this.environment.other?.(full)) return OTHER;
      throw this.forbidden(full);
    }
    return this.environment.globals.get(full);
  }

  reduce(): void {
    const [callee, args] = this.popCount(2);
    if (callee === OTHER) {
      this.push(OTHER);
      return;
    }
    if (typeof callee !== "function" || !Array.isArray(args))
      throw this.damaged("its pickle calls a value that cannot be called");
    this.push(callee(args));
  }

  /** Constructs an object. Tensors need none, so only those that are left out are allowed. */
  construct(type: unknown): void {
    if (type !== OTHER) throw this.damaged("its pickle constructs an object, which tensors do not need");
    this.push(OTHER);
  }

  forbidden(name: string): EngineError {
    const full = /^[\w.]{1,100}$/.test(name) ? name : quoted(name);
    return new EngineError(
      "weights",
      `${this.path} would run code while loading (${full}). Only tensor data is allowed, so the file was rejected. Use a model from a source that you trust, preferably as safetensors.`,
    );
  }

  damaged(problem: string): EngineError {
    return damaged(this.path, problem);
  }
}

const EMPTY_STACK = "its pickle reads from an empty stack";

const STOP = ".".charCodeAt(0);

/** Operations by code. */
const OPERATIONS = new Map<number, (m: Machine) => void>(
  (
    [
      [
        "\x80", // PROTO
        (m) => {
          const version = m.byte();
          if (version < 2 || version > 5)
            throw m.damaged(`its pickle protocol is ${shown(version)}, but only 2 to 5 are supported`);
        },
      ],
      ["\x95", (m) => m.take(8)], // FRAME: the length of the next part

      ["N", (m) => m.push(null)],
      ["\x88", (m) => m.push(true)],
      ["\x89", (m) => m.push(false)],
      ["K", (m) => m.push(m.unsigned(1))],
      ["M", (m) => m.push(m.unsigned(2))],
      ["J", (m) => m.push(m.signed(4))],
      ["\x8a", (m) => m.push(m.signed(m.unsigned(1)))], // LONG1
      ["\x8b", (m) => m.push(m.signed(m.unsigned(4)))], // LONG4
      ["G", (m) => m.push(m.double())],
      ["\x8c", (m) => m.push(m.text(m.unsigned(1)))], // SHORT_BINUNICODE
      ["X", (m) => m.push(m.text(m.unsigned(4)))], // BINUNICODE
      ["\x8d", (m) => m.push(m.text(m.unsigned(8)))], // BINUNICODE8
      ["U", (m) => m.push(m.text(m.unsigned(1)))], // SHORT_BINSTRING, of Python 2
      ["T", (m) => m.push(m.text(m.unsigned(4)))], // BINSTRING
      ["C", (m) => m.push(m.take(m.unsigned(1)))], // SHORT_BINBYTES
      ["B", (m) => m.push(m.take(m.unsigned(4)))], // BINBYTES
      ["\x8e", (m) => m.push(m.take(m.unsigned(8)))], // BINBYTES8

      ["(", (m) => m.mark()],
      ["0", (m) => m.pop()],
      ["1", (m) => m.popToMark()],
      ["2", (m) => m.push(m.top())],

      [")", (m) => m.push([])],
      ["\x85", (m) => m.push(m.popCount(1))], // TUPLE1 to TUPLE3
      ["\x86", (m) => m.push(m.popCount(2))],
      ["\x87", (m) => m.push(m.popCount(3))],
      ["t", (m) => m.push(m.popToMark())],
      ["]", (m) => m.push([])],
      ["l", (m) => m.push(m.popToMark())],
      [
        "a", // APPEND
        (m) => {
          const value = m.pop();
          m.list().push(value);
        },
      ],
      [
        "e", // APPENDS
        (m) => {
          const values = m.popToMark();
          const list = m.list();
          for (const value of values) list.push(value);
        },
      ],
      ["}", (m) => m.push(new Map())],
      [
        "d", // DICT
        (m) => {
          const items = m.popToMark();
          m.push(new Map());
          m.setItems(items);
        },
      ],
      ["s", (m) => m.setItems(m.popCount(2))],
      ["u", (m) => m.setItems(m.popToMark())],

      ["q", (m) => m.remember(m.unsigned(1))],
      ["r", (m) => m.remember(m.unsigned(4))],
      ["\x94", (m) => m.remember()], // MEMOIZE
      ["h", (m) => m.recall(m.unsigned(1))],
      ["j", (m) => m.recall(m.unsigned(4))],

      ["c", (m) => m.push(m.global(m.line(), m.line()))],
      [
        "\x93", // STACK_GLOBAL
        (m) => {
          const [module, name] = m.popCount(2);
          m.push(m.global(module, name));
        },
      ],
      ["Q", (m) => m.push(m.environment.persistent(m.pop()))],
      ["R", (m) => m.reduce()],
      // BUILD: the state of a dictionary or a tensor (`_metadata`) does not affect its values.
      ["b", (m) => m.pop()],

      // Operations that construct objects. Tensors need none of them.
      [
        "i", // INST
        (m) => {
          throw m.forbidden(`${m.line()}.${m.line()}`);
        },
      ],
      ["\x8f", (m) => m.push(OTHER)], // EMPTY_SET
      ["\x90", (m) => m.popToMark()], // ADDITEMS
      [
        "\x91", // FROZENSET
        (m) => {
          m.popToMark();
          m.push(OTHER);
        },
      ],
      ["\x81", (m) => m.construct(m.popCount(2)[0])], // NEWOBJ
      ["\x92", (m) => m.construct(m.popCount(3)[0])], // NEWOBJ_EX
      ["o", (m) => m.construct(m.popToMark()[0])], // OBJ
      ...(
        [
          ["\x82", 1],
          ["\x83", 2],
          ["\x84", 4],
        ] as const
      ).map(([code, size]): [string, (m: Machine) => void] => [
        code, // EXT1, EXT2, EXT4
        (m) => {
          throw m.forbidden(`extension ${m.unsigned(size)}`);
        },
      ]),
    ] as [string, (m: Machine) => void][]
  ).map(([code, operation]) => [code.charCodeAt(0), operation]),
);
