/** Added tokens: texts that are always one token. They are found before the model tokenizes the rest. */

import { damaged, shown } from "./refusals";

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
  /** Includes the white space before it, or after it. */
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  /** Matches only where no word character is next to it. */
  readonly singleWord?: boolean;
  /** Matched in the normalized text instead of the original. */
  readonly normalized?: boolean;
}

/** A part of a text: an added token with its white space, or the text between two added tokens. */
export interface Part {
  readonly start: number;
  readonly end: number;
  readonly added?: AddedToken;
}

/** Longer than any model's added token, and shorter than half of the context that a document checks around a cut. */
const LONGEST = 120;

interface Node {
  readonly next: Map<number, Node>;
  token?: AddedToken;
}

/** Finds added tokens by their text; the longest match at a position wins. */
export class AddedTokens {
  readonly #root: Node = { next: new Map() };
  readonly #longest: number = 0;
  readonly #strips: boolean = false;

  constructor(tokens: Iterable<readonly [content: string, token: AddedToken]>) {
    for (const [content, token] of tokens) {
      if (!content) continue;
      if (content.length > LONGEST) {
        throw damaged(`the added token ${shown(content)} is longer than ${LONGEST} characters`);
      }
      let node = this.#root;
      for (let i = 0; i < content.length; i++) {
        const unit = content.charCodeAt(i);
        const next: Node = node.next.get(unit) ?? { next: new Map() };
        node.next.set(unit, next);
        node = next;
      }
      node.token = token;
      this.#longest = Math.max(this.#longest, content.length);
      this.#strips ||= token.lstrip === true || token.rstrip === true;
    }
  }

  *split(text: string): Generator<Part> {
    let start = 0;
    for (let at = 0; this.#longest > 0 && at < text.length; ) {
      const found = this.#at(text, at);
      if (!found || (found.token.singleWord && !isAlone(text, at, found.end))) {
        at = found ? found.end : at + 1;
        continue;
      }
      const { token } = found;
      const from = token.lstrip ? Math.max(start, whiteSpaceBefore(text, at)) : at;
      const to = token.rstrip ? whiteSpaceAfter(text, found.end) : found.end;
      if (from > start) yield { start, end: from };
      yield { start: from, end: to, added: token };
      start = at = to;
    }
    if (start < text.length) yield { start, end: text.length };
  }

  /** Returns whether an added token, with its white space, may touch or span the offset `at`. */
  touches(text: string, at: number): boolean {
    if (this.#longest === 0) return false;
    const from = this.#strips ? whiteSpaceBefore(text, at, LONGEST) : at;
    const to = this.#strips ? whiteSpaceAfter(text, at, LONGEST) : at;
    // A longer run of white space may continue up to a token.
    if (at - from >= LONGEST || to - at >= LONGEST) return true;
    for (let start = Math.max(0, from - this.#longest); start <= to; start++) {
      for (const end of this.#ends(text, start)) if (end >= from) return true;
    }
    return false;
  }

  /** The longest token that begins at `start`. */
  #at(text: string, start: number): { readonly token: AddedToken; readonly end: number } | null {
    let node: Node | undefined = this.#root.next.get(text.charCodeAt(start));
    let found: { token: AddedToken; end: number } | null = null;
    for (let end = start + 1; node; end++) {
      if (node.token) found = { token: node.token, end };
      node = end < text.length ? node.next.get(text.charCodeAt(end)) : undefined;
    }
    return found;
  }

  /** The ends of all tokens that begin at `start`. */
  *#ends(text: string, start: number): Generator<number> {
    let node: Node | undefined = this.#root;
    for (let end = start; node; end++) {
      if (node.token) yield end;
      node = end < text.length ? node.next.get(text.charCodeAt(end)) : undefined;
    }
  }
}

const WHITE_SPACE = /\p{White_Space}/u;
/** A word character, as in Rust's `\w`. */
const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;

const isAlone = (text: string, start: number, end: number) =>
  !WORD_BEFORE.test(text.slice(Math.max(0, start - 2), start)) && !WORD_AFTER.test(text.slice(end, end + 2));

function whiteSpaceBefore(text: string, at: number, most = Infinity): number {
  let from = at;
  while (from > 0 && at - from < most && WHITE_SPACE.test(text[from - 1] as string)) from--;
  return from;
}

function whiteSpaceAfter(text: string, at: number, most = Infinity): number {
  let to = at;
  while (to < text.length && to - at < most && WHITE_SPACE.test(text[to] as string)) to++;
  return to;
}
