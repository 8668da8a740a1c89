/** Parses JSON that others wrote: with bounded depth and number of values, as they take memory beyond the size of the text. */

export interface JsonLimits {
  readonly depth: number;
  /** Objects, lists and their elements. */
  readonly values: number;
}

/** More than the vocabulary and merges of any tokenizer need. */
export const JSON_LIMITS: JsonLimits = { depth: 200, values: 8_000_000 };

/** JSON that is not parsed. */
export class JsonProblem extends Error {
  constructor(
    /** Continues a sentence that begins with the file. */
    readonly problem: string,
    options?: ErrorOptions,
  ) {
    super(`The text ${problem}.`, options);
  }
}

/** Parses a JSON text. NaN and Infinity, which Python writes, become the numbers. */
export function parseJson(text: string, limits: JsonLimits = JSON_LIMITS): unknown {
  const { hasBareNumbers } = scanJson(text, limits);
  try {
    return hasBareNumbers ? parseBareNumbers(text) : JSON.parse(text);
  } catch (error) {
    throw new JsonProblem("is not valid JSON", { cause: error });
  }
}

/** Bare words of Python's JSON. A capital N or I occurs nowhere else outside strings. */
const BARE = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;
const MARK = "\u0000number:";
/** V8's regular expressions need stack for long strings; longer texts are not what Python writes by accident. */
const MAX_BARE_TEXT = 4_000_000;

function parseBareNumbers(text: string): unknown {
  if (text.length > MAX_BARE_TEXT) throw new SyntaxError("bare numbers in a long text");
  const marked = text.replace(BARE, (match) => (match.startsWith('"') ? match : `"\\u0000number:${match}"`));
  return JSON.parse(marked, (_key, value: unknown) =>
    typeof value === "string" && value.startsWith(MARK) ? Number(value.slice(MARK.length)) : value,
  );
}

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT, N, I] = [0x5b, 0x5d, 0x7b, 0x7d, 0x4e, 0x49];

/** Visitor for the keys of each object. */
export interface KeyVisitor {
  readonly open: () => void;
  readonly close: () => void;
  readonly key: (json: string) => void;
}

/**
 * Walks over a JSON text without building values, and enforces limits. Linear, and without a stack. Does not check the
 * syntax, which JSON.parse does afterwards.
 */
export function scanJson(text: string, limits: JsonLimits, visit?: KeyVisitor): { readonly hasBareNumbers: boolean } {
  let depth = 0;
  let values = 0;
  let hasBareNumbers = false;
  let string: readonly [from: number, to: number] | null = null;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      string = [at, end];
      at = end - 1;
    } else if (code === COMMA) values++;
    else if (code === OPEN_OBJECT || code === OPEN_LIST) {
      values++;
      depth++;
      if (code === OPEN_OBJECT) visit?.open();
      if (depth > limits.depth) throw new JsonProblem(`is nested more than ${limits.depth} levels deep`);
    } else if (code === CLOSE_OBJECT || code === CLOSE_LIST) {
      depth--;
      if (code === CLOSE_OBJECT) visit?.close();
    } else if (code === COLON) {
      if (visit && string) visit.key(text.slice(...string));
    } else if (code === N || code === I) hasBareNumbers = true;
    if (values > limits.values) throw new JsonProblem(`has more than ${limits.values.toLocaleString("en-US")} values`);
  }
  return { hasBareNumbers };
}

/** The position after a string that starts at `from`. */
function endOfString(text: string, from: number): number {
  for (let at = from; ; ) {
    at = text.indexOf('"', at + 1);
    if (at < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
}
