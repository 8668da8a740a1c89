/** The part of a document before the cursor that is sent to the model. */

const MAX = 8192;
const STEP = 4096;

/**
 * Where the prompt starts: at most 8192 characters before the cursor. It moves in steps of 4096, so that from one
 * keystroke to the next the prompt grows at its end only and the model's cache of it stays good.
 *
 *   offset 8192 -> 0, 8193 -> 4096, 12288 -> 4096, 12289 -> 8192
 */
export const promptStart = (offset: number): number => (offset <= MAX ? 0 : Math.ceil((offset - MAX) / STEP) * STEP);

/** The prompt as a model was trained on it: line ends of one kind, and no half of a surrogate pair in front. */
export const promptText = (text: string): string => text.replace(/^[\udc00-\udfff]/, "").replaceAll("\r\n", "\n");

/** The part of a prompt after the last of the texts that a model has no token for: it cannot read those. */
export function afterUnknown(prompt: string, unknown: ReadonlySet<string>): string {
  let start = 0;
  for (const text of unknown) {
    const at = prompt.lastIndexOf(text);
    if (at >= 0) start = Math.max(start, at + text.length);
  }
  return prompt.slice(start);
}
