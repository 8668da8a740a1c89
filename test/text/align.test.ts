import { expect, test } from "vitest";
import { alignedPositions, alignTokens } from "../../src/text/align";

/** Text such as `0-0 1-1 2-· 3-2`. */
const aligned = (a: string, b: string) => {
  const ids = (text: string) => [...text].map((char) => char.charCodeAt(0));
  return alignTokens(ids(a), ids(b))
    .map((row) => `${row.a ?? "·"}-${row.b ?? "·"}`)
    .join(" ");
};

test("tokens are aligned by the longest common subsequence, and replaced tokens are paired", () => {
  expect(aligned("abc", "abc")).toBe("0-0 1-1 2-2");
  expect(aligned("a fox ran", "a dog ran")).toBe("0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7 8-8");
  expect(aligned("xaby", "xy")).toBe("0-0 1-· 2-· 3-1");
  expect(aligned("ac", "abbc")).toBe("0-0 ·-1 ·-2 1-3");
  expect(aligned("", "ab")).toBe("·-0 ·-1");
  // Each text has tokens of its own before the common ones.
  expect(aligned("paq1", "zzaz2")).toBe("0-0 ·-1 1-2 2-3 3-4");
});

test("texts too long for a full comparison are aligned by their beginnings and ends", () => {
  const long = (first: string) => first + "ab".repeat(2000);
  const rows = alignTokens(
    [...long("x")].map((c) => c.charCodeAt(0)),
    [...`${"ba".repeat(2100)}b`].map((c) => c.charCodeAt(0)),
  );
  expect(rows.filter(({ a }) => a !== null)).toHaveLength(4001);
  expect(rows.filter(({ b }) => b !== null)).toHaveLength(4201);
});

test("the positions that both texts have leave out tokens without a partner", () => {
  expect(alignedPositions([7, 8, 9], [7, 1, 8, 9])).toEqual({ a: Uint32Array.of(0, 1, 2), b: Uint32Array.of(0, 2, 3) });
  expect(alignedPositions([7, 1, 8], [7, 8])).toEqual({ a: Uint32Array.of(0, 2), b: Uint32Array.of(0, 1) });
});

test("two texts of 1,024 tokens without a common beginning or end are aligned in full", () => {
  const own = Array.from({ length: 1024 }, (_, i) => i);
  const other = [...own.slice(1), 5000];
  const [a, b] = [
    [7000, ...own, 7001],
    [8000, ...other.slice(0, 500), 9, ...other.slice(500), 8001],
  ];
  const { a: pairs, b: beside } = alignedPositions(a, b);
  const partner = new Map([...pairs].map((position, i) => [position, beside[i]]));
  expect([2, 501, 502, 1024].map((position) => partner.get(position))).toEqual([1, 500, 502, 1024]);
});
