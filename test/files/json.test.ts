import { expect, test } from "vitest";
import { JsonProblem, parseJson, scanJson } from "../../src/files/json";

const LIMITS = { depth: 20, values: 100_000 };

test.each([
  '{"a": [1, -2.5e3, true, false, null], "b": {"c": "d"}}',
  '"NaN and Infinity in a text"',
  '["quotes \\" and \\\\", "\\\\\\"", "\\u0022", "{[,:]}"]',
  "[]",
  '{"__proto__": 1, "": 2}',
])("JSON is parsed: %s", (text) => {
  expect(parseJson(text)).toEqual(JSON.parse(text));
});

test("NaN and Infinity, which Python writes, become numbers", () => {
  const text = '{"loss": NaN, "NaN": "NaN", "max": [Infinity, -Infinity], "say": "\\"NaN, Infinity\\""}';
  const value = { loss: Number.NaN, NaN: "NaN", max: [Infinity, -Infinity], say: '"NaN, Infinity"' };
  expect(parseJson(text)).toEqual(value);
});

test.each(["", "{", '{"a": NaNa}', "[Nan]", "[+Infinity]", '"', '"\\', "[1,]", '{"a" 1}', "[NaN", "- NaN"])(
  "invalid JSON is rejected: %s",
  (text) => {
    expect(() => parseJson(text)).toThrow(new JsonProblem("is not valid JSON"));
  },
);

test.each([
  ["lists", "[".repeat(50_000_000), "is nested more than 20 levels deep"],
  ["objects", '{"a":'.repeat(5_000_000), "is nested more than 20 levels deep"],
  ["elements", `[${"[],".repeat(10_000_000)}[]]`, "has more than 100,000 values"],
  ["commas", ",".repeat(50_000_000), "has more than 100,000 values"],
  ["a string that does not end", `"${'\\"'.repeat(20_000_000)}`, "is not valid JSON"],
  ["backslashes", `"${"\\".repeat(50_000_000)}`, "is not valid JSON"],
])("many %s take neither time nor memory", (_, text, problem) => {
  const [cpu, memory] = [process.cpuUsage(), process.memoryUsage().rss];
  expect(() => parseJson(text, LIMITS)).toThrow(problem);
  expect(process.cpuUsage(cpu).user / 1e6).toBeLessThan(2);
  expect(process.memoryUsage().rss - memory).toBeLessThan(300e6);
});

test("keys are reported with the objects that they belong to", () => {
  const seen: string[] = [];
  const visit = { open: () => seen.push("{"), close: () => seen.push("}"), key: (key: string) => seen.push(key) };
  scanJson('{"a": ["b", {"c": ":"}], "d\\"" : {}}', LIMITS, visit);
  expect(seen).toEqual(["{", '"a"', "{", '"c"', "}", '"d\\""', "{", "}", "}"]);
});
