import { expect, test } from "vitest";
import {
  byteSize,
  excerpt,
  messageText,
  plainNumber,
  quoted,
  shown,
  visible,
  visibleLines,
  waitingTime,
} from "../../src/text/untrusted";
import { brokenRules } from "../fuzz/messageRules";

test.each([
  ["plain", "plain"],
  ["a\n\r\tb", "a\\n\\r\\tb"],
  ["\u001b[31mred\u0007", "\\u001b[31mred\\u0007"],
  ["\u202etxt.exe\u2066", "\\u202etxt.exe\\u2066"],
  ["zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"],
  ["\u2028\u2029\u0085\u009b", "\\u2028\\u2029\\u0085\\u009b"],
  ["\u{e0041}", "\\u{e0041}"],
  ["\ud800x\udc00", "\\ud800x\\udc00"],
  ["😀 ü 漢", "😀 ü 漢"],
])("invisible characters of %j are shown as escape sequences", (text, expected) => {
  expect(visible(text)).toBe(expected);
});

test("line feeds and tabs stay in text of several lines", () => {
  expect(visibleLines("a\n\tb\r\u001b[2J")).toBe("a\n\tb\\r\\u001b[2J");
  expect(visibleLines("\u009b1mred\u202etxt.exe")).toBe("\\u009b1mred\\u202etxt.exe");
  // Joiners of Persian, of Hindi, and of an emoji.
  const joined = "می\u200cخواهم क्\u200dष 👩\u200d💻";
  expect(visibleLines(joined)).toBe(joined);
});

test.each([
  ["x".repeat(200), "x".repeat(200)],
  ["x".repeat(201), `${"x".repeat(199)}…`],
  ["😀".repeat(101), `${"😀".repeat(99)}…`],
  [`${"x".repeat(197)}\u001b[0m`, `${"x".repeat(197)}…`],
  ["\u001b".repeat(1_000_000), `${"\\u001b".repeat(33)}…`],
  [`${"x".repeat(193)}\u001bxx`, `${"x".repeat(193)}\\u001b…`],
])("a long text is cut to 200 characters, between characters", (text, expected) => {
  expect(excerpt(text)).toBe(expected);
  expect(excerpt(text).length).toBeLessThanOrEqual(200);
});

test.each<[unknown, string]>([
  ["text", '"text"'],
  ['say "hi" \\', '"say \\"hi\\" \\\\"'],
  ["\u001b[31m", '"\\u001b[31m"'],
  [undefined, "missing"],
  [null, "empty"],
  [true, "true"],
  [0.5, "0.5"],
  [-3, "-3"],
  [-0, "0"],
  [1e-7, "0.0000001"],
  [Number.NaN, "not a number"],
  [Number.POSITIVE_INFINITY, "more than 999,999,999,999,999"],
  [1e300, "more than 999,999,999,999,999"],
  [-(2 ** 64), "less than -999,999,999,999,999"],
  [{}, "{}"],
  [{ quant_method: "gptq", bits: 4, "\n": {} }, '{quant_method: "gptq", bits: 4, \\n: an object}'],
  [[1, "a", null, [], {}], '[1, "a", empty, a list, an object]'],
  [Array(20).fill(0), "[0, 0, 0, 0, 0, 0, 0, 0, 0, …]"],
  [() => 1, "a function"],
  [Symbol("x"), "a symbol"],
])("the value %j is shown", (value, expected) => {
  expect(shown(value)).toBe(expected);
});

test("shown values obey the rules of messages, for any value", () => {
  const texts = ["\u0000", "\ud800", "\u202e", "\\", '"', "“", "undefined", "[object Object]", "NaN", "x".repeat(150)];
  const values: unknown[] = [...texts.flatMap((a) => texts.map((b) => a + b)), 1e22, 1e-300, [1e300], [[texts]], 0n];
  for (const value of values) expect(brokenRules(`The value is ${shown(value)}.`), shown(value)).toEqual([]);
});

test("integers of any size are shown", () => {
  expect(shown(2n ** 64n - 1n)).toBe("more than 999,999,999,999,999");
  expect(shown(1024n)).toBe("1024");
  expect(byteSize(2n ** 64n)).toBe("more than 1000 TB");
});

test("nested and long values take no time", () => {
  let nested: unknown = 1;
  for (let i = 0; i < 1_000_000; i++) nested = [nested];
  const [long, many] = ["x".repeat(100_000_000), Array(1_000_000).fill("\u001b".repeat(1000))];
  const start = performance.now();
  expect(shown(nested)).toBe("[a list]");
  expect(shown(long).length).toBe(202);
  expect(shown(many).length).toBeLessThanOrEqual(200);
  expect(performance.now() - start).toBeLessThan(1000);
});

test.each<[number, string]>([
  [0, "0 bytes"],
  [1, "1 byte"],
  [999, "999 bytes"],
  [1500, "1.5 kB"],
  [24e9, "24 GB"],
  [123_456_789, "123 MB"],
  [2 ** 40, "1.1 TB"],
  [Number.NaN, "an unknown size"],
  [-1, "an unknown size"],
])("%d bytes are shown with a unit in which they are not 0", (bytes, expected) => {
  expect(byteSize(bytes)).toBe(expected);
});

test.each<[number, string | null]>([
  [1, "1 s"],
  [60_000, "60 s"],
  [150_000, "3 minutes"],
  [3 * 3600_000, "3 hours"],
  [0, null],
  [-1, null],
  [Number.NaN, null],
  [1e26, null],
])("a wait of %d ms is shown if it makes sense", (milliseconds, expected) => {
  expect(waitingTime(milliseconds)).toBe(expected);
});

test("a message keeps its advice when a path in it is long", () => {
  const path = `/home/${"very-long-name/".repeat(200)}model.safetensors`;
  const text = messageText(`${path} is damaged:\n\u001b it has no header. Download it again.`);
  expect(text.length).toBeLessThanOrEqual(300);
  expect(text).toMatch(
    /^\/home\/very.*….*\/model\.safetensors is damaged:\\n\\u001b it has no header\. Download it again\.$/,
  );
});

test("a message shortens a long quoted name further", () => {
  const text = messageText(
    `/models/${"a".repeat(50)} is damaged: ${quoted("x".repeat(500))} is unknown. ${"Do it. ".repeat(9)}`,
  );
  expect(text.length).toBeLessThanOrEqual(300);
  expect(text).toMatch(/"x+…" is unknown/);
});

test("a message of many short words is cut at its end", () => {
  const text = messageText(`The names are ${"a, ".repeat(2000)}b.`);
  expect(text.length).toBeLessThanOrEqual(300);
  expect(text).toMatch(/….$/);
});

test.each([plainNumber(123456), quoted("a")])("short messages stay as they are: %s", (value) => {
  expect(messageText(`It is ${value}. Choose another.`)).toBe(`It is ${value}. Choose another.`);
});
