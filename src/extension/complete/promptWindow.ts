/** The part of a document before the cursor that the model reads. */

const MAX_LENGTH = 8192;
const STEP = 4096;

/**
 * Offset of the prompt: at most 8192 characters before the cursor. It moves in steps of 4096, so that each keystroke
 * changes the prompt only at its end and the model's key-value cache stays valid.
 *
 *   offset 8192 -> 0, 8193 -> 4096, 12288 -> 4096, 12289 -> 8192
 */
export const promptStart = (offset: number): number =>
  offset <= MAX_LENGTH ? 0 : Math.ceil((offset - MAX_LENGTH) / STEP) * STEP;

/** The prompt in the form of training text: with "\n" line breaks, and without half a surrogate pair in front. */
export const promptText = (text: string): string => text.replace(/^[\udc00-\udfff]/, "").replaceAll("\r\n", "\n");

/** The part of a prompt after the last occurrence of any text that the model has no token for. */
export function afterUnknown(prompt: string, unknown: ReadonlySet<string>): string {
  let start = 0;
  for (const text of unknown) {
    const at = prompt.lastIndexOf(text);
    if (at >= 0) start = Math.max(start, at + text.length);
  }
  return prompt.slice(start);
}
