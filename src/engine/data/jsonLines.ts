/** JSONL files: each line holds a document in one of its fields. */

import { JsonProblem, parseJson } from "../../files/json";
import { quoted } from "../../text/untrusted";
import { EngineError } from "../errors";

/** A part of a document. `ends` marks its last part. */
export interface Piece {
  readonly text: string;
  readonly ends: boolean;
}

/** Maximum length of a line in UTF-16 units; a file with a longer one is not JSONL. */
const MAX_LINE = 1 << 26;

/** The documents of a JSONL file. Skips blank lines. */
export async function* jsonLines(
  path: string,
  chunks: AsyncIterable<string>,
  field: string,
): AsyncGenerator<readonly Piece[]> {
  let number = 0;
  const documentsOf = (lines: readonly string[]): Piece[] =>
    lines.flatMap((line) => {
      number++;
      return line.trim() === "" ? [] : [{ text: textOf(line, `${path}, line ${number}`, field), ends: true }];
    });

  let rest: string[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf("\n");
    if (end >= 0) {
      yield documentsOf((rest.join("") + chunk.slice(0, end)).split("\n"));
      rest = [];
      length = 0;
    }
    rest.push(chunk.slice(end + 1));
    length += chunk.length - end - 1;
    if (length > MAX_LINE) {
      throw new EngineError(
        "data",
        `${path}, line ${number + 1} is too long for JSONL. Put each document on its own line.`,
      );
    }
  }
  yield documentsOf([rest.join("")]);
}

function textOf(line: string, location: string, field: string): string {
  const json = parse(line, location);
  const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
  const text = isObject && Object.hasOwn(json, field) ? (json as Record<string, unknown>)[field] : undefined;
  if (typeof text === "string") return text;
  const texts = isObject ? Object.entries(json).filter(([, value]) => typeof value === "string") : [];
  const names = texts.slice(0, 5).map(([name]) => quoted(name, 40));
  const next =
    names.length > 0
      ? `Set data.field to one of its fields: ${names.join(", ")}`
      : "Correct the line or leave the file out";
  throw new EngineError("data", `${location} has no text field "${field}". ${next}.`);
}

function parse(line: string, location: string): unknown {
  try {
    return parseJson(line);
  } catch (error) {
    if (!(error instanceof JsonProblem)) throw error;
    throw new EngineError("data", `${location} ${error.problem}. Correct the line or leave the file out.`, {
      cause: error,
    });
  }
}
