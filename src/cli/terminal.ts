import { visibleLines } from "../text/untrusted";

/**
 * Text of a model or a file for standard output. A terminal would obey its control characters, so they are visible there; a
 * pipe or file gets the text unchanged.
 */
export const printable = (text: string, isTerminal = process.stdout.isTTY): string =>
  isTerminal ? visibleLines(text) : text;

/** Prints a line on standard output. */
export const print = (text: string): void => console.log(printable(text));
