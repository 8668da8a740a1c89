/**
 * Normalizers of tokenizer.json: changes to a text before it is tokenized. Token spans refer to the original text, so
 * every UTF-16 unit of the normalized text keeps its range there.
 */

import { EngineError } from "../errors";
import { type Pattern, translatePattern } from "./patterns";
import { damaged, Parts, unknownType, unsupported } from "./refusals";

/** The position of a piece in its text: prefixes go before the start, and some also after an added token. */
export type PiecePosition = "start" | "afterAdded" | "middle";

/** A text derived from another. */
export interface Aligned {
  readonly text: string;
  /** The range of each UTF-16 unit in the other text; null if all offsets are the same. */
  readonly ranges: { readonly starts: Int32Array; readonly ends: Int32Array } | null;
}

/** One change to a text. */
export interface Step {
  /** Throws an EngineError before the text gets longer than `most`. */
  apply(text: string, position: PiecePosition, most: number): Aligned;
  /** Returns whether a text may be cut between two characters: the parts then normalize to the parts of the whole. */
  local(left: string, right: string): boolean;
}

/** Returns the range of the original text that a part of the normalized text stands for. */
export function originalRange({ ranges }: Aligned, start: number, end: number): { start: number; end: number } {
  if (!ranges) return { start, end };
  const { starts, ends } = ranges;
  // An empty part is located where the next one begins.
  if (start === end) {
    const offset = starts[start] ?? ends.at(-1) ?? 0;
    return { start: offset, end: offset };
  }
  return { start: starts[start] as number, end: ends[end - 1] as number };
}

/** Applies the steps in order. */
export function applySteps(steps: readonly Step[], text: string, position: PiecePosition): Aligned {
  const most = longest(text.length);
  let done: Aligned = { text, ranges: null };
  for (const step of steps) done = compose(done, step.apply(done.text, position, most));
  return done;
}

/**
 * The longest normalized text, in UTF-16 units. A few replacements of one letter by two could otherwise take all memory. NFKD
 * makes one character of 18, in few texts; what real tokenizers insert is much less.
 */
const longest = (length: number) => Math.min(100_000 + 20 * length, Math.max(8_000_000, 4 * length));

/** Returns the two characters that are neighbors after the steps; null if the text may not be cut between them. */
export function localPair(steps: readonly Step[], left: string, right: string): readonly [string, string] | null {
  let pair: readonly [string, string] = [left, right];
  for (const step of steps) {
    if (!step.local(...pair)) return null;
    const before = Array.from(step.apply(pair[0], "middle", longest(0)).text).at(-1);
    const [after] = Array.from(step.apply(pair[1], "middle", longest(0)).text);
    if (before === undefined || after === undefined) return null;
    pair = [before, after];
  }
  return pair;
}

function compose(first: Aligned, second: Aligned): Aligned {
  if (!first.ranges) return second;
  if (!second.ranges) return { text: second.text, ranges: first.ranges };
  const n = second.text.length;
  const [starts, ends] = [new Int32Array(n), new Int32Array(n)];
  for (let i = 0; i < n; i++) {
    const { start, end } = originalRange(first, second.ranges.starts[i] as number, second.ranges.ends[i] as number);
    starts[i] = start;
    ends[i] = end;
  }
  return { text: second.text, ranges: { starts, ends } };
}

const unmoved = (text: string): Aligned => ({ text, ranges: null });

interface Replacement {
  readonly start: number;
  readonly end: number;
  readonly by: string;
}

/** Replaces parts of a text; `parts` are in order and do not overlap. */
function replaceParts(text: string, parts: Iterable<Replacement>, most: number): Aligned {
  let length = text.length;
  const replaced: Replacement[] = [];
  for (const part of parts) {
    length += part.by.length - (part.end - part.start);
    if (length + replaced.length > 2 * most) throw tooLong();
    replaced.push(part);
  }
  if (length > most) throw tooLong();
  if (replaced.length === 0) return unmoved(text);

  const pieces: string[] = [];
  const [starts, ends] = [new Int32Array(length), new Int32Array(length)];
  let [from, at] = [0, 0];
  const keepTo = (to: number): void => {
    pieces.push(text.slice(from, to));
    for (let i = from; i < to; i++, at++) {
      starts[at] = i;
      ends[at] = i + 1;
    }
  };
  for (const { start, end, by } of replaced) {
    keepTo(start);
    pieces.push(by);
    starts.fill(start, at, at + by.length);
    ends.fill(end, at, at + by.length);
    at += by.length;
    from = end;
  }
  keepTo(text.length);
  return { text: pieces.join(""), ranges: { starts, ends } };
}

const tooLong = () =>
  new EngineError(
    "tokenizer",
    "tokenizer.json: its normalizer makes the text many times as long, which is not supported. Choose a model with another tokenizer.",
  );

/** Prepends a prefix to a non-empty text; the prefix has an empty range in it. */
export function prepend(prefix: string, when: (text: string, position: PiecePosition) => boolean): Step {
  return {
    apply: (text, position, most) =>
      text && position !== "middle" && when(text, position)
        ? replaceParts(text, [{ start: 0, end: 0, by: prefix }], most)
        : unmoved(text),
    local: () => true,
  };
}

/** Replaces every occurrence of `what` with `by`. */
export function replace(what: string, by: string): Step {
  function* occurrences(text: string) {
    for (let at = text.indexOf(what); at >= 0; at = text.indexOf(what, at + what.length)) {
      yield { start: at, end: at + what.length, by };
    }
  }
  const keepsOffsets = what.length === 1 && by.length === 1;
  return {
    apply: (text, _, most) =>
      keepsOffsets ? unmoved(text.replaceAll(what, () => by)) : replaceParts(text, occurrences(text), most),
    local: (left, right) => !what.includes(left + right),
  };
}

/** Replaces every match of a pattern with `by`. */
function replaceMatches({ matches, joins }: Pattern, by: string): Step {
  function* replaced(text: string) {
    for (const match of matches(text)) yield { ...match, by };
  }
  return {
    apply: (text, _, most) => replaceParts(text, replaced(text), most),
    local: (left, right) => !joins(left, right),
  };
}

/**
 * A character and those after it that may combine with it: marks, parts of Korean syllables, and characters equivalent
 * to these. A cluster never changes the cluster after it.
 */
const CLUSTER = /.[\p{M}\u1160-\u11ff\u3131-\u318e\uff9e-\uffdc]*/gsu;
const CONTINUES = /^[\p{M}\u1160-\u11ff\u3131-\u318e\uff9e-\uffdc]/u;

const unicodeForm = (form: "NFC" | "NFD" | "NFKC" | "NFKD"): Step => ({
  apply(text, _, most) {
    // A form is at most 18 times as long.
    if (18 * text.length <= most && text.normalize(form) === text) return unmoved(text);
    return replaceParts(
      text,
      changed(text, CLUSTER, (cluster) => cluster.normalize(form)),
      most,
    );
  },
  local: (_, right) => !CONTINUES.test(right),
});

const lowercase: Step = {
  apply: (text, _, most) =>
    replaceParts(
      text,
      changed(text, /\P{Lowercase}/gu, (character) => character.toLowerCase()),
      most,
    ),
  local: () => true,
};

const stripAccents: Step = {
  apply: (text, _, most) =>
    replaceParts(
      text,
      changed(text, /\p{M}/gu, () => ""),
      most,
    ),
  local: () => true,
};

function* changed(text: string, pattern: RegExp, change: (part: string) => string) {
  for (const { 0: part, index } of text.matchAll(pattern)) {
    const by = change(part);
    if (by !== part) yield { start: index, end: index + part.length, by };
  }
}

const WHITE_SPACE = /\p{White_Space}/u;

function strip(left: boolean, right: boolean): Step {
  return {
    apply(text, position, most) {
      const start = left && position !== "middle" ? text.search(/\P{White_Space}|$/u) : 0;
      let end = text.length;
      while (right && end > start && WHITE_SPACE.test(text[end - 1] as string)) end--;
      const ends = [
        { start: 0, end: start, by: "" },
        { start: end, end: text.length, by: "" },
      ];
      return replaceParts(
        text,
        ends.filter((part) => part.start < part.end),
        most,
      );
    },
    local: (before, after) => !WHITE_SPACE.test(before) && !WHITE_SPACE.test(after),
  };
}

/** The fields of a normalizer in tokenizer.json. */
interface NormalizerFile {
  readonly type?: unknown;
  readonly normalizers?: unknown;
  readonly prepend?: unknown;
  readonly pattern?: { readonly String?: unknown; readonly Regex?: unknown } | null;
  readonly content?: unknown;
  readonly strip_left?: unknown;
  readonly strip_right?: unknown;
}

/** Parses a normalizer of tokenizer.json; the error names one that is not supported. */
export function parseNormalizer(json: unknown, parts = new Parts("normalizers")): readonly Step[] {
  if (json === null || json === undefined) return [];
  const file = json as NormalizerFile;
  const { type } = file;
  switch (type) {
    case "Sequence":
      return parts.read(file.normalizers, (inner) => parseNormalizer(inner, parts)).flat();
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return [unicodeForm(type)];
    case "Lowercase":
      return [lowercase];
    case "StripAccents":
      return [stripAccents];
    case "Prepend":
      if (typeof file.prepend !== "string") throw damaged("its normalizer Prepend has no text");
      return [prepend(file.prepend, () => true)];
    case "Replace": {
      const { String: text, Regex: regex } = file.pattern ?? {};
      if (typeof file.content !== "string") throw damaged("its normalizer Replace has no content");
      if (typeof regex === "string") return [replaceMatches(translatePattern(regex), file.content)];
      if (typeof text !== "string" || !text)
        throw unsupported("a normalizer Replace of anything but a text or a pattern");
      return [replace(text, file.content)];
    }
    case "Strip":
      return [strip(file.strip_left === true, file.strip_right === true)];
    default:
      throw unknownType("normalizer", type);
  }
}
