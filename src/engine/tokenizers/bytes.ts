/**
 * Bytes as printable characters, as GPT-2's vocabulary writes them: bytes that are printable in Latin-1 stand for
 * themselves, and the other 68 become U+0100 and up, so a space is `Ġ` and a newline `Ċ`.
 */

const printable = (byte: number) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);

/** The character of each byte. */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

const BYTE_OF = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

/** `" the"` in UTF-8 -> `"Ġthe"`. */
export function bytesToCharacters(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => BYTE_CHARACTERS[byte]).join("");
}

/** `"Ġthe"` -> the bytes of `" the"`; null if a character stands for no byte. */
export function charactersToBytes(token: string): Uint8Array | null {
  const bytes = Array.from(token, (character) => BYTE_OF.get(character));
  return bytes.every((byte) => byte !== undefined) ? Uint8Array.from(bytes) : null;
}

function byteCharacters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}
