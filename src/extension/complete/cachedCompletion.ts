/**
 * Typing through a completion without asking the model again.
 *
 * A completion is cached with its cursor context. While the user types its beginning, the rest of it is still the
 * answer, and deleting what was typed brings it back.
 */

/** The text around a cursor. */
export interface CursorContext {
  readonly uri: string;
  /** UTF-16 offset of the cursor. */
  readonly offset: number;
  /** The text before the cursor, or the end of it. */
  readonly before: string;
  /** The rest of the cursor's line. */
  readonly after: string;
}

export interface CachedCompletion {
  readonly context: CursorContext;
  /** Identifies what the completion depends on besides the text: the model and the settings. */
  readonly source: string;
  readonly text: string;
}

/** The part of a completion that is not typed yet: null if it does not fit the context, "" if all of it is typed. */
export function remainingText(completion: CachedCompletion, context: CursorContext, source: string): string | null {
  const { context: from, text } = completion;
  const typedLength = context.offset - from.offset;
  if (completion.source !== source || from.uri !== context.uri || from.after !== context.after) return null;
  if (typedLength < 0 || typedLength > text.length || typedLength > context.before.length) return null;

  const split = context.before.length - typedLength;
  if (context.before.slice(split) !== text.slice(0, typedLength)) return null;
  // Either context may contain less of the text before.
  const before = context.before.slice(0, split);
  if (!from.before.endsWith(before) && !before.endsWith(from.before)) return null;
  return text.slice(typedLength);
}
