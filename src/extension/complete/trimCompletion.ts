/** From what the model wrote to what is shown: pure. "" means that nothing is. */

export interface Surroundings {
  /** The rest of the cursor's line. */
  readonly after: string;
  /** The next line that is not blank, or "". */
  readonly nextLine: string;
  readonly multiLine: boolean;
}

export function trimCompletion(text: string, { after, nextLine, multiLine }: Surroundings): string {
  let shown = multiLine ? text : (text.split("\n", 1)[0] ?? "");
  shown = withoutLoop(shown);
  // The brackets that the editor has already put there are not written twice.
  const closing = after.trimEnd();
  if (closing !== "" && shown.trimEnd().endsWith(closing)) shown = shown.trimEnd().slice(0, -closing.length);
  shown = shown.trimEnd();
  // Repeating the line below helps nobody.
  if (nextLine.trim() !== "" && shown.trim() === nextLine.trim()) return "";
  return shown;
}

/**
 * Cuts a text where it starts to go round in circles, after the first round: `ha ha ha ha ha` -> `ha`.
 * A period counts from 3 repetitions and 12 characters on, so that `....` or `xxx` are left alone.
 */
export function withoutLoop(text: string): string {
  for (let period = 1; period <= text.length / 3; period++) {
    const repeated = repeatedAtEnd(text, period);
    if (repeated >= 2 * period && repeated + period >= 12) return text.slice(0, text.length - repeated).trimEnd();
  }
  return text;
}

/** How many characters at the end of the text are the ones that stand `period` before them. */
function repeatedAtEnd(text: string, period: number): number {
  let n = 0;
  while (n < text.length - period && text[text.length - 1 - n] === text[text.length - 1 - n - period]) n++;
  return n;
}
