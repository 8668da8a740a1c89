/**
 * The part of Python's pickle format (protocols 2 to 5) that plain data and tensors are made of. A pickle is a program
 * for a stack machine that may call any function of any module; this one calls only those that it is given, and refuses
 * the rest by name. https://docs.python.org/3/library/pickletools.html
 *
 * None, numbers, strings and bytes become theirs; lists and tuples arrays, dictionaries Maps, in one piece or in parts.
 */

import { EngineError } from "../errors";
import { damaged, quoted } from "./reading";

export interface PickleWorld {
  /** By `module.name`, what a pickle may use: functions, which are given the arguments they are called with, and values. */
  readonly globals: ReadonlyMap<string, unknown>;
  /** The object that a persistent id stands for. */
  readonly persistent: (id: unknown) => unknown;
}

/** Some fifty are needed for a tensor; each takes memory. */
const MOST_STEPS = 1_500_000;
const MOST_MEMORIES = 500_000;

/** Runs the pickle at `start`, and answers what it made and where it ends. */
export function unpickle(
  path: string,
  bytes: Uint8Array,
  start: number,
  world: PickleWorld,
): { readonly value: unknown; readonly end: number } {
  const machine = new Machine(path, bytes, start, world);
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    const code = machine.byte();
    if (code === STOP) return { value: machine.pop(), end: machine.at };
    const operation = OPERATIONS.get(code);
    if (!operation) throw machine.damaged(`its pickle has the unknown operation ${code}`);
    operation(machine);
  }
  throw machine.damaged(`its pickle has more than ${MOST_STEPS} operations`);
}

class Machine {
  private readonly memo = new Map<number, unknown>();
  private readonly stack: unknown[] = [];
  private readonly marks: number[] = [];
  private readonly view: DataView;

  constructor(
    private readonly path: string,
    private readonly bytes: Uint8Array,
    public at: number,
    readonly world: PickleWorld,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** The next `length` bytes. */
  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) throw this.damaged("its pickle ends too early");
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  byte(): number {
    return this.take(1)[0] as number;
  }

  /** An unsigned number of 1, 2, 4 or 8 bytes; beyond 2^53 it is inexact, and too large for whatever it counts. */
  unsigned(size: 1 | 2 | 4 | 8): number {
    this.take(size);
    const at = this.at - size;
    if (size === 1) return this.view.getUint8(at);
    if (size === 2) return this.view.getUint16(at, true);
    if (size === 4) return this.view.getUint32(at, true);
    return Number(this.view.getBigUint64(at, true));
  }

  /** A signed number of `size` bytes; a bigint where a number would be inexact. */
  signed(size: number): number | bigint {
    // PyTorch's own magic number has 10.
    if (size > 16) throw this.damaged(`its pickle has a number of ${size} bytes`);
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
    if (end < 0) throw this.damaged("its pickle ends too early");
    const line = this.text(end - this.at);
    this.at = end + 1;
    return line;
  }

  push(value: unknown): void {
    this.stack.push(value);
  }

  pop(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw this.damaged("its pickle takes what is not there");
    return this.stack.pop();
  }

  top(): unknown {
    if (this.stack.length <= (this.marks.at(-1) ?? 0)) throw this.damaged("its pickle takes what is not there");
    return this.stack.at(-1);
  }

  mark(): void {
    this.marks.push(this.stack.length);
  }

  popToMark(): unknown[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw this.damaged("its pickle takes what is not there");
    return this.stack.splice(mark);
  }

  popCount(count: number): unknown[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  list(): unknown[] {
    const value = this.top();
    if (!Array.isArray(value)) throw this.damaged("its pickle adds to a list that is none");
    return value;
  }

  setItems(items: readonly unknown[]): void {
    const target = this.top();
    if (!(target instanceof Map) || items.length % 2 === 1)
      throw this.damaged("its pickle adds to a dictionary that is none");
    for (let i = 0; i < items.length; i += 2) target.set(items[i], items[i + 1]);
  }

  /** Keeps the top under a number, or the next that is free. */
  remember(index = this.memo.size): void {
    this.memo.set(index, this.top());
    if (this.memo.size > MOST_MEMORIES) throw this.damaged(`its pickle remembers more than ${MOST_MEMORIES} values`);
  }

  recall(index: number): void {
    if (!this.memo.has(index)) throw this.damaged("its pickle takes what is not there");
    this.push(this.memo.get(index));
  }

  global(module: unknown, name: unknown): unknown {
    const full = `${typeof module === "string" ? module : "?"}.${typeof name === "string" ? name : "?"}`;
    if (!this.world.globals.has(full)) throw this.forbidden(full);
    return this.world.globals.get(full);
  }

  reduce(): void {
    const [callee, args] = this.popCount(2);
    if (typeof callee !== "function" || !Array.isArray(args))
      throw this.damaged("its pickle calls what is not a function");
    this.push(callee(args));
  }

  forbidden(name: string): EngineError {
    const shown = /^[\w.]{1,100}$/.test(name) ? name : quoted(name);
    return new EngineError(
      "weights",
      `${this.path} asks to run ${shown}, which rebuilding tensors does not take and which may do anything, so it was not run; take the model from a source that you trust, as safetensors if there is one.`,
    );
  }

  damaged(problem: string): EngineError {
    return damaged(this.path, problem);
  }
}

const STOP = ".".charCodeAt(0);

/** What each operation does, by its code. */
const OPERATIONS = new Map<number, (m: Machine) => void>(
  (
    [
      [
        "\x80", // PROTO
        (m) => {
          const version = m.byte();
          if (version < 2 || version > 5) throw m.damaged(`its pickle is of protocol ${version}, not 2 to 5`);
        },
      ],
      ["\x95", (m) => m.take(8)], // FRAME: how long the next part is

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
      ["Q", (m) => m.push(m.world.persistent(m.pop()))],
      ["R", (m) => m.reduce()],
      // What a state would set on a dictionary or a tensor (`_metadata`) is nothing that its numbers depend on.
      ["b", (m) => m.pop()],

      // Ways to make an object of a class, none of which tensors take.
      [
        "i", // INST
        (m) => {
          throw m.forbidden(`${m.line()}.${m.line()}`);
        },
      ],
      ...["o", "\x81", "\x92"].map((code): [string, (m: Machine) => void] => [
        code, // OBJ, NEWOBJ, NEWOBJ_EX
        (m) => {
          throw m.damaged("its pickle makes an object of a class, which tensors do not take");
        },
      ]),
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
