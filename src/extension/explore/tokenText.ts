import type { TokenSpan } from "../../protocol/engineApi";

/** The text of tokens, without the blank that some tokenizers put before the first word. */
export function textOfTokens(tokens: readonly TokenSpan[]): string {
  const words = tokens.filter(({ special }) => !special);
  const text = decoded(words.flatMap(({ bytes }) => [...bytes]));
  const [first] = words;
  const isAdded = first && text.startsWith(" ") && decoded([...first.bytes]).length > first.end - first.start;
  return isAdded ? text.slice(1) : text;
}

const decoded = (bytes: readonly number[]): string => new TextDecoder().decode(Uint8Array.from(bytes));
