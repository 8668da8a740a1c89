/**
 * Sets of prompts in files that others made: a CSV file with a column "prompt" or "text", or with one column only; a JSONL
 * file whose lines are texts, or objects with a field of one of these names.
 */

import { basename } from "node:path";
import { CsvProblem, parseCsv, unguarded } from "../text/csv";
import { quoted } from "../text/untrusted";
import { JsonProblem, parseJson } from "./json";
import { FileProblem, readRegularText } from "./regular";

/** Limits of a set. */
const MAX_PROMPTS = 1000;
/** In UTF-16 units. */
const MAX_PROMPT_LENGTH = 20_000;
const MAX_BYTES = 8_000_000;

const NAMES = ["prompt", "text"];

/** A file that is not a set of prompts. Its message is a sentence for the user. */
export class PromptSetError extends Error {
  override readonly name: string = "PromptSetError";
}

/** Reads the prompts of a CSV or JSONL file, which its name tells apart. */
export async function readPrompts(path: string): Promise<string[]> {
  const problem = (reason: string, next: string, cause?: unknown) =>
    new PromptSetError(`${quoted(basename(path), 60)} ${reason}. ${next}.`, { cause });
  try {
    const text = await readRegularText(path, MAX_BYTES);
    return checked(/\.(jsonl|ndjson)$/i.test(path) ? promptsOfJsonLines(text) : promptsOfCsv(text));
  } catch (error) {
    if (error instanceof WrongSet) throw problem(error.message, error.next);
    if (error instanceof CsvProblem)
      throw problem(error.problem, "Correct the line, or save the file as CSV again", error);
    if (error instanceof FileProblem) throw problem(error.problem, "Choose a CSV or JSONL file of at most 8 MB", error);
    throw problem("could not be read", "Choose a CSV or JSONL file", error);
  }
}

class WrongSet extends Error {
  constructor(
    reason: string,
    readonly next: string,
  ) {
    super(reason);
  }
}

function checked(prompts: readonly string[]): string[] {
  const filled = prompts.filter((prompt) => prompt.trim() !== "");
  if (filled.length === 0) throw new WrongSet("has no prompts", "Choose a file with one prompt in each row");
  if (filled.length > MAX_PROMPTS) {
    throw new WrongSet("has more than 1,000 prompts", "Split it into several files");
  }
  if (filled.some((prompt) => prompt.length > MAX_PROMPT_LENGTH)) {
    throw new WrongSet("has a prompt of more than 20,000 characters", "Shorten it or leave it out");
  }
  return filled;
}

function promptsOfCsv(text: string): string[] {
  // The header, and one row more than is allowed.
  const rows = parseCsv(text, MAX_PROMPTS + 2);
  const [header = []] = rows;
  const named = header.findIndex((name) => NAMES.includes(name.trim().toLowerCase()));
  if (named < 0 && rows.some((row) => row.length > 1)) {
    throw new WrongSet(`has several columns, and none is named "prompt"`, `Name the column of the prompts "prompt"`);
  }
  const prompts = named < 0 ? rows : rows.slice(1);
  return prompts.map((row) => unguarded(row[Math.max(0, named)] ?? ""));
}

function promptsOfJsonLines(text: string): string[] {
  const prompts: string[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    if (prompts.length > MAX_PROMPTS) break;
    prompts.push(promptOf(line, `in line ${i + 1}`));
  }
  return prompts;
}

function promptOf(line: string, location: string): string {
  const value = parsed(line, location);
  if (typeof value === "string") return value;
  const fields = typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  const name = NAMES.find((each) => typeof fields[each] === "string");
  if (name) return fields[name] as string;
  throw new WrongSet(`has no field "prompt" ${location}`, "Correct the line or leave it out");
}

function parsed(line: string, location: string): unknown {
  try {
    return parseJson(line);
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error;
    throw new WrongSet(`${error.problem} ${location}`, "Correct the line or leave it out");
  }
}
