import { expect, test } from "vitest";
import { StopText } from "../../../src/engine/generate/stopText";

function written(stops: readonly string[], pieces: readonly string[]) {
  const text = new StopText(stops);
  const settled: string[] = [];
  for (const piece of pieces) {
    const isStop = text.push(piece);
    settled.push(text.settled);
    if (isStop) break;
  }
  return { text: text.text, settled };
}

test("a text ends before the first stop string, also across pieces", () => {
  expect(written(["<end>"], ["a<", "en", "d>b"]).text).toBe("a");
  expect(written(["b", "ab"], ["xab"]).text).toBe("x");
  expect(written(["END"], ["no ", "EN"]).text).toBe("no EN");
});

test("what may become a stop string is not settled", () => {
  expect(written(["<end>"], ["a<", "en", "x", "<end>"]).settled).toEqual(["a", "a", "a<enx", "a<enx"]);
  expect(written(["\n"], ["a", "b\nc"]).settled).toEqual(["a", "ab"]);
});

test("an empty stop string has no effect, and nothing follows a stop", () => {
  expect(written(["", "z"], ["a", "b"]).text).toBe("ab");
  const text = new StopText(["b"]);
  expect([text.push("ab"), text.push("c"), text.text]).toEqual([true, true, "a"]);
});
