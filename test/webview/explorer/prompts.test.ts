import { expect, test } from "vitest";
import type { PromptScore } from "../../../src/protocol/traceApi";
import { toCsv } from "../../../webview/charts/csv";
import {
  columnsOf,
  fileNameOf,
  meanLoss,
  type PromptRow,
  promptsOf,
  promptTable,
  readSaved,
  textOf,
} from "../../../webview/explorer/prompts/layout";
import { createScores } from "../../../webview/explorer/prompts/scores";
import { sorted } from "../../../webview/parts/sortableTable";

const score = (token: string, probability: number, loss: number | null): PromptScore => ({
  tokens: 3,
  isTruncated: false,
  next: { id: 5, token, probability },
  loss,
  probabilities: Float32Array.of(0.25),
});
const rows: PromptRow[] = [
  { number: 1, prompt: "the cat", outcome: score("b", 0.5, 2) },
  { number: 2, prompt: "=1", outcome: null },
  { number: 3, prompt: "a dog", outcome: new Error("No such token.") },
  { number: 4, prompt: "one", outcome: score("a", 0.75, 1) },
];
const tokens = [{ id: 7, label: "x" }];

test("prompts are edited one per line, with ↵ for their line breaks", () => {
  expect(textOf(["one", "two\nlines", "three\r\nlines"])).toBe("one\ntwo↵lines\nthree↵lines");
  expect(promptsOf("one\r\n\n  \ntwo↵lines\n x ")).toEqual(["one", "two\nlines", " x "]);
});

test("rows are sorted by any column, and those without a value are last in both directions", () => {
  const columns = columnsOf(tokens);
  const numbers = (column: number, isDescending = false) =>
    sorted(rows, columns, { column, isDescending }).map(({ number }) => number);
  expect(columns.map(({ label }) => label)).toEqual([
    "#",
    "prompt",
    "tokens",
    "next token",
    "probability",
    "loss per token (nats)",
    "p(“x”, #7)",
  ]);
  expect([numbers(0, true), numbers(1)]).toEqual([
    [4, 3, 2, 1],
    [2, 3, 4, 1],
  ]);
  expect([numbers(4), numbers(4, true)]).toEqual([
    [1, 4, 2, 3],
    [4, 1, 2, 3],
  ]);
  expect(numbers(5)).toEqual([4, 1, 2, 3]);
  expect(numbers(3)).toEqual([4, 1, 3, 2]);
});

test("the table in a file has the numbers, the errors, and prompts that no spreadsheet runs", () => {
  const csv = toCsv(promptTable(rows, tokens)).split("\r\n");
  expect(csv[0]).toBe(
    "number,prompt,tokens,next token id,next token,probability,loss per token (nats),probability of #7 x,error",
  );
  expect(csv.slice(1, 5)).toEqual([
    "1,the cat,3,5,b,0.5,2,0.25,",
    "2,'=1,,,,,,,",
    "3,a dog,,,,,,,No such token.",
    "4,one,3,5,a,0.75,1,0.25,",
  ]);
});

test("the mean loss is that of the prompts that have one", () => {
  expect(meanLoss(rows)).toBe(1.5);
  expect(meanLoss([{ number: 1, prompt: "a", outcome: score("a", 1, null) }])).toBeNull();
});

test("a set's name becomes a file name", () => {
  expect(["capitals", "a/b: c?", "../x", "", "…"].map(fileNameOf)).toEqual([
    "capitals",
    "a-b- c-",
    "x",
    "prompts",
    "prompts",
  ]);
});

test("a saved state of another version is ignored", () => {
  const saved = { name: "a", draft: "b", tokens };
  expect(readSaved(JSON.stringify(saved))).toEqual(saved);
  const none = { name: "", draft: "", tokens: [] };
  expect(["", "null", "{}", '{"name":1,"draft":"","tokens":[]}'].map(readSaved)).toEqual([none, none, none, none]);
  expect(readSaved('{"name":"","draft":"","tokens":[1,{"id":"7"}]}')).toEqual(none);
});

test("each prompt is scored once, one that failed again, and canceling keeps what is scored", async () => {
  const asked: string[] = [];
  let fails = true;
  const scores = createScores();
  const inspection = {
    scorePrompt: async ({ text }: { text: string }) => {
      asked.push(text);
      if (text === "bad" && fails) throw new Error("No such token.");
      if (text === "stop") scores.cancel();
      return score(text, 1, 1);
    },
  };
  const steps: string[] = [];
  const run = (...prompts: readonly string[]) =>
    scores.run(prompts, inspection, [7], (done, total) => void steps.push(`${done}/${total}`));
  expect(await run("a", "bad", "a")).toBe(true);
  expect([asked, steps]).toEqual([
    ["a", "bad"],
    ["0/2", "1/2", "2/2"],
  ]);
  fails = false;
  expect(await run("a", "bad", "stop", "never")).toBe(false);
  expect(asked).toEqual(["a", "bad", "bad", "stop"]);
  const outcomes = (...prompts: readonly string[]) =>
    scores
      .rows(prompts)
      .map(({ outcome }) => (outcome === null || outcome instanceof Error ? null : outcome.next.token));
  expect(outcomes("a", "bad", "stop", "never")).toEqual(["a", "bad", null, null]);
  scores.clear();
  expect(outcomes("a")).toEqual([null]);
});
