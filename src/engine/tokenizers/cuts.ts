/** Offsets at which a long text can be cut without splitting a token. */

/** Finds offsets to cut a text at, so that the tokens of the parts are the tokens of the whole. */
export interface Cuts {
  /** Returns the first cut at or after `from`; the text's length if there is none. */
  next(text: string, from: number): number;
}

/** Returns the first match at or after `from`, or the text's length. */
export function nextMatch(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = isInsideCharacter(text, from) ? from + 1 : from;
  return pattern.exec(text)?.index ?? text.length;
}

/** Returns the first cut at or after `from`, and after the start, between two characters for which `divides` is true. */
export function nextCut(text: string, from: number, divides: (left: string, right: string) => boolean): number {
  for (let at = Math.max(from, 1); at < text.length; at++) {
    if (isInsideCharacter(text, at)) continue;
    const left = text.slice(isInsideCharacter(text, at - 1) ? at - 2 : at - 1, at);
    if (divides(left, String.fromCodePoint(text.codePointAt(at) as number))) return at;
  }
  return text.length;
}

export function isInsideCharacter(text: string, at: number): boolean {
  const isLow = (text.charCodeAt(at) & 0xfc00) === 0xdc00;
  return isLow && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800;
}
