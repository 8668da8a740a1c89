/** JSONL: a document in a field of each line. */

import { EngineError } from "../errors";

/** A part of a document. `ends` marks its last part. */
export interface Piece {
  readonly text: string;
  readonly ends: boolean;
}

/** UTF-16 units of a line; a longer one is no line but a file of another kind. */
const LONGEST_LINE = 1 << 28;

/** The documents of a JSONL file. Blank lines have none. */
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
    if (length > LONGEST_LINE) {
      throw new EngineError("data", `${path}, line ${number + 1} is too long for JSONL; put each document on a line.`);
    }
  }
  yield documentsOf([rest.join("")]);
}

function textOf(line: string, place: string, field: string): string {
  const json = parse(line, place);
  const isObject = typeof json === "object" && json !== null && !Array.isArray(json);
  const text = isObject && Object.hasOwn(json, field) ? (json as Record<string, unknown>)[field] : undefined;
  if (typeof text === "string") return text;
  const texts = isObject ? Object.entries(json).filter(([, value]) => typeof value === "string") : [];
  const names = texts.slice(0, 5).map(([name]) => JSON.stringify(name));
  const next =
    names.length > 0
      ? `set data.field to one it has, such as ${names.join(", ")}`
      : "correct the line or leave the file out";
  throw new EngineError("data", `${place} has no text in a field "${field}"; ${next}.`);
}

function parse(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new EngineError("data", `${place} is not JSON; correct the line or leave the file out.`, { cause: error });
  }
}
