/** Pre-tokenizers of tokenizer.json: they split a text into pieces that no token spans. */

import { nextMatch } from "./cuts";
import { type PiecePosition, prepend, replace, type Step } from "./normalize";
import { literalPattern, type Match, type Pattern, translatePattern } from "./patterns";
import { damaged, Parts, shown, unknownType, unsupported } from "./refusals";

/** Receives the pieces of a text, in order. */
export type Emit = (start: number, end: number) => void;

/** One rule for splitting. */
export interface Split {
  split(text: string, emit: Emit): void;
  /** Returns whether a piece always ends between two characters, also if the text to the left is split on its own. */
  divides(left: string, right: string): boolean;
  /** Returns whether a piece may depend on two characters being neighbors; if not, the text may be cut between them. */
  joins(left: string, right: string): boolean;
}

/** A pre-tokenizer: its changes to the text, and its splits. */
export interface PreTokenizer {
  readonly steps: readonly Step[];
  readonly splits: readonly Split[];
  /** Tokens are written in bytes. */
  readonly byteLevel: boolean;
}

/** Applies the splits in order, each to the pieces of the one before. */
export function splitText(splits: readonly Split[], text: string, emit: Emit, depth = 0): void {
  const split = splits[depth];
  if (!split) emit(0, text.length);
  else if (depth === splits.length - 1) split.split(text, emit);
  else {
    split.split(text, (from, to) =>
      splitText(splits, text.slice(from, to), (start, end) => emit(from + start, from + end), depth + 1),
    );
  }
}

/** Returns whether a piece always ends between two characters. */
export function splitsDivide(splits: readonly Split[], left: string, right: string): boolean {
  for (const split of splits) {
    if (split.divides(left, right)) return true;
    if (split.joins(left, right)) return false;
  }
  return false;
}

/** GPT-2's pattern. JavaScript's `\s` differs from Unicode white space (U+0085, U+FEFF), which the original uses. */
export const BYTE_PAIR_PATTERN =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/**
 * No match of the pattern extends from a letter to anything else, from a number to anything else, or from other text to
 * white space, and its only look-ahead is at the end of white space. So the text on either side of such a cut is split as
 * if it were alone.
 */
export const BYTE_PAIR_CUT = /(?<=\p{L})\P{L}|(?<=\p{N})\P{N}|(?<=\P{White_Space})\p{White_Space}/gu;

/** How GPT-2 splits a text into words. */
export const BYTE_LEVEL: Split = {
  joins: () => true,
  split(text, emit) {
    BYTE_PAIR_PATTERN.lastIndex = 0;
    for (let match = BYTE_PAIR_PATTERN.exec(text); match; match = BYTE_PAIR_PATTERN.exec(text)) {
      emit(match.index, BYTE_PAIR_PATTERN.lastIndex);
    }
  },
  divides: (left, right) => nextMatch(BYTE_PAIR_CUT, left + right, left.length) === left.length,
};

const BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;
type Behavior = (typeof BEHAVIORS)[number];

/** Splits at the matches of a pattern, or with `invert` at the text between them. */
function patternSplit({ matches, joins, covers, local }: Pattern, behavior: Behavior, invert: boolean): Split {
  return {
    joins: (left, right) => !local && joins(left, right),
    split(text, emit) {
      if (behavior === "Isolated" || (behavior === "Removed" && invert)) {
        const gaps = behavior === "Isolated";
        let last = 0;
        for (const { start, end } of matches(text)) {
          if (gaps && start > last) emit(last, start);
          last = end;
          if (end > start) emit(start, end);
        }
        if (gaps && last < text.length) emit(last, text.length);
      } else mergeParts(parts(matches(text), text, invert), behavior, emit);
    },
    divides(left, right) {
      if (joins(left, right)) return false;
      const [isLeft, isRight] = [covers(left), covers(right)];
      if (behavior === "Isolated" || behavior === "Removed") return isLeft || isRight;
      // The side that a match belongs to is known only if its characters alone determine the match.
      if (!local || invert) return false;
      if (behavior === "MergedWithPrevious") return isLeft;
      return behavior === "MergedWithNext" ? isRight : isLeft !== isRight;
    },
  };
}

interface Part {
  readonly start: number;
  end: number;
  readonly match: boolean;
}

/** The matches and the text between them. */
function* parts(matches: Iterable<Match>, text: string, invert: boolean): Generator<Part> {
  let last = 0;
  for (const { start, end } of matches) {
    if (start > last) yield { start: last, end: start, match: invert };
    yield { start, end, match: !invert };
    last = end;
  }
  if (last < text.length) yield { start: last, end: text.length, match: invert };
}

function mergeParts(all: Iterable<Part>, behavior: Behavior, emit: Emit): void {
  let open: Part | null = null;
  const flush = (): void => {
    if (open && open.end > open.start) emit(open.start, open.end);
    open = null;
  };
  const follows = (before: Part, part: Part): boolean => {
    if (behavior === "Contiguous") return before.match === part.match;
    if (behavior === "MergedWithPrevious") return part.match && !before.match;
    return behavior === "MergedWithNext" && before.match && !part.match;
  };
  let previous: Part | null = null;
  for (const part of all) {
    if (behavior === "Removed" && part.match) continue;
    if (open && previous && follows(previous, part)) (open as Part).end = part.end;
    else {
      flush();
      open = { ...part };
    }
    previous = part;
  }
  flush();
}

/** The fields of a pre-tokenizer in tokenizer.json. */
interface PreTokenizerFile {
  readonly type?: unknown;
  readonly pretokenizers?: unknown;
  readonly pattern?: { readonly Regex?: unknown; readonly String?: unknown } | null;
  readonly behavior?: unknown;
  readonly invert?: unknown;
  readonly individual_digits?: unknown;
  readonly add_prefix_space?: unknown;
  readonly use_regex?: unknown;
  readonly replacement?: unknown;
  readonly prepend_scheme?: unknown;
  readonly split?: unknown;
  readonly delimiter?: unknown;
}

/** Parses a pre-tokenizer of tokenizer.json; the error names one that is not supported. */
export function parsePreTokenizer(json: unknown, parts = new Parts("pre-tokenizers")): PreTokenizer {
  if (json === null || json === undefined) return { steps: [], splits: [], byteLevel: false };
  const file = json as PreTokenizerFile;
  switch (file.type) {
    case "Sequence":
      return inTurn(parts.read(file.pretokenizers, (inner) => parsePreTokenizer(inner, parts)));
    case "ByteLevel":
      return {
        steps: file.add_prefix_space ? [prepend(" ", (text) => !text.startsWith(" "))] : [],
        splits: file.use_regex === false ? [] : [BYTE_LEVEL],
        byteLevel: true,
      };
    case "Split":
      return splitting(patternSplit(patternOf(file), behaviorOf(file), file.invert === true));
    case "Digits":
      return splitting(isolating(file.individual_digits ? String.raw`\p{N}` : String.raw`\p{N}+`));
    case "Whitespace":
      return splitting(patternSplit(translatePattern(`[${WORD}]+|[^${WORD}\\s]+`), "Removed", true));
    case "WhitespaceSplit":
      return splitting(removing(String.raw`\s`));
    case "Punctuation":
      return splitting(
        patternSplit(translatePattern(PUNCTUATION), behaviorOf({ behavior: "Isolated", ...file }), false),
      );
    case "BertPreTokenizer":
      return splitting(removing(String.raw`\s`), isolating(PUNCTUATION));
    case "CharDelimiterSplit":
      if (typeof file.delimiter !== "string" || Array.from(file.delimiter).length !== 1) {
        throw damaged("its pre-tokenizer CharDelimiterSplit has no character");
      }
      return splitting(patternSplit(literalPattern(file.delimiter), "Removed", false));
    case "Metaspace":
      return metaspace(file);
    default:
      throw unknownType("pre-tokenizer", file.type);
  }
}

const splitting = (...splits: readonly Split[]): PreTokenizer => ({ steps: [], splits, byteLevel: false });
const isolating = (pattern: string): Split => patternSplit(translatePattern(pattern), "Isolated", false);
const removing = (pattern: string): Split => patternSplit(translatePattern(pattern), "Removed", false);

/** Word characters and punctuation of Rust's libraries, which differ from Oniguruma's. */
const WORD = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}`;
const PUNCTUATION = String.raw`[\p{P}$+<=>\^\x60|~]`;

function inTurn(all: readonly PreTokenizer[]): PreTokenizer {
  // A later pre-tokenizer's steps would have to change each piece.
  if (all.slice(1).some(({ steps }) => steps.length > 0))
    throw unsupported("a prefix space after another pre-tokenizer");
  // A later pre-tokenizer would see bytes instead of characters.
  if (all.slice(0, -1).some(({ byteLevel }) => byteLevel)) throw unsupported("a pre-tokenizer after ByteLevel");
  return {
    steps: all[0]?.steps ?? [],
    splits: all.flatMap(({ splits }) => splits),
    byteLevel: all.at(-1)?.byteLevel ?? false,
  };
}

function patternOf({ pattern }: PreTokenizerFile): Pattern {
  const { Regex: regex, String: text } = pattern ?? {};
  if (typeof regex === "string") return translatePattern(regex);
  if (typeof text !== "string" || !text) throw damaged("its pre-tokenizer Split has no pattern");
  return literalPattern(text);
}

function behaviorOf({ behavior }: Pick<PreTokenizerFile, "behavior">): Behavior {
  const known = BEHAVIORS.find((name) => name === behavior);
  if (!known) throw unsupported(`a pre-tokenizer Split with the behavior ${shown(behavior)}`);
  return known;
}

/** SentencePiece's rule: spaces become `▁`, and one is prepended to the text. */
function metaspace(file: PreTokenizerFile): PreTokenizer {
  const { replacement = "▁", prepend_scheme: scheme = file.add_prefix_space === false ? "never" : "always" } = file;
  if (typeof replacement !== "string" || Array.from(replacement).length !== 1) {
    throw damaged("its pre-tokenizer Metaspace has no character");
  }
  if (scheme !== "always" && scheme !== "first" && scheme !== "never") {
    throw unsupported(`a pre-tokenizer Metaspace that prepends ${shown(scheme)}`);
  }
  const prepends = (text: string, position: PiecePosition) =>
    scheme !== "never" && (scheme === "always" || position === "start") && !text.startsWith(replacement);
  const atSpaces = literalPattern(replacement);
  return {
    ...splitting(...(file.split === false ? [] : [patternSplit(atSpaces, "MergedWithNext", false)])),
    steps: [replace(" ", replacement), prepend(replacement, prepends)],
  };
}
