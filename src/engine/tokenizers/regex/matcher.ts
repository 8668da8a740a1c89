/**
 * A backtracking matcher whose work is bounded.
 *
 * A state is an instruction and a position. Without back-references, whether the rest of a pattern matches from a state
 * depends on nothing else, so a state that has failed is not tried again, in whichever match it comes up: all matches of a
 * text together take time in proportion to its length, whatever the pattern. Other patterns have a budget of steps.
 */

import { WORD_ALONE } from "./classes";
import type { Program } from "./program";
import type { Position } from "./syntax";

/** Thrown if a text takes more steps than its budget. */
export class TooManySteps extends Error {}

/** The budget: `base` and `extra` for each UTF-16 unit up to `most`, and at least `perUnit`. Real patterns take about five. */
const STEPS = { base: 5_000_000, extra: 300, most: 30_000_000, perUnit: 64 };
/** Memory for states that have failed: at most this many bytes, then the budget alone counts. */
const MEMO_BYTES = 64 * 2 ** 20;
/** Most backtracking stack, in entries of three numbers. */
const MOST_ENTRIES = 2 ** 24;

/** Kinds of entries on the stack; others are the instruction to continue at. */
const FAILED = -1;
const RESTORE = -2;

/** Finds the matches of a program in a text. */
export class Matcher {
  readonly #program: Program;
  readonly #text: string;
  readonly #registers: Int32Array;
  /** By split and position: 1 if what follows fails, 2 if it succeeds in a look-ahead. Made once a text takes long. */
  #memo: Uint8Array | null = null;
  #stack = new Int32Array(3 * 256);
  #top = 0;
  #steps = 0;
  readonly #budget: number;

  constructor(program: Program, text: string) {
    this.#program = program;
    this.#text = text;
    this.#registers = new Int32Array(program.registers).fill(-1);
    const { base, extra, most, perUnit } = STEPS;
    this.#budget = Math.max(perUnit * text.length, Math.min(base + extra * text.length, most));
  }

  /** Returns where a match ends that starts at or after `from`, and its start; null if there is none. */
  find(from: number): { start: number; end: number } | null {
    const text = this.#text;
    for (let start = from; start <= text.length; start++) {
      if (isLow(text, start)) continue;
      if (this.#registers.length > 0) this.#registers.fill(-1);
      this.#top = 0;
      const end = this.#run(0, start, -1, false);
      if (end >= 0) return { start, end };
    }
    return null;
  }

  /** Runs from an instruction until "accept", at `mustEnd` unless it is -1; returns where, or -1. */
  #run(from: number, start: number, mustEnd: number, isLook: boolean): number {
    const { instructions, memos } = this.#program;
    const text = this.#text;
    const registers = this.#registers;
    const base = this.#top;
    let pc = from;
    let at = start;
    for (;;) {
      if (++this.#steps > this.#budget) throw new TooManySteps();
      const instruction = instructions[pc] as Program["instructions"][number];
      let ok = true;
      switch (instruction.op) {
        case "character":
        case "set": {
          let code = at < text.length ? text.charCodeAt(at) : -1;
          if ((code & 0xfc00) === 0xd800) code = text.codePointAt(at) as number;
          ok = instruction.op === "set" ? code >= 0 && instruction.has(code) : code === instruction.code;
          if (ok) at += code > 0xffff ? 2 : 1;
          pc++;
          break;
        }
        case "split": {
          const { memo } = instruction;
          if (memo >= 0) {
            const known = this.#memo ? (this.#memo[at * memos + memo] as number) : 0;
            if (known === 1) {
              ok = false;
              break;
            }
            if (known === 2 && isLook) return this.#accept(base, at, true);
            this.#push(FAILED, at, memo);
          }
          this.#push(instruction.second, at, 0);
          pc = instruction.first;
          break;
        }
        case "jump":
          pc = instruction.to;
          break;
        case "save":
          this.#push(RESTORE, registers[instruction.register] as number, instruction.register);
          registers[instruction.register] = at;
          pc++;
          break;
        case "advanced":
          pc = registers[instruction.register] === at ? instruction.to : pc + 1;
          break;
        case "reference": {
          const length = this.#referred(instruction.register, at, instruction.ignoreCase);
          ok = length >= 0;
          at += Math.max(0, length);
          pc++;
          break;
        }
        case "assertion":
          ok = holds(instruction.at, text, at);
          pc++;
          break;
        case "look": {
          ok = this.#look(pc + 1, at, instruction.back) !== instruction.negative;
          pc = instruction.to;
          break;
        }
        case "atomic": {
          this.#keepRegisters();
          const end = this.#run(pc + 1, at, -1, false);
          ok = end >= 0;
          at = ok ? end : at;
          pc = instruction.to;
          break;
        }
        case "accept":
          if (mustEnd < 0 || at === mustEnd) return this.#accept(base, at, isLook);
          ok = false;
      }
      if (ok) continue;

      // Back to the latest choice.
      for (;;) {
        if (this.#top === base) return -1;
        const stack = this.#stack;
        this.#top -= 3;
        const [kind, value, more] = [
          stack[this.#top] as number,
          stack[this.#top + 1] as number,
          stack[this.#top + 2] as number,
        ];
        if (kind === FAILED) this.#remember(value, more, 1);
        else if (kind === RESTORE) registers[more] = value;
        else {
          pc = kind;
          at = value;
          break;
        }
      }
    }
  }

  /** Drops the choices since `base`. In a look-ahead, every state on the way has succeeded. */
  #accept(base: number, end: number, isLook: boolean): number {
    if (isLook && this.#memo) {
      for (let i = base; i < this.#top; i += 3) {
        if (this.#stack[i] === FAILED) this.#remember(this.#stack[i + 1] as number, this.#stack[i + 2] as number, 2);
      }
    }
    this.#top = base;
    return end;
  }

  #look(pc: number, at: number, back: { readonly min: number; readonly max: number } | null): boolean {
    this.#keepRegisters();
    if (!back) return this.#run(pc, at, -1, true) >= 0;
    let start = at;
    for (let length = 0; length <= back.max; length++) {
      if (length >= back.min && this.#run(pc, start, at, false) >= 0) return true;
      if (start === 0) return false;
      start -= isLow(this.#text, start - 1) ? 2 : 1;
    }
    return false;
  }

  /** Restores the registers if a choice before this point is taken back. */
  #keepRegisters(): void {
    this.#registers.forEach((value, register) => {
      this.#push(RESTORE, value, register);
    });
  }

  /** The length of a group's text at `at`; -1 if it is not there or not captured. */
  #referred(register: number, at: number, ignoreCase: boolean): number {
    const [start, end] = [this.#registers[register] as number, this.#registers[register + 1] as number];
    if (start < 0 || end < start) return -1;
    const length = end - start;
    this.#steps += length;
    const [group, here] = [this.#text.slice(start, end), this.#text.slice(at, at + length)];
    return group === here || (ignoreCase && group.toLowerCase() === here.toLowerCase()) ? length : -1;
  }

  #remember(at: number, memo: number, outcome: 1 | 2): void {
    const { memos } = this.#program;
    if (!this.#memo) {
      // Most texts take few steps, and need no memory.
      const size = memos * (this.#text.length + 1);
      if (this.#steps < 16 * this.#text.length + 1000 || size > MEMO_BYTES) return;
      this.#memo = new Uint8Array(size);
    }
    this.#memo[at * memos + memo] = outcome;
  }

  #push(kind: number, value: number, more: number): void {
    if (this.#top + 3 > this.#stack.length) {
      if (this.#top >= 3 * MOST_ENTRIES) throw new TooManySteps();
      const larger = new Int32Array(2 * this.#stack.length);
      larger.set(this.#stack);
      this.#stack = larger;
    }
    this.#stack[this.#top] = kind;
    this.#stack[this.#top + 1] = value;
    this.#stack[this.#top + 2] = more;
    this.#top += 3;
  }
}

const isLow = (text: string, at: number) =>
  at > 0 && (text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800;

const WORD = new RegExp(`^[${WORD_ALONE}]`, "u");
const WORD_BEFORE = new RegExp(`[${WORD_ALONE}]$`, "u");

function holds(position: Position, text: string, at: number): boolean {
  const isNewline = (i: number) => text.charCodeAt(i) === 10;
  switch (position) {
    case "lineStart":
      return at === 0 || (at < text.length && isNewline(at - 1));
    case "lineEnd":
      return at === text.length || isNewline(at);
    case "textStart":
      return at === 0;
    case "textEnd":
      return at === text.length;
    case "lastLineEnd":
      return at === text.length || (at === text.length - 1 && isNewline(at));
    default: {
      const isBoundary = WORD_BEFORE.test(text.slice(Math.max(0, at - 2), at)) !== WORD.test(text.slice(at, at + 2));
      return isBoundary === (position === "boundary");
    }
  }
}
