/** Compiles a parsed pattern to the instructions of a backtracking machine. */

import type { CharacterSet, Look, Node, Position, Refuse, Syntax } from "./syntax";

type Instruction =
  | { readonly op: "character"; readonly code: number }
  | { readonly op: "set"; readonly has: (code: number) => boolean }
  /** Tries `first`, then `second`. */
  | { readonly op: "split"; first: number; second: number; readonly memo: number }
  | { readonly op: "jump"; to: number }
  | { readonly op: "save"; readonly register: number }
  | { readonly op: "reference"; readonly register: number; readonly ignoreCase: boolean }
  | { readonly op: "assertion"; readonly at: Position }
  /** The body is at the next instruction and ends with "accept". */
  | { readonly op: "look"; readonly negative: boolean; readonly back: Lengths | null; to: number }
  | { readonly op: "atomic"; to: number }
  /** Leaves a loop whose last round matched nothing. */
  | { readonly op: "advanced"; readonly register: number; to: number }
  | { readonly op: "accept" };

/** Number of characters that a match has. */
interface Lengths {
  readonly min: number;
  readonly max: number;
}

export interface Program {
  readonly instructions: readonly Instruction[];
  readonly registers: number;
  /** Number of splits whose outcome depends on their position alone. */
  readonly memos: number;
}

const MOST_INSTRUCTIONS = 20_000;
const LONGEST_LOOK_BEHIND = 255;
const MOST_SETS = 500;

export function compile({ node, captures, hasReferences }: Syntax, refuse: Refuse): Program {
  const instructions: Instruction[] = [];
  const sets = new Map<string, (code: number) => boolean>();
  // Only back-references read the captures.
  let registers = hasReferences ? 2 * (captures + 1) : 0;
  let memos = 0;
  // The outcome of a split also depends on what is captured, where a round began, or where a look-behind must end.
  let dependent = hasReferences ? 1 : 0;

  const emit = <I extends Instruction>(instruction: I): I => {
    if (instructions.length >= MOST_INSTRUCTIONS) refuse("is too complicated");
    instructions.push(instruction);
    return instruction;
  };
  const here = () => instructions.length;
  const split = () => emit({ op: "split", first: 0, second: 0, memo: dependent > 0 ? -1 : memos++ });

  /** A choice between what `body` emits and nothing; a lazy one prefers nothing. */
  const optional = (isLazy: boolean, body: () => void): void => {
    const fork = split();
    const inside = here();
    body();
    [fork.first, fork.second] = isLazy ? [here(), inside] : [inside, here()];
  };

  const loop = (item: Node, isLazy: boolean): void => {
    if (lengthsOf(item).min > 0) {
      const start = here();
      optional(isLazy, () => {
        emitNode(item);
        emit({ op: "jump", to: start });
      });
      return;
    }
    dependent++;
    const register = registers++;
    const start = here();
    optional(isLazy, () => {
      emit({ op: "save", register });
      emitNode(item);
      const check = emit({ op: "advanced", register, to: 0 });
      emit({ op: "jump", to: start });
      check.to = here();
    });
    dependent--;
  };

  const repeat = (item: Node, { min, max }: Lengths, isLazy: boolean): void => {
    for (let i = 0; i < min; i++) emitNode(item);
    if (max === Infinity) {
      loop(item, isLazy);
      return;
    }
    // Each further round needs the one before, so all of them end at the same position.
    const forks = Array.from({ length: max - min }, () => {
      const fork = split();
      const inside = here();
      emitNode(item);
      return { fork, inside };
    });
    for (const { fork, inside } of forks) [fork.first, fork.second] = isLazy ? [here(), inside] : [inside, here()];
  };

  const body = (node: Node): void => {
    emitNode(node);
    emit({ op: "accept" });
  };

  const look = ({ behind, negative, item }: Look): void => {
    const back = behind ? lengthsOf(item) : null;
    if (back && back.max > LONGEST_LOOK_BEHIND) refuse("looks behind at a text of any length");
    const instruction = emit({ op: "look", negative, back, to: 0 });
    if (behind) dependent++;
    body(item);
    if (behind) dependent--;
    instruction.to = here();
  };

  const test = (set: CharacterSet): ((code: number) => boolean) => {
    const key = `${set.ignoreCase}${set.source}`;
    const known = sets.get(key);
    if (known) return known;
    if (sets.size === MOST_SETS) refuse("is too complicated");
    const made = setTest(set, refuse);
    sets.set(key, made);
    return made;
  };

  function emitNode(node: Node): void {
    switch (node.kind) {
      case "set": {
        const code = node.ignoreCase ? null : literalOf(node.source);
        emit(code === null ? { op: "set", has: test(node) } : { op: "character", code });
        return;
      }
      case "sequence":
        node.items.forEach(emitNode);
        return;
      case "choice": {
        const ends: { to: number }[] = [];
        for (const alternative of node.alternatives.slice(0, -1)) {
          const fork = split();
          fork.first = here();
          emitNode(alternative);
          ends.push(emit({ op: "jump", to: 0 }));
          fork.second = here();
        }
        emitNode(node.alternatives.at(-1) as Node);
        for (const end of ends) end.to = here();
        return;
      }
      case "group": {
        const register = hasReferences && node.capture !== null ? 2 * node.capture : null;
        if (register !== null) emit({ op: "save", register });
        emitNode(node.item);
        if (register !== null) emit({ op: "save", register: register + 1 });
        return;
      }
      case "repeat": {
        const atomic = node.mode === "possessive" ? emit({ op: "atomic", to: 0 }) : null;
        repeat(node.item, node, node.mode === "lazy");
        if (!atomic) return;
        emit({ op: "accept" });
        atomic.to = here();
        return;
      }
      case "atomic": {
        const atomic = emit({ op: "atomic", to: 0 });
        body(node.item);
        atomic.to = here();
        return;
      }
      case "look":
        look(node);
        return;
      case "reference":
        emit({ op: "reference", register: 2 * node.capture, ignoreCase: node.ignoreCase });
        return;
      case "assertion":
        emit({ op: "assertion", at: node.at });
    }
  }

  body(node);
  return { instructions, registers, memos };
}

/** The number of characters that a node can match. */
function lengthsOf(node: Node): Lengths {
  switch (node.kind) {
    case "set":
      return { min: 1, max: 1 };
    case "sequence":
      return node.items.map(lengthsOf).reduce((a, b) => ({ min: a.min + b.min, max: a.max + b.max }), NOTHING);
    case "choice": {
      const all = node.alternatives.map(lengthsOf);
      return { min: Math.min(...all.map(({ min }) => min)), max: Math.max(...all.map(({ max }) => max)) };
    }
    case "repeat": {
      const { min, max } = lengthsOf(node.item);
      return { min: min * node.min, max: max === 0 || node.max === 0 ? 0 : max * node.max };
    }
    case "group":
    case "atomic":
      return lengthsOf(node.item);
    case "reference":
      return { min: 0, max: Infinity };
    default:
      return NOTHING;
  }
}

const NOTHING: Lengths = { min: 0, max: 0 };

/** The code point of a class that is one character; null for other classes. */
function literalOf(source: string): number | null {
  const found = /^\\u\{([\da-f]+)\}$/.exec(source);
  return found ? Number.parseInt(found[1] as string, 16) : null;
}

/** A class as a function of code points, with a table of ASCII and one of the Basic Multilingual Plane on first use. */
function setTest({ source, nested, ignoreCase }: CharacterSet, refuse: Refuse): (code: number) => boolean {
  let regex: RegExp;
  try {
    regex = new RegExp(`^${source}$`, `${nested ? "v" : "u"}${ignoreCase ? "i" : ""}`);
  } catch {
    return refuse("has an invalid class");
  }
  const find = (code: number) => regex.test(String.fromCodePoint(code));
  const ascii = Uint8Array.from({ length: 0x80 }, (_, code) => Number(find(code)));
  /** 0: not known; 1: no; 2: yes. */
  let plane: Uint8Array | undefined;
  return (code) => {
    if (code < 0x80) return ascii[code] === 1;
    if (code > 0xffff) return find(code);
    plane ??= new Uint8Array(0x10000);
    if (plane[code] === 0) plane[code] = find(code) ? 2 : 1;
    return plane[code] === 2;
  };
}
