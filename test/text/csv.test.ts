import { expect, test } from "vitest";
import { csvField, guarded, parseCsv, unguarded } from "../../src/text/csv";

const rows = (text: string) => parseCsv(text, 100);

test("the rows of RFC 4180 are read: quotes, commas and line breaks in cells, any line ends, empty cells", () => {
  expect(rows('aaa,bbb\r\n"b ""b"" b","c, c"\r\n')).toEqual([
    ["aaa", "bbb"],
    ['b "b" b', "c, c"],
  ]);
  expect(rows('"two\r\nlines",x')).toEqual([["two\r\nlines", "x"]]);
  expect(rows("a\nb\rc")).toEqual([["a"], ["b"], ["c"]]);
  expect(rows("a,,\n,b")).toEqual([
    ["a", "", ""],
    ["", "b"],
  ]);
  expect(rows('"",\n')).toEqual([["", ""]]);
  expect(rows("a,")).toEqual([["a", ""]]);
  expect(rows("\ufeffa\n\n\r\nb\n\n")).toEqual([["a"], ["b"]]);
  expect(rows('say "hi",b')).toEqual([['say "hi"', "b"]]);
  expect(rows("")).toEqual([]);
});

test("only the first rows are read", () => {
  expect(parseCsv("a\nb\nc", 2)).toEqual([["a"], ["b"]]);
});

test("a quoted cell without an end, or with text after it, is a problem with its line", () => {
  expect(() => rows('a\n"b\nc')).toThrow("has a quoted cell without an end, which starts in line 2");
  expect(() => rows('a\r\n\r\n"b')).toThrow("which starts in line 3");
  expect(() => rows('"a\nb"\n"c"d')).toThrow("has text after a quoted cell in line 3");
});

test("what is written is read back", () => {
  const cells = ["", " ", "a,b", 'say "hi"', "two\nlines", "\r", "é", "'=1"];
  expect(rows(`x,${cells.map(csvField).join(",")}`)).toEqual([["x", ...cells]]);
});

test("a cell that a spreadsheet would run starts with an apostrophe, which reading removes", () => {
  const hostile = ['=cmd|"/c calc"!A1', "+1", "-1", "@SUM(A1)", "\tx", "\rx", "'=1", "''=1"];
  expect(hostile.map(guarded)).toEqual(hostile.map((text) => `'${text}`));
  expect(hostile.map((text) => unguarded(guarded(text)))).toEqual(hostile);
  const harmless = ["a=1", "'tis", "", " =1", "1-1"];
  expect(harmless.map(guarded)).toEqual(harmless);
  expect(harmless.map(unguarded)).toEqual(harmless);
});

test("two million cells, quotes or lines are read in linear time", () => {
  const start = performance.now();
  expect(parseCsv(",".repeat(2_000_000), 2)[0]).toHaveLength(2_000_001);
  expect(parseCsv(`"${'""'.repeat(2_000_000)}"`, 2)[0]?.[0]).toHaveLength(2_000_000);
  expect(parseCsv("\n".repeat(4_000_000), 2)).toEqual([]);
  expect(performance.now() - start).toBeLessThan(5000);
});
