import { expect, test } from "vitest";
import { formatPercent, formatShape, formatValue } from "../../../webview/base/format";

test("a value has six significant digits and reads as 0 only if it is zero", () => {
  expect([0.123456789, -2, 1e-9, 1234567, 0].map(formatValue)).toEqual([
    "0.123457",
    "-2.00000",
    "1.00000e-9",
    "1.23457e+6",
    "0",
  ]);
});

test("the probability of a rare token does not read as 0 %", () => {
  expect([0.5, 0.012, 0.0012, 0.00001, 1e-9, 0].map(formatPercent)).toEqual([
    "50.0 %",
    "1.20 %",
    "0.120 %",
    "0.001 %",
    "1.0e-7 %",
    "0 %",
  ]);
});

test("a shape reads as its dimensions in brackets", () => expect(formatShape([1, 12, 128])).toBe("[1, 12, 128]"));
