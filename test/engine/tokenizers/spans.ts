import { expect } from "vitest";
import type { Tokenizer } from "../../../src/engine/tokenizers";

const utf8 = new TextEncoder();

/**
 * Checks spans: they cover the text in order without gaps, each token's bytes are part of the bytes of the characters it
 * spans, and all bytes together are the text's.
 */
export function expectSpansToCover(tokenizer: Tokenizer, text: string): void {
  const spans = tokenizer.spans(text);
  const all: number[] = [];
  let end = 0;
  let start = 0;
  for (const span of spans) {
    expect(span.start).toBeGreaterThanOrEqual(start);
    expect(span.start).toBeLessThanOrEqual(end);
    expect(span.end).toBeGreaterThanOrEqual(end);
    expect(span.end).toBeGreaterThan(span.start);
    expect(Buffer.from(utf8.encode(text.slice(span.start, span.end))).includes(Buffer.from(span.bytes))).toBe(true);
    all.push(...span.bytes);
    ({ start, end } = span);
  }
  expect(end).toBe(text.length);
  expect(Uint8Array.from(all)).toEqual(utf8.encode(text));
  expect(tokenizer.count(text)).toBe(spans.length);
}
