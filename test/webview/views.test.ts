/// <reference types="node" />

import { readdir, readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { connect, serve } from "../../src/protocol/rpc";
import type { TraceQuestions } from "../../src/protocol/webviewApi";
import { formatPercent, formatShape, formatValue } from "../../webview/base/format";
import { createStore } from "../../webview/base/store";
import { embeddingParts, stack } from "../../webview/trace/embedding/layout";
import { createInspection, matrixOf } from "../../webview/trace/inspection";
import { dimensionsOf, residualNorm, valueGroups } from "../../webview/trace/layers/layout";
import { distribution, searched, shownToken } from "../../webview/trace/nextToken/layout";
import { tokenChips, tokenLabel, visibleText } from "../../webview/trace/tokens/layout";
import { portPair } from "../helpers/portPair";
import { tinyAnswers } from "./tinyAnswers";
import { tinyTrace } from "./tinyTrace";

describe("tokens", () => {
  test("whitespace and control characters have glyphs, letters stay", () => {
    expect(visibleText("a b\tc\r\n\u00a0é🐈\u0000\u200b")).toBe("a·b⇥c␍⏎⍽é🐈␀U+200B");
  });

  test("parts of a character are bytes and joined to the part before", () => {
    const { tokens } = tinyTrace("a🐈").info;
    expect(tokenChips(tokens).map(({ label, kind, joined }) => [label, kind, joined])).toEqual([
      ["<BOS>", "special", false],
      ["a", "text", false],
      ["F0", "bytes", false],
      ["9F", "bytes", true],
      ["90", "bytes", true],
      ["88", "bytes", true],
    ]);
  });

  test("a line ends after its line break", () => {
    const { tokens } = tinyTrace("a\nb").info;
    expect(tokenChips(tokens).map(({ breakAfter }) => breakAfter)).toEqual([false, false, true, false]);
  });
});

describe("layers", () => {
  const { info } = tinyTrace("hello");

  test("values are grouped by block, in order", () => {
    const groups = valueGroups(info.values);
    expect(groups.map(({ title, block }) => [title, block])).toEqual([
      ["Input", null],
      ["Block", 0],
      ["Block", 1],
      ["Block", 2],
      ["Output", null],
    ]);
    expect(groups[1]!.values.map(({ label }) => label)).toContain("attn.pattern");
    expect(groups[4]!.values.map(({ name }) => name)).toEqual(["lnFinal", "logits"]);
  });

  test("block 10 comes after block 9", () => {
    const groups = valueGroups([10, 9, 2].map((l) => ({ name: `blocks.${l}.residPre`, shape: [1, 2, 3] })));
    expect(groups.map(({ block }) => block)).toEqual([2, 9, 10]);
  });

  test("dimensions have names", () => {
    expect(dimensionsOf("blocks.0.residPre", [1, 6, 48])).toEqual(["batch", "position", "dModel"]);
    expect(dimensionsOf("blocks.0.attn.k", [1, 4, 6, 12])).toEqual(["batch", "KV head", "position", "dHead"]);
    expect(dimensionsOf("blocks.0.attn.pattern", [1, 4, 6, 6])).toEqual(["batch", "head", "query", "key"]);
    expect(formatShape([1, 12, 128])).toBe("[1, 12, 128]");
  });

  test("a residual norm is the norm of that token's row", () => {
    const { tensor } = tinyTrace("hello");
    const { cols, values } = matrixOf(tensor("blocks.1.residPost"));
    const row = values.subarray(3 * cols, 4 * cols);
    expect(residualNorm(info, 2, 3)).toBeCloseTo(Math.hypot(...row), 4);
  });
});

describe("embeddings", () => {
  const has = (...names: string[]) => ({ has: (name: string) => names.includes(name) });

  test("token and position and their sum", () => {
    const parts = embeddingParts(has("embed", "posEmbed", "blocks.0.residPre"));
    expect(parts.map(({ name }) => name)).toEqual(["embed", "posEmbed", "blocks.0.residPre"]);
  });

  test("without position vectors there is nothing to add", () => {
    expect(embeddingParts(has("embed", "blocks.0.residPre")).map(({ name }) => name)).toEqual(["embed"]);
  });

  test("rows are stacked in order", () => {
    expect([...stack([Float32Array.of(1, 2), Float32Array.of(3, 4)])]).toEqual([1, 2, 3, 4]);
  });
});

describe("the next token", () => {
  const ranked = (id: number, token: string, probability: number, rank: number) => ({
    id,
    token,
    bytes: new TextEncoder().encode(token),
    probability,
    rank,
  });
  const known = {
    top: [ranked(0, "a", 0.5, 1), ranked(2, " b", 0.25, 2), ranked(1, "\n", 0.125, 3)],
    entropyBits: 1.75,
  };

  test("the top and the rest are the whole vocabulary", () => {
    const { top, rest, entropyBits, maxEntropyBits } = distribution(known, 4, 2);
    expect(top.map(({ id, label, rank }) => [id, label, rank])).toEqual([
      [0, "a", 1],
      [2, "·b", 2],
    ]);
    expect(rest).toEqual({ count: 2, probability: 0.25 });
    expect([entropyBits, maxEntropyBits]).toEqual([1.75, 2]);
  });

  test("a part of a character is shown as bytes, and a special token by its name", () => {
    const part = { ...ranked(3, "x", 0.1, 4), bytes: Uint8Array.of(0xe2, 0x82) };
    expect(shownToken(part).label).toBe("E2 82");
    expect(shownToken({ ...ranked(4, "<eos>", 0.1, 5), bytes: new Uint8Array() }).label).toBe("<eos>");
  });

  test.each([
    [" b", " b"],
    ["·b⏎", " b\n"],
    ["#3", "#3"],
    ["#x·", "#x "],
  ])("typing %j searches %j", (typed, query) => expect(searched(typed)).toBe(query));
});

describe("numbers", () => {
  test("values have six significant digits and never turn into 0", () => {
    expect([0.123456789, -2, 1e-9, 1234567, 0].map(formatValue)).toEqual([
      "0.123457",
      "-2.00000",
      "1.00000e-9",
      "1.23457e+6",
      "0",
    ]);
  });

  test("a rare token is not 0 %", () => {
    expect([0.5, 0.012, 0.0012, 0.00001, 1e-9, 0].map(formatPercent)).toEqual([
      "50.0 %",
      "1.20 %",
      "0.120 %",
      "0.001 %",
      "1.0e-7 %",
      "0 %",
    ]);
  });
});

test("a tensor is asked for once, and again after an error", async () => {
  const trace = tinyTrace("a");
  const [page, host] = portPair();
  let asked = 0;
  serve<TraceQuestions>(host, {
    ...tinyAnswers(() => trace),
    traceTensor: ({ name, head }) => {
      asked++;
      if (asked === 1) throw new Error("gone");
      return trace.tensor(name, head);
    },
  });
  const source = { kind: "typed", label: "", text: "a", truncated: false } as const;
  const inspection = createInspection(trace.info, source, connect<TraceQuestions>(page));
  await expect(inspection.tensor("embed")).rejects.toThrow("gone");
  await inspection.tensor("embed");
  await inspection.tensor("embed");
  expect(asked).toBe(2);
});

test("a store tells only changes", () => {
  const store = createStore({ token: 0, layer: 0 });
  const told: unknown[] = [];
  store.subscribe((now, before) => told.push([now.token, before.token]));
  store.set({ token: 0 });
  store.set({ token: 2 });
  expect(told).toEqual([[2, 0]]);
});

async function sources() {
  const files = (await readdir("webview", { recursive: true })).filter((file) => file.endsWith(".ts"));
  expect(files.length).toBeGreaterThan(20);
  return Promise.all(files.map(async (file) => ({ file, text: await readFile(`webview/${file}`, "utf8") })));
}

describe("every number on a page is a number of a run", () => {
  test("no page's code draws random numbers", async () => {
    const drawing = (await sources()).filter(({ text }) => /Math\s*\.\s*random|getRandomValues/.test(text));
    expect(drawing.map(({ file }) => file)).toEqual([]);
  });

  test("no page's code has a list of numbers that could pass for data", async () => {
    // Dash patterns, digits and limits are short; the numbers of a vector, even of a toy one, are not whole.
    const fractions = /\[(?:\s*-?\d*\.?\d+(?:e-?\d+)?\s*,){3,}\s*(?:-?\d*\.?\d+(?:e-?\d+)?\s*,?\s*)?\]/gi;
    const looksLikeData = (list: string) => (list.match(/\d*\.\d+/g) ?? []).length >= 2 || list.split(",").length > 12;
    expect(["[0.12, -0.5, 0.3, 1]", "[.1,.2,.3,.4,]"].every((list) => list.match(fractions)?.some(looksLikeData))).toBe(
      true,
    );
    expect(
      ["[1, 2, 3, 4, 5, 6]", "[2, 4]", "[a, 0.5, b, 0.25]"].some((list) => list.match(fractions)?.some(looksLikeData)),
    ).toBe(false);
    const found = (await sources()).flatMap(({ file, text }) =>
      (text.match(fractions) ?? []).filter(looksLikeData).map((list) => `${file}: ${list}`),
    );
    expect(found).toEqual([]);
  });
});

test("labels of special tokens are their names", () => {
  expect(tokenLabel(tinyTrace("").info.tokens[0]!)).toBe("<BOS>");
});
