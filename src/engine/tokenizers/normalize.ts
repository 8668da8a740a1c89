/**
 * Normalizers of tokenizer.json: what is done to a text before it is tokenized, with the way back. Spans are over the text
 * as it was given, so every UTF-16 unit of the normalized text knows its place there.
 */

import { DEEPEST, damaged, shown, unsupported } from "./refusals";

/** Where a piece of text stands: prefixes go before the text's start, and some before what follows an added token. */
export type Place = "start" | "afterAdded" | "middle";

/** A text made out of another. */
export interface Aligned {
  readonly text: string;
  /** For each UTF-16 unit, where its place in the other text starts and ends; null where nothing moved. */
  readonly places: { readonly starts: Int32Array; readonly ends: Int32Array } | null;
}

/** One thing done to a text. */
export interface Step {
  apply(text: string, place: Place): Aligned;
  /** Whether a text may be cut between two characters, so that the parts become the parts of what the whole becomes. */
  local(left: string, right: string): boolean;
}

/** The part of the original that a part of the normalized text stands for. */
export function originalPlace({ places }: Aligned, start: number, end: number): { start: number; end: number } {
  if (!places) return { start, end };
  const { starts, ends } = places;
  // A part without text, such as an empty one, stands where the next one begins.
  if (start === end) {
    const at = starts[start] ?? ends.at(-1) ?? 0;
    return { start: at, end: at };
  }
  return { start: starts[start] as number, end: ends[end - 1] as number };
}

/** Does one thing after the other. */
export function applySteps(steps: readonly Step[], text: string, place: Place): Aligned {
  let done: Aligned = { text, places: null };
  for (const step of steps) done = compose(done, step.apply(done.text, place));
  return done;
}

/** The two characters that stand next to each other after the steps; null where the text may not be cut between them. */
export function localPair(steps: readonly Step[], left: string, right: string): readonly [string, string] | null {
  let pair: readonly [string, string] = [left, right];
  for (const step of steps) {
    if (!step.local(...pair)) return null;
    const before = Array.from(step.apply(pair[0], "middle").text).at(-1);
    const [after] = Array.from(step.apply(pair[1], "middle").text);
    if (before === undefined || after === undefined) return null;
    pair = [before, after];
  }
  return pair;
}

function compose(first: Aligned, second: Aligned): Aligned {
  if (!first.places) return second;
  if (!second.places) return { text: second.text, places: first.places };
  const n = second.text.length;
  const [starts, ends] = [new Int32Array(n), new Int32Array(n)];
  for (let i = 0; i < n; i++) {
    const { start, end } = originalPlace(first, second.places.starts[i] as number, second.places.ends[i] as number);
    starts[i] = start;
    ends[i] = end;
  }
  return { text: second.text, places: { starts, ends } };
}

const unmoved = (text: string): Aligned => ({ text, places: null });

/** Puts texts in the place of parts of a text; `parts` are in order and do not overlap. */
function replaceParts(
  text: string,
  parts: Iterable<{ readonly start: number; readonly end: number; readonly by: string }>,
): Aligned {
  const pieces: string[] = [];
  const starts: number[] = [];
  const ends: number[] = [];
  let from = 0;
  const keepTo = (to: number): void => {
    pieces.push(text.slice(from, to));
    for (let i = from; i < to; i++) {
      starts.push(i);
      ends.push(i + 1);
    }
  };
  for (const { start, end, by } of parts) {
    keepTo(start);
    pieces.push(by);
    for (let i = 0; i < by.length; i++) {
      starts.push(start);
      ends.push(end);
    }
    from = end;
  }
  if (from === 0 && pieces.length === 0) return unmoved(text);
  keepTo(text.length);
  return { text: pieces.join(""), places: { starts: Int32Array.from(starts), ends: Int32Array.from(ends) } };
}

/** Puts a prefix before a text that is not empty; it stands for nothing in it. */
export function prepend(prefix: string, when: (text: string, place: Place) => boolean): Step {
  return {
    apply: (text, place) =>
      text && place !== "middle" && when(text, place)
        ? replaceParts(text, [{ start: 0, end: 0, by: prefix }])
        : unmoved(text),
    local: () => true,
  };
}

/** Puts `by` wherever `what` is. */
export function replace(what: string, by: string): Step {
  function* occurrences(text: string) {
    for (let at = text.indexOf(what); at >= 0; at = text.indexOf(what, at + what.length)) {
      yield { start: at, end: at + what.length, by };
    }
  }
  const keepsPlaces = what.length === 1 && by.length === 1;
  return {
    apply: (text) => (keepsPlaces ? unmoved(text.replaceAll(what, () => by)) : replaceParts(text, occurrences(text))),
    local: (left, right) => !what.includes(left + right),
  };
}

/**
 * A character and those after it that may become one with it: marks, parts of Korean syllables, and characters that
 * stand for one of these. What follows is never changed by what is before.
 */
const CLUSTER = /.[\p{M}\u1160-\u11ff\u3131-\u318e\uff9e-\uffdc]*/gsu;
const CONTINUES = /^[\p{M}\u1160-\u11ff\u3131-\u318e\uff9e-\uffdc]/u;

const unicodeForm = (form: "NFC" | "NFD" | "NFKC" | "NFKD"): Step => ({
  apply(text) {
    if (text.normalize(form) === text) return unmoved(text);
    return replaceParts(
      text,
      changed(text, CLUSTER, (cluster) => cluster.normalize(form)),
    );
  },
  local: (_, right) => !CONTINUES.test(right),
});

const lowercase: Step = {
  apply: (text) =>
    replaceParts(
      text,
      changed(text, /\P{Lowercase}/gu, (character) => character.toLowerCase()),
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
    apply(text, place) {
      const start = left && place !== "middle" ? text.search(/\P{White_Space}|$/u) : 0;
      let end = text.length;
      while (right && end > start && WHITE_SPACE.test(text[end - 1] as string)) end--;
      const ends = [
        { start: 0, end: start, by: "" },
        { start: end, end: text.length, by: "" },
      ];
      return replaceParts(
        text,
        ends.filter((part) => part.start < part.end),
      );
    },
    local: (before, after) => !WHITE_SPACE.test(before) && !WHITE_SPACE.test(after),
  };
}

/** What is read of a normalizer in tokenizer.json. */
interface NormalizerFile {
  readonly type?: unknown;
  readonly normalizers?: unknown;
  readonly prepend?: unknown;
  readonly pattern?: { readonly String?: unknown } | null;
  readonly content?: unknown;
  readonly strip_left?: unknown;
  readonly strip_right?: unknown;
}

/** The steps of a normalizer as tokenizer.json has it; one that is not supported is named. */
export function parseNormalizer(json: unknown, depth = 0): readonly Step[] {
  if (json === null || json === undefined) return [];
  const file = json as NormalizerFile;
  const { type } = file;
  switch (type) {
    case "Sequence":
      if (!Array.isArray(file.normalizers) || depth === DEEPEST)
        throw damaged("its normalizers are no list, or too deep");
      return file.normalizers.flatMap((inner) => parseNormalizer(inner, depth + 1));
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
      return [unicodeForm(type)];
    case "Lowercase":
      return [lowercase];
    case "Prepend":
      if (typeof file.prepend !== "string") throw damaged("its normalizer Prepend has no text");
      return [prepend(file.prepend, () => true)];
    case "Replace": {
      const what = file.pattern?.String;
      if (typeof what !== "string" || !what || typeof file.content !== "string") {
        throw unsupported("a normalizer Replace of anything but a text");
      }
      return [replace(what, file.content)];
    }
    case "Strip":
      return [strip(file.strip_left === true, file.strip_right === true)];
    default:
      throw unsupported(`a normalizer (${shown(type)})`);
  }
}
