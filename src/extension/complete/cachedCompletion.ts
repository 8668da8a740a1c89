/**
 * Typing through a suggestion without asking the model again: pure.
 *
 * A suggestion is kept with the place it was made for. As long as what was typed since is its beginning, the rest of it
 * is still the answer; deleting back to where it was made works the same way.
 */

/** Where the cursor is, as far as completing is concerned. */
export interface Place {
  readonly uri: string;
  /** UTF-16 offset of the cursor. */
  readonly offset: number;
  /** The text before the cursor, or the end of it. */
  readonly before: string;
  /** The rest of the cursor's line. */
  readonly after: string;
}

export interface CachedCompletion {
  readonly place: Place;
  /** What the suggestion depends on besides the text: the model and the settings. */
  readonly source: string;
  readonly text: string;
}

/** What is left of a suggestion at a place: null when it does not belong there, "" when all of it was typed. */
export function remainingText(suggestion: CachedCompletion, place: Place, source: string): string | null {
  const { place: from, text } = suggestion;
  const typedLength = place.offset - from.offset;
  if (suggestion.source !== source || from.uri !== place.uri || from.after !== place.after) return null;
  if (typedLength < 0 || typedLength > text.length || typedLength > place.before.length) return null;

  const split = place.before.length - typedLength;
  if (place.before.slice(split) !== text.slice(0, typedLength)) return null;
  // Either of them may know less of the text than the other.
  const before = place.before.slice(0, split);
  if (!from.before.endsWith(before) && !before.endsWith(from.before)) return null;
  return text.slice(typedLength);
}
