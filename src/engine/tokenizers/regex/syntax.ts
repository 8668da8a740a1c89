/**
 * Parser of regular expressions in Oniguruma's syntax with Ruby's rules, which the Python and Rust tokenizers use. A
 * pattern comes from a file, so its length, nesting and repetitions are limited.
 */

import { ALONE, escapeOf, type Members, members, posixClass, propertyClass } from "./classes";

/** One character of a class. */
export interface CharacterSet {
  readonly kind: "set";
  /** The class in JavaScript's notation, valid on its own outside of brackets. */
  readonly source: string;
  /** Needs JavaScript's `v` flag: brackets in brackets, or ignored case. */
  readonly nested: boolean;
  readonly ignoreCase: boolean;
}

interface Repeat {
  readonly kind: "repeat";
  readonly item: Node;
  readonly min: number;
  readonly max: number;
  readonly mode: "greedy" | "lazy" | "possessive";
}

interface Sequence {
  readonly kind: "sequence";
  readonly items: readonly Node[];
}

interface Choice {
  readonly kind: "choice";
  readonly alternatives: readonly Node[];
}

interface Group {
  readonly kind: "group";
  readonly item: Node;
  /** Counted from 1; null for a group that is not captured. */
  readonly capture: number | null;
}

interface Atomic {
  readonly kind: "atomic";
  readonly item: Node;
}

export interface Look {
  readonly kind: "look";
  readonly behind: boolean;
  readonly negative: boolean;
  readonly item: Node;
}

interface BackReference {
  readonly kind: "reference";
  readonly capture: number;
  readonly ignoreCase: boolean;
}

export type Position = "lineStart" | "lineEnd" | "textStart" | "textEnd" | "lastLineEnd" | "boundary" | "inside";

interface Assertion {
  readonly kind: "assertion";
  readonly at: Position;
}

export type Node = CharacterSet | Repeat | Sequence | Choice | Group | Atomic | Look | BackReference | Assertion;

/** Throws an error about the pattern; `why` continues "the pattern …". */
export type Refuse = (why: string) => never;

export interface Syntax {
  readonly node: Node;
  /** Number of groups that a back-reference can name. */
  readonly captures: number;
  readonly hasReferences: boolean;
}

/** Longer than any tokenizer's. */
const LONGEST_PATTERN = 20_000;
const DEEPEST_GROUP = 30;
const MOST_REPEATS = 1000;

export function parsePattern(pattern: string, refuse: Refuse): Syntax {
  if (pattern.length > LONGEST_PATTERN) refuse(`is ${pattern.length} characters long`);
  return new Parser(pattern, refuse).parse();
}

/** Options of a group. */
interface Options {
  readonly ignoreCase: boolean;
  /** `.` matches a newline too. */
  readonly dotAll: boolean;
  /** White space and comments are ignored. */
  readonly extended: boolean;
}

class Parser {
  readonly #characters: readonly string[];
  readonly #refuse: Refuse;
  #at = 0;
  /** With named groups, other groups are not captured. */
  readonly #hasNames: boolean;
  readonly #names = new Map<string, number>();
  #captures = 0;
  #references: number[] = [];

  constructor(pattern: string, refuse: Refuse) {
    this.#characters = Array.from(pattern);
    this.#refuse = refuse;
    this.#hasNames = /\(\?(<(?![=!])|')/.test(pattern);
  }

  parse(): Syntax {
    const node = this.#choice({ ignoreCase: false, dotAll: false, extended: false }, 0);
    if (this.#at < this.#characters.length) this.#refuse("closes a group that is not open");
    if (this.#references.some((n) => n > this.#captures)) this.#refuse("refers to a group that it does not have");
    return { node, captures: this.#captures, hasReferences: this.#references.length > 0 };
  }

  #choice(options: Options, depth: number): Node {
    if (depth > DEEPEST_GROUP) this.#refuse("nests groups too deeply");
    const alternatives: Node[][] = [[]];
    for (let next = this.#peek(); next !== undefined && next !== ")"; next = this.#peek()) {
      const last = alternatives.at(-1) as Node[];
      if (this.#take("|")) alternatives.push([]);
      else if (options.extended && this.#skipsSpace()) continue;
      else {
        const item = this.#item(options, depth);
        if (item) last.push(this.#repeated(item, options));
      }
    }
    const nodes = alternatives.map(
      (items): Node => (items.length === 1 ? (items[0] as Node) : { kind: "sequence", items }),
    );
    return nodes.length === 1 ? (nodes[0] as Node) : { kind: "choice", alternatives: nodes };
  }

  /** In extended syntax: a space, or a comment up to the end of its line. */
  #skipsSpace(): boolean {
    if (this.#take("#")) {
      while (this.#peek() !== undefined && this.#peek() !== "\n") this.#at++;
      return true;
    }
    if (!/[ \t\n\r\f\v]/.test(this.#peek() ?? "")) return false;
    this.#at++;
    return true;
  }

  /** Null for a comment. */
  #item(options: Options, depth: number): Node | null {
    const character = this.#next();
    switch (character) {
      case "(":
        return this.#take("?") ? this.#special(options, depth) : this.#captured(options, depth);
      case "[":
        return this.#set(this.#brackets(0), options);
      case "^":
        return { kind: "assertion", at: "lineStart" };
      case "$":
        return { kind: "assertion", at: "lineEnd" };
      case ".":
        return options.dotAll ? ANY : NOT_NEWLINE;
      case "\\":
        return this.#escape(options);
      case "*":
      case "+":
      case "?":
        return this.#refuse(`has ${character} where a character should be`);
      default:
        return this.#set(members(character), options);
    }
  }

  #set({ source, count, nested }: Members, { ignoreCase }: Options): CharacterSet {
    return { kind: "set", source: count > 1 ? `[${source}]` : source, nested: nested || ignoreCase, ignoreCase };
  }

  #captured(options: Options, depth: number): Node {
    return this.#group(options, depth, this.#hasNames ? null : ++this.#captures);
  }

  #group(options: Options, depth: number, capture: number | null): Node {
    return { kind: "group", item: this.#inside(options, depth), capture };
  }

  #inside(options: Options, depth: number): Node {
    const item = this.#choice(options, depth + 1);
    if (!this.#take(")")) this.#refuse("does not close a group");
    return item;
  }

  /** A group that starts with `(?`. */
  #special(options: Options, depth: number): Node | null {
    const look = (behind: boolean, negative: boolean): Node => ({
      kind: "look",
      behind,
      negative,
      item: this.#inside(options, depth),
    });
    if (this.#take(":")) return this.#group(options, depth, null);
    if (this.#take("=")) return look(false, false);
    if (this.#take("!")) return look(false, true);
    if (this.#take(">")) return { kind: "atomic", item: this.#inside(options, depth) };
    if (this.#take("#")) {
      while (!this.#take(")")) this.#next();
      return null;
    }
    if (this.#take("<")) {
      if (this.#take("=")) return look(true, false);
      if (this.#take("!")) return look(true, true);
      return this.#named(">", options, depth);
    }
    if (this.#take("'")) return this.#named("'", options, depth);
    return this.#withOptions(options, depth);
  }

  #named(end: string, options: Options, depth: number): Node {
    const name = this.#until(end);
    if (!/^[\p{L}_]\w*$/u.test(name) || this.#names.has(name)) this.#refuse("has a group of a special kind");
    this.#names.set(name, ++this.#captures);
    return this.#group(options, depth, this.#captures);
  }

  /** `(?i)`, which lasts to the end of the group, or `(?i-m:…)`. */
  #withOptions(options: Options, depth: number): Node {
    const changed = { ...options };
    let on = true;
    for (;;) {
      if (this.#take("i")) changed.ignoreCase = on;
      else if (this.#take("m")) changed.dotAll = on;
      else if (this.#take("x")) changed.extended = on;
      else if (this.#take("-")) on = false;
      else break;
    }
    if (this.#take(":")) return this.#group(changed, depth, null);
    if (!this.#take(")")) this.#refuse("has a group of a special kind");
    return { kind: "group", item: this.#choice(changed, depth + 1), capture: null };
  }

  /** An item with its quantifiers. */
  #repeated(item: Node, options: Options): Node {
    let node = item;
    for (let depth = 0; ; depth++) {
      if (options.extended) while (this.#skipsSpace());
      const range = this.#range();
      if (!range) return node;
      if (node.kind === "look" || node.kind === "assertion") this.#refuse("repeats a position");
      if (depth === DEEPEST_GROUP) this.#refuse("repeats a repetition too often");
      const { min, max, braces } = range;
      const isLazy = this.#take("?");
      // In Ruby's syntax, "{n}?" is an optional "{n}", and "{n}+" is repeated.
      if (isLazy && braces && min === max) {
        node = {
          kind: "repeat",
          item: { kind: "repeat", item: node, min, max, mode: "greedy" },
          min: 0,
          max: 1,
          mode: "greedy",
        };
        continue;
      }
      const isPossessive = !isLazy && !braces && this.#take("+");
      node = { kind: "repeat", item: node, min, max, mode: isLazy ? "lazy" : isPossessive ? "possessive" : "greedy" };
    }
  }

  #range(): { min: number; max: number; braces: boolean } | null {
    if (this.#take("*")) return { min: 0, max: Infinity, braces: false };
    if (this.#take("+")) return { min: 1, max: Infinity, braces: false };
    if (this.#take("?")) return { min: 0, max: 1, braces: false };
    if (this.#peek() !== "{") return null;
    const end = this.#characters.indexOf("}", this.#at);
    const match = /^\{(\d{0,6})(,?)(\d{0,6})\}$/.exec(
      this.#characters.slice(this.#at, Math.min(end, this.#at + 15) + 1).join(""),
    );
    // A brace that is no quantifier stands for itself.
    if (end < 0 || !match || (!match[1] && !match[3])) return null;
    this.#at = end + 1;
    const min = Number(match[1] || 0);
    const max = match[2] ? (match[3] ? Number(match[3]) : Infinity) : min;
    if (max < min) this.#refuse("has a repetition that ends before it begins");
    if (min > MOST_REPEATS || (max > MOST_REPEATS && max < Infinity)) this.#refuse("repeats a character too often");
    return { min, max, braces: true };
  }

  #escape(options: Options): Node {
    const character = this.#next();
    const position = POSITIONS[character];
    if (position) return { kind: "assertion", at: position };
    if (character === "R") return LINE_BREAK;
    if (character === "N") return NOT_NEWLINE;
    if (character === "O") return ANY;
    if (character === "k") return this.#reference(this.#referenced(), options);
    if (/[1-9]/.test(character)) {
      let digits = character;
      while (/\d/.test(this.#peek() ?? "") && digits.length < 3) digits += this.#next();
      const isOctal = digits.length === 3 && /^[0-3][0-7]{2}$/.test(digits);
      if (isOctal) return this.#set(members(String.fromCharCode(Number.parseInt(digits, 8))), options);
      if (this.#hasNames) this.#refuse("refers by number to a group beside named groups");
      return this.#reference(Number(digits), options);
    }
    const found = ALONE[character] ?? this.#class(character);
    // Outside of brackets, case is ignored only for single characters.
    return this.#set(found, found.count > 0 ? { ...options, ignoreCase: false } : options);
  }

  #reference(capture: number, { ignoreCase }: Options): Node {
    this.#references.push(capture);
    return { kind: "reference", capture, ignoreCase };
  }

  /** The group that `\k<name>` names. */
  #referenced(): number {
    const end = this.#take("<") ? ">" : this.#take("'") ? "'" : this.#refuse("refers to a group without a name");
    const name = this.#until(end);
    const capture =
      this.#names.get(name) ?? (/^[1-9]\d{0,2}$/.test(name) && !this.#hasNames ? Number(name) : undefined);
    return capture ?? this.#refuse("refers to a group that it does not have");
  }

  /** The class or character of an escape, in or outside of brackets. */
  #class(character: string): Members {
    const known = escapeOf(character);
    if (known) return known;
    if ((character === "p" || character === "P") && this.#peek() === "{") {
      this.#at++;
      const name = this.#until("}");
      const isNegated = name.startsWith("^");
      const found = propertyClass(isNegated ? name.slice(1) : name, (character === "P") !== isNegated);
      return found ?? this.#refuse(`has the property ${name.slice(0, 40) || "without a name"}`);
    }
    if (character === "u" || character === "x") return this.#codePoint(character);
    if (character === "0") return members(String.fromCharCode(Number.parseInt(`0${this.#digits(/[0-7]/, 2)}`, 8)));
    if (/[a-zA-Z1-9]/.test(character) && character !== "p" && character !== "P") this.#refuse(`has \\${character}`);
    return members(character);
  }

  #codePoint(kind: "u" | "x"): Members {
    let digits: string;
    if (kind === "u") digits = this.#digits(/[\dA-Fa-f]/, 4).padEnd(4, "?");
    else digits = this.#take("{") ? this.#until("}") : `0${this.#digits(/[\dA-Fa-f]/, 2)}`;
    const code = /^[\dA-Fa-f]{1,8}$/.test(digits) ? Number.parseInt(digits, 16) : Infinity;
    const isSurrogate = code >= 0xd800 && code < 0xe000;
    if (code > 0x10ffff || isSurrogate) this.#refuse(`has \\${kind} without a valid code point`);
    return members(String.fromCodePoint(code));
  }

  #digits(kind: RegExp, most: number): string {
    let digits = "";
    while (digits.length < most && kind.test(this.#peek() ?? "")) digits += this.#next();
    return digits;
  }

  /** The contents of brackets as one class; an intersection is of everything to its left and right. */
  #brackets(depth: number): Members {
    if (depth > DEEPEST_GROUP) this.#refuse("has brackets in brackets too deeply");
    const isNegated = this.#take("^");
    const parts: string[] = [""];
    let nested = false;
    const add = (part: Members): void => {
      nested ||= part.nested;
      parts[parts.length - 1] += part.source;
    };
    for (let first = true; first || this.#peek() !== "]"; first = false) {
      if (this.#peek() === "&" && this.#characters[this.#at + 1] === "&") {
        this.#at += 2;
        parts.push("");
        continue;
      }
      if (this.#peek() === "[" && this.#characters[this.#at + 1] === ":") {
        const posix = this.#posix();
        if (posix) {
          add(posix);
          continue;
        }
      }
      if (this.#take("[")) {
        const inner = this.#brackets(depth + 1);
        add({ ...inner, nested: true });
        continue;
      }
      const from = this.#member();
      // A hyphen at the end stands for itself.
      const isRange = this.#peek() === "-" && ![undefined, "]"].includes(this.#characters[this.#at + 1]);
      if (!isRange) {
        add(from);
        continue;
      }
      this.#at++;
      const to = this.#take("[") ? this.#refuse("has an invalid range") : this.#member();
      if (from.count > 0 || to.count > 0 || from.code > to.code) this.#refuse("has an invalid range");
      add({ ...from, source: `${from.source}-${to.source}` });
    }
    this.#at++;
    if (parts.length === 1) {
      if (!parts[0]) this.#refuse("has empty brackets");
      return { source: `[${isNegated ? "^" : ""}${parts[0]}]`, count: 1, code: 0, nested };
    }
    // Without members, an operand of an intersection matches nothing.
    const source = parts.map((part) => `[${part}]`).join("&&");
    return { source: `[${isNegated ? "^" : ""}${source}]`, count: 1, code: 0, nested: true };
  }

  #member(): Members {
    const character = this.#next();
    if (character !== "\\") return members(character);
    const escaped = this.#next();
    if (escaped === "b") return members("\b");
    if (/[1-7]/.test(escaped)) {
      return members(String.fromCharCode(Number.parseInt(escaped + this.#digits(/[0-7]/, 2), 8)));
    }
    return /[A-BGKN-OR]|[X-Z]|[gky-z]/.test(escaped) ? members(escaped) : this.#class(escaped);
  }

  /** `[:alpha:]`; null if the bracket only looks like one. */
  #posix(): Members | null {
    const found = /^\[:(\^?)([a-zA-Z]{1,10}):\]/.exec(this.#characters.slice(this.#at, this.#at + 16).join(""));
    if (!found) return null;
    const known = posixClass(found[2] as string, found[1] === "^");
    if (!known) return null;
    this.#at += found[0].length;
    return known;
  }

  #until(end: string): string {
    const to = this.#characters.indexOf(end, this.#at);
    if (to < 0) this.#refuse("ends too early");
    const text = this.#characters.slice(this.#at, to).join("");
    this.#at = to + 1;
    return text;
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #next(): string {
    return this.#characters[this.#at++] ?? this.#refuse("ends too early");
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }
}

const POSITIONS: Readonly<Record<string, Position | undefined>> = {
  __proto__: null as never,
  A: "textStart",
  z: "textEnd",
  Z: "lastLineEnd",
  b: "boundary",
  B: "inside",
};

const set = (source: string): CharacterSet => ({ kind: "set", source, nested: false, ignoreCase: false });
const NOT_NEWLINE = set(String.raw`[^\n]`);
const ANY = set("[^]");
/** `\R`: a line break of any kind, `\r\n` as one. */
const LINE_BREAK: Node = {
  kind: "atomic",
  item: {
    kind: "choice",
    alternatives: [
      { kind: "sequence", items: [set(String.raw`\r`), set(String.raw`\n`)] },
      set(String.raw`[\n-\r\u{85}\u{2028}\u{2029}]`),
    ],
  },
};
