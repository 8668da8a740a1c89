import { describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import { applySteps, originalRange, parseNormalizer } from "../../../src/engine/tokenizers/normalize";

const FORMS = ["NFC", "NFD", "NFKC", "NFKD"] as const;

describe.each(FORMS)("%s", (form) => {
  const steps = parseNormalizer({ type: form });

  test("matches Unicode, and every part has the range it came from", () => {
    const characters = [
      ..."aeéq q\u0301\u0323\u0307\u0327가각ㄱㅏ\u1100\u1161\u11a8ﬁ①ｶﾞハ\uff9e\u09c7\u09be😀\u212b\u0344\u{1d15e}",
    ];
    const { below } = random(5, form);
    for (let i = 0; i < 500; i++) {
      const text = Array.from({ length: below(12) + 1 }, () => characters[below(characters.length)]).join("");
      const normalized = applySteps(steps, text, "start");
      expect(normalized.text).toBe(text.normalize(form));
      const ranges = Array.from(normalized.text, (_, k) => originalRange(normalized, k, k + 1));
      for (const [k, { start, end }] of ranges.entries()) {
        expect(text.slice(start, end).normalize(form)).toContain(normalized.text[k]);
        expect(start).toBeGreaterThanOrEqual(ranges[k - 1]?.start ?? 0);
      }
    }
  });

  test("changes nothing across a cut", () => {
    const before = ["a", "\u1100", "가", "ㄱ", "か", "ｶ", "\u09c7", "\u0627", "\u{110b9}", "=", "\u0b47"];
    const [step] = steps;
    const wrong: string[] = [];
    // All characters of the first plane and Indic marks of the second: they include all that combine.
    for (let code = 0; code < 0x11a00; code++) {
      if (code >= 0xd800 && code < 0xe000) continue;
      const right = String.fromCodePoint(code);
      for (const left of before) {
        const apart = left.normalize(form) + right.normalize(form);
        if ((left + right).normalize(form) !== apart && step?.local(left, right)) wrong.push(code.toString(16));
      }
    }
    expect(wrong).toEqual([]);
  });
});

test("a range is mapped back through several steps", () => {
  const steps = parseNormalizer({
    type: "Sequence",
    normalizers: [
      { type: "Strip", strip_left: true, strip_right: false },
      { type: "NFC" },
      { type: "Lowercase" },
      { type: "Prepend", prepend: "▁▁" },
      { type: "Replace", pattern: { String: "sz" }, content: "ß" },
      { type: "Replace", pattern: { String: " " }, content: "▁" },
    ],
  });
  const normalized = applySteps(steps, "  SZe\u0301 İ", "start");
  expect(normalized.text).toBe("▁▁ßé▁i\u0307");
  const ranges = Array.from(normalized.text, (_, k) => originalRange(normalized, k, k + 1)).map(({ start, end }) => [
    start,
    end,
  ]);
  expect(ranges).toEqual([
    [2, 2],
    [2, 2],
    [2, 4],
    [4, 6],
    [6, 7],
    [7, 8],
    [7, 8],
  ]);
  expect(applySteps(steps, "SZ", "middle").text).toBe("ß");
});
