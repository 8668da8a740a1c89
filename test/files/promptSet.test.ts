import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readPrompts } from "../../src/files/promptSet";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "decoder-lab-prompts-"));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

async function read(name: string, content: string): Promise<string[]> {
  await writeFile(join(dir, name), content);
  return readPrompts(join(dir, name));
}

test("prompts come from the column prompt or text of a CSV file, or from its only column", async () => {
  expect(await read("a.csv", 'id,Prompt\r\n1,"The capital of France, is"\r\n2,Once\r\n3,\r\n')).toEqual([
    "The capital of France, is",
    "Once",
  ]);
  expect(await read("b.csv", "text\none\n")).toEqual(["one"]);
  expect(await read("c.csv", "one\ntwo\n")).toEqual(["one", "two"]);
  expect(await read("d.csv", "prompt\n'=1+1\n'tis\n")).toEqual(["=1+1", "'tis"]);
});

test("prompts come from the lines of a JSONL file: texts, or fields named prompt or text", async () => {
  expect(await read("a.jsonl", '"one"\r\n\n{"prompt": "two", "text": "no"}\n{"text": "three"}')).toEqual([
    "one",
    "two",
    "three",
  ]);
});

test.each([
  [
    "two.csv",
    "a,b\n1,2\n",
    'has several columns, and none is named "prompt". Name the column of the prompts "prompt".',
  ],
  ["empty.csv", "prompt\n \n", "has no prompts. Choose a file with one prompt in each row."],
  [
    "open.csv",
    'prompt\n"a\n',
    "has a quoted cell without an end, which starts in line 2. Correct the line, or save the file as CSV again.",
  ],
  ["many.csv", "x\n".repeat(1001), "has more than 1,000 prompts. Split it into several files."],
  ["long.csv", "x".repeat(20_001), "has a prompt of more than 20,000 characters. Shorten it or leave it out."],
  ["bad.jsonl", '"a"\n{"prompt": 1}', 'has no field "prompt" in line 2. Correct the line or leave it out.'],
  [
    "proto.jsonl",
    '{"__proto__": {"prompt": "x"}}',
    'has no field "prompt" in line 1. Correct the line or leave it out.',
  ],
  ["cut.jsonl", '{"prompt": "a', "is not valid JSON in line 1. Correct the line or leave it out."],
  ["deep.jsonl", "[".repeat(1000), "is nested more than 200 levels deep in line 1. Correct the line or leave it out."],
  ["large.csv", "x".repeat(8_000_001), "is too large (8 MB). Choose a CSV or JSONL file of at most 8 MB."],
])("%s is rejected with the reason", async (name, content, reason) => {
  await expect(read(name, content)).rejects.toThrow(`"${name}" ${reason}`);
});

test("a folder and a missing file are rejected", async () => {
  await expect(readPrompts(dir)).rejects.toThrow("could not be read. Choose a CSV or JSONL file.");
  await expect(readPrompts(join(dir, "no.csv"))).rejects.toThrow('"no.csv" could not be read.');
});
