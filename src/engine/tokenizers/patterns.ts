/**
 * Translates the Oniguruma regular expressions of tokenizer.json to JavaScript.
 *
 * This is more than a change of notation. The classes differ: JavaScript's `\s` lacks U+0085 and includes U+FEFF. And a
 * pattern from a file runs on the user's text, where a malicious one could take forever: only patterns whose form
 * guarantees linear time are accepted. The supported subset is what tokenizers use: alternatives of repeated characters,
 * groups of fixed length, and a look-ahead of one character.
 */

import { EngineError } from "../errors";
import { shown } from "./refusals";

export interface Pattern {
  /** Has the global flag. */
  readonly regex: RegExp;
  /** Returns whether a match may contain the two characters as neighbors, or end at the first and look ahead at the second. */
  joins(left: string, right: string): boolean;
  /** Returns whether a character is part of a match in any context. */
  covers(character: string): boolean;
  /** A match is one character or a run of one class, so no match depends on its context. */
  readonly local: boolean;
}

/** A repeated character class. */
interface Repeat {
  readonly kind: "class";
  /** The class in JavaScript's notation, valid on its own outside of brackets. */
  readonly source: string;
  readonly min: number;
  readonly max: number;
  readonly possessive: boolean;
}

interface Group {
  readonly kind: "group";
  readonly alternatives: readonly Sequence[];
  readonly min: number;
  readonly max: number;
}

interface LookAhead {
  readonly kind: "lookAhead";
  readonly negative: boolean;
  readonly source: string;
}

type Item = Repeat | Group | LookAhead;
type Sequence = readonly Item[];

/** Longer than any tokenizer's. */
const LONGEST_PATTERN = 2000;
const DEEPEST_GROUP = 4;
/** Maximum number of ways to match the bounded part of one alternative. */
const MOST_WAYS = 1000;

/** Translates a pattern; throws an EngineError that names the pattern if it is not supported. */
export function translatePattern(pattern: string): Pattern {
  const refuse = (why: string): never => {
    throw new EngineError(
      "tokenizer",
      `tokenizer.json: the pattern ${shown(pattern)} ${why}, which is not supported. Choose a model with another tokenizer.`,
    );
  };
  if (pattern.length > LONGEST_PATTERN) refuse(`is ${pattern.length} characters long`);
  const alternatives = unwrap(new Parser(pattern, refuse).parse());
  const overlaps = overlapTest(pattern, refuse);
  alternatives.forEach((sequence, i) => {
    checkPossessive(sequence, overlaps, refuse);
    checkWork(sequence, alternatives[i + 1], overlaps, refuse);
  });

  const joints = alternatives.flatMap(jointsOf);
  const joined = joints.length > 0 ? new RegExp(`^(?:${joints.join("|")})$`, "u") : null;
  const single = singles(alternatives);
  const covered = single.length > 0 ? new RegExp(`^(?:${single.join("|")})$`, "u") : null;
  const [only] = alternatives.length === 1 && alternatives[0]?.length === 1 ? alternatives[0] : [];
  return {
    regex: new RegExp(alternatives.map(sequenceSource).join("|"), "gu"),
    joins: (left, right) => joined?.test(left + right) ?? false,
    covers: (character) => covered?.test(character) ?? false,
    local: only?.kind === "class" && only.min === 1 && (only.max === 1 || only.max === Infinity),
  };
}

const unwrap = (alternatives: readonly Sequence[]): readonly Sequence[] => {
  const [first] = alternatives;
  const [item] = first ?? [];
  const wrapped = alternatives.length === 1 && first?.length === 1 && item?.kind === "group" && item.min === 1;
  return wrapped ? unwrap(item.alternatives) : alternatives;
};

// Reading

class Parser {
  readonly #characters: readonly string[];
  readonly #refuse: (why: string) => never;
  #at = 0;

  constructor(pattern: string, refuse: (why: string) => never) {
    this.#characters = Array.from(pattern);
    this.#refuse = refuse;
  }

  parse(): readonly Sequence[] {
    const alternatives = this.#alternatives(false, 0);
    if (this.#at < this.#characters.length) this.#refuse("closes a group that is not open");
    return alternatives;
  }

  #alternatives(ignoreCase: boolean, depth: number): Sequence[] {
    if (depth > DEEPEST_GROUP) this.#refuse("nests groups too deeply");
    const alternatives: Item[][] = [[]];
    for (let next = this.#peek(); next !== undefined && next !== ")"; next = this.#peek()) {
      if (this.#take("|")) alternatives.push([]);
      else alternatives.at(-1)?.push(this.#item(ignoreCase, depth));
    }
    if (alternatives.some((sequence) => sequence.every(isNullable))) this.#refuse("may match nothing");
    return alternatives;
  }

  #item(ignoreCase: boolean, depth: number): Item {
    if (this.#take("(")) return this.#group(ignoreCase, depth);
    const source = this.#class(ignoreCase);
    return { kind: "class", source, ...this.#quantifier() };
  }

  #group(ignoreCase: boolean, depth: number): Item {
    let inner = ignoreCase;
    let lookAhead: "=" | "!" | null = null;
    if (this.#take("?")) {
      if (this.#take("i")) inner = true;
      else if (this.#take("=")) lookAhead = "=";
      else if (this.#take("!")) lookAhead = "!";
      if (!lookAhead && !this.#take(":")) this.#refuse("has a group of a special kind");
    }
    const alternatives = this.#alternatives(inner, depth + 1);
    if (!this.#take(")")) this.#refuse("does not close a group");

    if (!lookAhead) {
      const { min, max, possessive } = this.#quantifier();
      if (max !== 1 || possessive) this.#refuse("repeats a group");
      return { kind: "group", alternatives, min, max };
    }
    const [only] = alternatives.length === 1 && alternatives[0]?.length === 1 ? alternatives[0] : [];
    if (only?.kind !== "class" || only.min !== 1 || only.max !== 1) {
      return this.#refuse("looks ahead at more than one character");
    }
    return { kind: "lookAhead", negative: lookAhead === "!", source: only.source };
  }

  #quantifier(): { min: number; max: number; possessive: boolean } {
    const range = this.#range();
    if (!range) return { min: 1, max: 1, possessive: false };
    if (this.#take("?")) this.#refuse("has a lazy quantifier");
    const possessive = this.#take("+");
    if (possessive && range.braces) this.#refuse("repeats a repetition");
    if (["*", "+", "?", "{"].includes(this.#peek() ?? "")) this.#refuse("repeats a repetition");
    return { min: range.min, max: range.max, possessive };
  }

  #range(): { min: number; max: number; braces: boolean } | null {
    if (this.#take("*")) return { min: 0, max: Infinity, braces: false };
    if (this.#take("+")) return { min: 1, max: Infinity, braces: false };
    if (this.#take("?")) return { min: 0, max: 1, braces: false };
    if (this.#peek() !== "{") return null;
    const end = this.#characters.indexOf("}", this.#at);
    const match = /^\{(\d{0,4})(,?)(\d{0,4})\}$/.exec(this.#characters.slice(this.#at, end + 1).join(""));
    if (!match || (!match[1] && !match[3])) return this.#refuse("has a brace that is not a repetition");
    this.#at = end + 1;
    const min = Number(match[1] || 0);
    const max = match[2] ? (match[3] ? Number(match[3]) : Infinity) : min;
    if (max < min || max === 0) this.#refuse("repeats a character less than once");
    return { min, max, braces: true };
  }

  /** A character or a class. */
  #class(ignoreCase: boolean): string {
    if (this.#take("[")) return this.#brackets(ignoreCase);
    const character = this.#next();
    if (character === ".") return String.raw`[^\n]`;
    if (character === "\\") {
      const { source, members } = this.#escape();
      if (members === 0 && ignoreCase) return `[${anyCase(source)}]`;
      return members > 1 ? `[${source}]` : source;
    }
    if ("^$*+?{".includes(character)) this.#refuse(`has ${character} where a character should be`);
    return ignoreCase ? `[${anyCase(literal(character))}]` : literal(character);
  }

  #brackets(ignoreCase: boolean): string {
    const negated = this.#take("^");
    let members = "";
    while (!this.#take("]")) {
      const { source, members: several } = this.#member();
      // A hyphen at the end stands for itself.
      const isRange = this.#peek() === "-" && this.#characters[this.#at + 1] !== "]";
      if (ignoreCase && (isRange || several > 0)) this.#refuse("ignores the case of a class");
      if (!isRange) {
        members += ignoreCase ? anyCase(source) : source;
        continue;
      }
      this.#at++;
      const last = this.#member();
      const [from, to] = [codePointOf(source), codePointOf(last.source)];
      if (several > 0 || last.members > 0 || from > to) this.#refuse("has an invalid range");
      members += `${source}-${last.source}`;
    }
    if (!members) this.#refuse("has empty brackets");
    return `[${negated ? "^" : ""}${members}]`;
  }

  #member(): { source: string; members: number } {
    const character = this.#next();
    if (character === "\\") return this.#escape();
    const isIntersection = character === "&" && this.#peek() === "&";
    if (character === "[" || isIntersection) this.#refuse("has brackets in brackets");
    return { source: literal(character), members: 0 };
  }

  /** The escape after a backslash, and its number of classes; 0 for a single character. */
  #escape(): { source: string; members: number } {
    const character = this.#next();
    const known = ESCAPES[character];
    if (known !== undefined) return known;
    if (character === "p" || character === "P") return { source: this.#property(character === "P"), members: 1 };
    if (character === "u" || character === "x") return { source: this.#codePoint(character), members: 0 };
    if (/[\p{L}\p{N}]/u.test(character)) this.#refuse(`has \\${character}`);
    return { source: literal(character), members: 0 };
  }

  #property(negated: boolean): string {
    const end = this.#characters.indexOf("}", this.#at);
    const inner = /^\{(\^?)(\w+)\}$/.exec(this.#characters.slice(this.#at, end + 1).join(""));
    if (!inner) return this.#refuse("has a property without a name");
    this.#at = end + 1;
    const [, not, name] = inner as unknown as [string, string, string];
    const property = propertyOf(name) ?? this.#refuse(`has the property ${name}`);
    return `\\${negated !== (not === "^") ? "P" : "p"}{${property}}`;
  }

  #codePoint(kind: "u" | "x"): string {
    const rest = this.#characters.slice(this.#at, this.#at + 10).join("");
    const found = kind === "u" ? /^([\dA-Fa-f]{4})/.exec(rest) : /^\{([\dA-Fa-f]{1,6})\}|^([\dA-Fa-f]{2})/.exec(rest);
    const code = Number.parseInt(found?.[1] ?? found?.[2] ?? "", 16);
    if (!found || code > 0x10ffff) return this.#refuse(`has \\${kind} without a valid code point`);
    this.#at += found[0].length;
    return literal(String.fromCodePoint(code));
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

const ESCAPES: Readonly<Record<string, { readonly source: string; readonly members: number }>> = {
  s: { source: String.raw`\p{White_Space}`, members: 1 },
  S: { source: String.raw`\P{White_Space}`, members: 1 },
  d: { source: String.raw`\p{Nd}`, members: 1 },
  D: { source: String.raw`\P{Nd}`, members: 1 },
  w: { source: String.raw`\p{L}\p{M}\p{N}\p{Pc}`, members: 4 },
  n: { source: literal("\n"), members: 0 },
  r: { source: literal("\r"), members: 0 },
  t: { source: literal("\t"), members: 0 },
  f: { source: literal("\f"), members: 0 },
  v: { source: literal("\v"), members: 0 },
};

const CATEGORY = /^(L[ulmot]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfon]?|White_Space)$/;

/** JavaScript's name of a property; undefined if JavaScript lacks it or gives it another meaning. */
function propertyOf(name: string): string | undefined {
  if (CATEGORY.test(name)) return name;
  try {
    return new RegExp(`\\p{Script=${name}}`, "u") && `Script=${name}`;
  } catch {
    return undefined;
  }
}

function literal(character: string): string {
  return `\\u{${character.codePointAt(0)?.toString(16)}}`;
}

/** A character in every case. JavaScript's `(?i:` is too new for the oldest supported Node. */
function anyCase(source: string): string {
  const character = String.fromCodePoint(codePointOf(source));
  const isSame = new RegExp(`^${source}$`, "iu");
  // The last three are more forms of s, k and å.
  const forms = [character, character.toLowerCase(), character.toUpperCase(), "\u017f", "\u212a", "\u212b"];
  return [...new Set(forms.filter((form) => isSame.test(form)))].map(literal).join("");
}

const codePointOf = (source: string) => Number.parseInt(source.slice(3, -1), 16);

// Writing

const sequenceSource = (sequence: Sequence): string => sequence.map(itemSource).join("");

function itemSource(item: Item): string {
  if (item.kind === "lookAhead") return `(?${item.negative ? "!" : "="}${item.source})`;
  const inner = item.kind === "class" ? item.source : `(?:${item.alternatives.map(sequenceSource).join("|")})`;
  const { min, max } = item;
  if (min === 1 && max === 1) return inner;
  return `${inner}{${min},${max === Infinity ? "" : max}}`;
}

// Checking

type Refuse = (why: string) => never;
type Overlaps = (left: string, right: string) => boolean;

const isNullable = (item: Item) => item.kind === "lookAhead" || item.min === 0;

/** Returns a test of whether two classes share a character. A test takes milliseconds, so their number is limited. */
function overlapTest(pattern: string, refuse: Refuse): Overlaps {
  const known = new Map<string, boolean>();
  let characters: string | undefined;
  return (left, right) => {
    const key = `(?=${left})${right}`;
    characters ??= pattern + manyCharacters();
    const overlap = known.get(key) ?? new RegExp(key, "u").test(characters);
    known.set(key, overlap);
    return known.size > 64 ? refuse("is too complicated") : overlap;
  };
}

/** All characters of the Basic Multilingual Plane, and samples from every block of the other planes. */
function manyCharacters(): string {
  const codes: number[] = [];
  for (let code = 0; code < 0x110000; code += code < 0xffff ? 1 : 32)
    if (code < 0xd800 || code >= 0xe000) codes.push(code);
  return codes.map((code) => String.fromCodePoint(code)).join("");
}

/** JavaScript has no possessive quantifiers. They equal greedy ones if backtracking cannot help. */
function checkPossessive(sequence: Sequence, overlaps: Overlaps, refuse: Refuse): void {
  sequence.forEach((item, i) => {
    if (item.kind === "group") for (const inner of item.alternatives) checkPossessive(inner, overlaps, refuse);
    if (item.kind !== "class" || !item.possessive) return;
    const rest = sequence.slice(i + 1);
    if (rest.every((next) => isNullable(next) && next.kind !== "lookAhead")) return;
    if (firsts(rest).some((source) => overlaps(item.source, source))) refuse("has a possessive quantifier");
  });
}

/**
 * Bounds the work of an alternative by the length of its match. If everything after the first unbounded repetition
 * (`\s+`) is optional, the scan of a run is never wasted. If something must follow (`\s*[\r\n]`), the scan of a whole run
 * may be wasted; then the next alternative must match that run.
 */
function checkWork(sequence: Sequence, next: Sequence | undefined, overlaps: Overlaps, refuse: Refuse): void {
  const last = sequence.findLastIndex((item, i) => {
    if (item.kind !== "lookAhead") return item.min > 0;
    // Backtracking by one character is enough: that character satisfies the look-ahead.
    const before = sequence[i - 1];
    return !item.negative || before?.kind !== "class" || overlaps(before.source, item.source);
  });
  let ways = 1;
  for (const item of sequence.slice(0, last + 1)) ways *= waysOf(item, refuse);
  if (ways > MOST_WAYS) refuse("can match in too many ways");
  for (const item of sequence.slice(last + 1)) waysOf(item, refuse);

  const runs = sequence
    .slice(0, last)
    .flatMap((item, i) => (item.kind === "class" && item.max === Infinity ? [i] : []));
  const [run] = runs;
  if (run === undefined) return;
  if (runs.length > 1 || !next || !matchesRun(sequence, run, next, overlaps)) refuse("may take forever on a long text");
}

/** Returns whether the next alternative starts in the same way and then matches the same run, or all but its last character. */
function matchesRun(sequence: Sequence, run: number, next: Sequence, overlaps: Overlaps): boolean {
  const sameStart = sequence.slice(0, run).every((item, i) => sameItem(item, next[i]));
  const [repeatedNext, ...rest] = next.slice(run);
  const repeated = sequence[run];
  if (!sameStart || repeatedNext?.kind !== "class" || repeated?.kind !== "class") return false;
  if (repeatedNext.source !== repeated.source || repeatedNext.max !== Infinity || repeatedNext.min > 1) return false;
  return rest.every((item) =>
    item.kind === "lookAhead"
      ? item.negative && !overlaps(repeatedNext.source, item.source) && rest.length === 1
      : item.min === 0,
  );
}

const sameItem = (a: Item, b: Item | undefined) => b !== undefined && itemSource(a) === itemSource(b);

/** Number of ways to match an item, unless it is repeated without bound. */
function waysOf(item: Item, refuse: Refuse): number {
  if (item.kind === "lookAhead") return 1;
  if (item.kind === "class") return item.max === Infinity ? 1 : item.max - item.min + 1;
  const ways = item.alternatives.map((sequence) => {
    if (sequence.some((inner) => inner.kind === "lookAhead" || inner.max === Infinity)) {
      refuse("has a group without a fixed length");
    }
    return sequence.reduce((product, inner) => product * waysOf(inner, refuse), 1);
  });
  return ways.reduce((sum, n) => sum + n, 1 - item.min);
}

// Neighbors

/** The classes that a match of the sequence can start with. */
function firsts(sequence: Sequence): string[] {
  const found: string[] = [];
  for (const item of sequence) {
    if (item.kind === "group") found.push(...item.alternatives.flatMap(firsts));
    else found.push(item.source);
    if (!isNullable(item)) break;
  }
  return found;
}

function lasts(sequence: Sequence): string[] {
  const found: string[] = [];
  for (const item of sequence.toReversed()) {
    if (item.kind === "lookAhead") continue;
    found.push(...(item.kind === "group" ? item.alternatives.flatMap(lasts) : [item.source]));
    if (!isNullable(item)) break;
  }
  return found;
}

/** Patterns of two characters that can be neighbors in a match or across its look-ahead. */
function jointsOf(sequence: Sequence): string[] {
  return sequence.flatMap((item, i) => {
    const within =
      item.kind === "group"
        ? item.alternatives.flatMap(jointsOf)
        : item.kind === "class" && item.max > 1
          ? [item.source + item.source]
          : [];
    if (item.kind === "lookAhead") return within;
    const after = firsts(sequence.slice(i + 1));
    return [...within, ...lasts([item]).flatMap((left) => after.map((right) => left + right))];
  });
}

/** Classes whose characters match on their own, in any context. */
function singles(alternatives: readonly Sequence[]): string[] {
  return alternatives.flatMap((sequence) => {
    const required = sequence.filter((item) => item.kind === "lookAhead" || item.min > 0);
    const [item] = required;
    return required.length === 1 && item?.kind === "class" && item.min === 1 ? [item.source] : [];
  });
}
