export interface Surroundings {
  /** The rest of the cursor's line. */
  readonly after: string;
  /** The next line that is not blank, or "". */
  readonly nextLine: string;
  readonly multiLine: boolean;
}

/** Trims generated text to what is shown as ghost text; "" if nothing is. */
export function trimCompletion(text: string, { after, nextLine, multiLine }: Surroundings): string {
  let shown = multiLine ? text : (text.split("\n", 1)[0] ?? "");
  shown = withoutLoop(shown);
  // Drops brackets that the editor has already inserted after the cursor.
  const closing = after.trimEnd();
  if (closing !== "" && shown.trimEnd().endsWith(closing)) shown = shown.trimEnd().slice(0, -closing.length);
  shown = shown.trimEnd();
  // A copy of the next line is useless.
  if (nextLine.trim() !== "" && shown.trim() === nextLine.trim()) return "";
  return shown;
}

/**
 * Cuts a text that ends in a loop after the first iteration: `ha ha ha ha ha` -> `ha`. A loop has at least 3
 * repetitions and 12 characters, so `....` and `xxx` stay.
 */
export function withoutLoop(text: string): string {
  for (let period = 1; period <= text.length / 3; period++) {
    const repeated = repeatedAtEnd(text, period);
    if (repeated >= 2 * period && repeated + period >= 12) return text.slice(0, text.length - repeated).trimEnd();
  }
  return text;
}

/** Counts the characters at the end of a text that equal those `period` characters earlier. */
function repeatedAtEnd(text: string, period: number): number {
  let n = 0;
  while (n < text.length - period && text[text.length - 1 - n] === text[text.length - 1 - n - period]) n++;
  return n;
}
