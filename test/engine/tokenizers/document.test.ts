import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { random } from "../../../src/engine/random";
import {
  adderTokenizer,
  DocumentTokens,
  type Tokenizer,
  trainBytePairs,
  trainCharacters,
  trainWords,
} from "../../../src/engine/tokenizers";
import { testData } from "../../helpers/testData";
import { HARD_TEXTS } from "./texts";

const TEXT = Object.values(HARD_TEXTS).join("\r\n").repeat(60);

const tokenizers: Readonly<Record<string, Tokenizer>> = {
  characters: await trainCharacters([TEXT]),
  words: await trainWords([TEXT], { vocabSize: 50 }),
  bytePairs: await trainBytePairs([TEXT], { vocabSize: 350 }),
  fixed: adderTokenizer(),
};

describe.each(Object.entries(tokenizers))("a document in %s", (_, tokenizer) => {
  test("has the whole text's token at every offset", async () => {
    await expectSameTokens(tokenizer, new DocumentTokens(tokenizer, TEXT), TEXT);
  });

  test("has the whole text's tokens after any edit", async () => {
    const { below } = random(3, "edits");
    const inserts = ["", "x", "'s", " ", "\n", "<EO", "S>", "😀", TEXT.slice(0, 9000)];
    let text = TEXT;
    let document = new DocumentTokens(tokenizer, text);
    await document.count();
    for (let i = 0; i < 12; i++) {
      const at = below(text.length);
      text = text.slice(0, at) + inserts[below(inserts.length)] + text.slice(at + below(3) * below(6000));
      document = new DocumentTokens(tokenizer, text, document);
      expect(await document.count()).toBe(tokenizer.count(text));
    }
    await expectSameTokens(tokenizer, document, text);
  });
});

test("a document grows at its end token by token", async () => {
  const tokenizer = tokenizers.bytePairs as Tokenizer;
  let document = new DocumentTokens(tokenizer, "");
  for (let n = 0; n <= 300; n++) {
    document = new DocumentTokens(tokenizer, TEXT.slice(0, n), document);
    expect(await document.count()).toBe(tokenizer.count(TEXT.slice(0, n)));
  }
});

test("a document has no token before its start or past its end", async () => {
  const document = new DocumentTokens(tokenizers.characters as Tokenizer, "a😀");
  expect(await document.tokenAt(-1)).toBeNull();
  expect(await document.tokenAt(3)).toBeNull();
  expect(await document.tokenAt(2)).toMatchObject({ index: 1, span: { token: "😀", start: 1, end: 3 } });
});

test("an edit tokenizes only the changed part again", async () => {
  const counting = countCalls(tokenizers.bytePairs as Tokenizer);
  const first = new DocumentTokens(counting.tokenizer, TEXT);
  await first.count();
  counting.units = 0;
  const at = Math.floor(TEXT.length / 2);
  await new DocumentTokens(counting.tokenizer, `${TEXT.slice(0, at)} more ${TEXT.slice(at)}`, first).count();
  expect(counting.units).toBeGreaterThan(0);
  expect(counting.units).toBeLessThan(20_000);
});

const shakespeare = testData("tinyshakespeare/input.txt");
describe.skipIf(!shakespeare)("a document of 5 MB (skipped without the test data)", async () => {
  const text = shakespeare ? readFileSync(shakespeare, "utf8").repeat(5) : "";

  test.each(["characters", "bytePairs"] as const)("finds its last token in less than a second: %s", async (kind) => {
    const tokenizer =
      kind === "characters"
        ? await trainCharacters([text])
        : await trainBytePairs([text.slice(0, 200_000)], { vocabSize: 1000 });
    const started = process.cpuUsage();
    const token = await new DocumentTokens(tokenizer, text).tokenAt(text.length - 1);
    // CPU time instead of wall time, because other tests run in parallel.
    const milliseconds = process.cpuUsage(started).user / 1000;
    expect(token?.span.end).toBe(text.length);
    expect(milliseconds).toBeLessThan(kind === "characters" ? 500 : 2000);
  });

  test("yields to the event loop, and can be canceled", async () => {
    const tokenizer = await trainBytePairs([text.slice(0, 200_000)], { vocabSize: 1000 });
    const controller = new AbortController();
    const ticks: number[] = [];
    const timer = setInterval(() => {
      ticks.push(performance.now());
      if (ticks.length === 6) controller.abort();
    }, 1);
    const document = new DocumentTokens(tokenizer, text);
    await expect(document.tokenAt(text.length - 1, controller.signal)).rejects.toThrow(/abort/i);
    clearInterval(timer);
    expect(ticks.length).toBeGreaterThanOrEqual(6);
  });
});

async function expectSameTokens(tokenizer: Tokenizer, document: DocumentTokens, text: string): Promise<void> {
  const spans = tokenizer.spans(text);
  expect(await document.count()).toBe(spans.length);
  for (let offset = 0; offset < text.length; offset += 37) {
    const index = spans.findIndex(({ end }) => offset < end);
    expect(await document.tokenAt(offset)).toEqual({ span: spans[index], index });
  }
}

function countCalls(tokenizer: Tokenizer) {
  const counting = {
    units: 0,
    tokenizer: {
      ...tokenizer,
      count(text: string) {
        counting.units += text.length;
        return tokenizer.count(text);
      },
    },
  };
  return counting;
}
