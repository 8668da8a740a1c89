/**
 * Patterns of tokenizer.json, which are regular expressions in Oniguruma's syntax.
 *
 * A pattern from a file runs on the user's text, where a malicious one could take forever. Most patterns have a form that
 * guarantees linear time in JavaScript's regular expressions, which are the fastest: alternatives of repeated characters,
 * groups of fixed length, and a look-ahead of one character. All others run in `Matcher`, whose work is bounded.
 */

import { EngineError } from "../errors";
import { shown } from "./refusals";
import { members } from "./regex/classes";
import { Matcher, TooManySteps } from "./regex/matcher";
import { compile } from "./regex/program";
import { type CharacterSet, type Node, parsePattern } from "./regex/syntax";

export interface Pattern {
  /** Yields the matches in order. As in Oniguruma's scan, none is empty directly after another match. */
  matches(text: string): Iterable<Match>;
  /** Returns whether a match may contain the two characters as neighbors, or end at the first and look ahead at the second. */
  joins(left: string, right: string): boolean;
  /** Returns whether a character is part of a match in any context. */
  covers(character: string): boolean;
  /** A match is one character or a run of one class, so no match depends on its context. */
  readonly local: boolean;
}

export interface Match {
  readonly start: number;
  readonly end: number;
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

/** Longer ones are not worth the check. */
const LONGEST_LINEAR = 2000;
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
  const syntax = parsePattern(pattern, refuse);
  const alternatives = pattern.length <= LONGEST_LINEAR ? linear(syntax.node) : null;
  if (alternatives) return linearPattern(alternatives);

  const program = compile(syntax, refuse);
  return {
    *matches(text) {
      const matcher = new Matcher(program, text);
      try {
        yield* scan(text, (from) => matcher.find(from));
      } catch (error) {
        if (!(error instanceof TooManySteps)) throw error;
        throw new EngineError(
          "tokenizer",
          `tokenizer.json: the pattern ${shown(pattern)} takes too long on this text. Enter a shorter text, or choose a model with another tokenizer.`,
        );
      }
    },
    joins: () => true,
    covers: () => false,
    local: false,
  };
}

/** Returns a pattern that matches a text literally. */
export const literalPattern = (text: string): Pattern => translatePattern(text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));

/** After an empty match directly behind another, the scan goes on one character further. */
function* scan(text: string, find: (from: number) => Match | null): Generator<Match> {
  let lastEnd = -1;
  for (let from = 0; from <= text.length; ) {
    const match = find(from);
    if (!match) return;
    if (match.start === match.end && match.end === lastEnd) {
      from += (text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1;
      continue;
    }
    from = lastEnd = match.end;
    yield match;
  }
}

function linearPattern(alternatives: readonly Sequence[]): Pattern {
  const regex = new RegExp(alternatives.map(sequenceSource).join("|"), "gu");
  const joints = alternatives.flatMap(jointsOf);
  const joined = joints.length > 0 ? new RegExp(`^(?:${joints.join("|")})$`, "u") : null;
  const single = singles(alternatives);
  const covered = single.length > 0 ? new RegExp(`^(?:${single.join("|")})$`, "u") : null;
  const [only] = alternatives.length === 1 && alternatives[0]?.length === 1 ? alternatives[0] : [];
  return {
    *matches(text) {
      // Iterations may be nested.
      let from = 0;
      for (;;) {
        regex.lastIndex = from;
        const match = regex.exec(text);
        if (!match) return;
        from = regex.lastIndex;
        yield { start: match.index, end: from };
      }
    },
    joins: (left, right) => joined?.test(left + right) ?? false,
    covers: (character) => covered?.test(character) ?? false,
    local: only?.kind === "class" && only.min === 1 && (only.max === 1 || only.max === Infinity),
  };
}

// Translation

/** The alternatives of a pattern that takes linear time in JavaScript; null for other patterns. */
function linear(node: Node): readonly Sequence[] | null {
  const alternatives = alternativesOf(node);
  if (!alternatives) return null;
  const overlaps = overlapTest();
  const isLinear = alternatives.every(
    (sequence, i) => isPossessive(sequence, overlaps) && hasBoundedWork(sequence, alternatives[i + 1], overlaps),
  );
  return isLinear && overlaps.count() <= MOST_OVERLAPS ? alternatives : null;
}

/** Null if a node has another form, or an alternative that may match nothing. */
function alternativesOf(node: Node): readonly Sequence[] | null {
  if (node.kind === "group") return alternativesOf(node.item);
  const sequences = (node.kind === "choice" ? node.alternatives : [node]).map((alternative) => {
    const items = (alternative.kind === "sequence" ? alternative.items : [alternative]).map(itemOf);
    return items.every((item) => item !== null) && !items.every((item) => isNullable(item)) ? items : null;
  });
  return sequences.every((sequence) => sequence !== null) ? sequences : null;
}

function itemOf(node: Node): Item | null {
  switch (node.kind) {
    case "set": {
      const source = sourceOf(node);
      return source === null ? null : { kind: "class", source, min: 1, max: 1, possessive: false };
    }
    case "group": {
      const alternatives = alternativesOf(node.item);
      return alternatives && { kind: "group", alternatives, min: 1, max: 1 };
    }
    case "look": {
      const source = node.item.kind === "set" && !node.behind ? sourceOf(node.item) : null;
      return source === null ? null : { kind: "lookAhead", negative: node.negative, source };
    }
    case "repeat": {
      const item = itemOf(node.item);
      if (!item || item.kind === "lookAhead" || node.mode === "lazy" || node.max === 0) return null;
      if (item.min !== 1 || item.max !== 1) return null;
      const [possessive, { min, max }] = [node.mode === "possessive", node];
      if (item.kind === "class") return { ...item, min, max, possessive };
      return max === 1 && !possessive ? { ...item, min, max } : null;
    }
    default:
      return null;
  }
}

/** A class in JavaScript's notation without the `v` flag, with every case of its characters; null if there is none. */
function sourceOf({ source, nested, ignoreCase }: CharacterSet): string | null {
  if (!nested) return source;
  // Only characters of ASCII, whose other forms are known.
  const literals = /^\[?((?:\\u\{[\da-f]{1,2}\})+)\]?$/.exec(source)?.[1];
  if (!ignoreCase || literals === undefined) return null;
  return `[${literals.replace(/\\u\{([\da-f]+)\}/g, (_, code) => anyCase(String.fromCharCode(Number.parseInt(code, 16))))}]`;
}

/** A character of ASCII in every case. JavaScript's `(?i:` is too new for the oldest supported Node. */
function anyCase(character: string): string {
  const isSame = new RegExp(`^${members(character).source}$`, "iu");
  // The last two are more forms of s and k.
  const forms = [character, character.toLowerCase(), character.toUpperCase(), "\u017f", "\u212a"];
  return [...new Set(forms.filter((form) => isSame.test(form)))].map((form) => members(form).source).join("");
}

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

interface Overlaps {
  (left: string, right: string): boolean;
  count(): number;
}

const isNullable = (item: Item | null) => item?.kind === "lookAhead" || item?.min === 0;

/** A test takes milliseconds. */
const MOST_OVERLAPS = 64;

/** Returns a test of whether two classes share a character; the classes of one pattern, because a literal may be rare. */
function overlapTest(): Overlaps {
  const known = new Map<string, boolean>();
  let characters: string | undefined;
  const test = (left: string, right: string): boolean => {
    const key = `(?=${left})${right}`;
    characters ??= manyCharacters();
    const literals = [left, right].flatMap((source) => [...source.matchAll(/\\u\{([\da-f]+)\}/g)]);
    const rare = literals.map(([, digits]) => String.fromCodePoint(Number.parseInt(digits as string, 16))).join("");
    const overlap = known.get(key) ?? (known.size > MOST_OVERLAPS || new RegExp(key, "u").test(rare + characters));
    known.set(key, overlap);
    return overlap;
  };
  return Object.assign(test, { count: () => known.size });
}

/** All characters of the Basic Multilingual Plane, and samples from every block of the other planes. */
function manyCharacters(): string {
  const codes: number[] = [];
  for (let code = 0; code < 0x110000; code += code < 0xffff ? 1 : 32)
    if (code < 0xd800 || code >= 0xe000) codes.push(code);
  return codes.map((code) => String.fromCodePoint(code)).join("");
}

/** JavaScript has no possessive quantifiers. They equal greedy ones if backtracking cannot help. */
function isPossessive(sequence: Sequence, overlaps: Overlaps): boolean {
  return sequence.every((item, i) => {
    if (item.kind === "group") return item.alternatives.every((inner) => isPossessive(inner, overlaps));
    if (item.kind !== "class" || !item.possessive) return true;
    const rest = sequence.slice(i + 1);
    if (rest.every((next) => isNullable(next) && next.kind !== "lookAhead")) return true;
    return !firsts(rest).some((source) => overlaps(item.source, source));
  });
}

/**
 * Bounds the work of an alternative by the length of its match. If everything after the first unbounded repetition
 * (`\s+`) is optional, the scan of a run is never wasted. If something must follow (`\s*[\r\n]`), the scan of a whole run
 * may be wasted; then the next alternative must match that run.
 */
function hasBoundedWork(sequence: Sequence, next: Sequence | undefined, overlaps: Overlaps): boolean {
  const last = sequence.findLastIndex((item, i) => {
    if (item.kind !== "lookAhead") return item.min > 0;
    // Backtracking by one character is enough: that character satisfies the look-ahead.
    const before = sequence[i - 1];
    return !item.negative || before?.kind !== "class" || overlaps(before.source, item.source);
  });
  let ways = 1;
  for (const item of sequence.slice(0, last + 1)) ways *= waysOf(item);
  if (ways > MOST_WAYS || sequence.slice(last + 1).some((item) => waysOf(item) === Infinity)) return false;

  const runs = sequence
    .slice(0, last)
    .flatMap((item, i) => (item.kind === "class" && item.max === Infinity ? [i] : []));
  const [run] = runs;
  if (run === undefined) return true;
  return runs.length === 1 && next !== undefined && matchesRun(sequence, run, next, overlaps);
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

/** Number of ways to match an item, unless it is a class repeated without bound; infinite for a group of any length. */
function waysOf(item: Item): number {
  if (item.kind === "lookAhead") return 1;
  if (item.kind === "class") return item.max === Infinity ? 1 : item.max - item.min + 1;
  const ways = item.alternatives.map((sequence) => {
    if (sequence.some((inner) => inner.kind === "lookAhead" || inner.max === Infinity)) return Infinity;
    return sequence.reduce((product, inner) => product * waysOf(inner), 1);
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
