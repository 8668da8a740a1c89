/** Comma-separated values (RFC 4180). */

/** Content that is not comma-separated values. */
export class CsvProblem extends Error {
  constructor(
    /** Continues a sentence that begins with the file. */
    readonly problem: string,
  ) {
    super(`The text ${problem}.`);
  }
}

/** A cell of a CSV file, quoted if necessary. */
export function csvField(value: string | number): string {
  const text = String(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Starts of cells that spreadsheets run as formulas, after the apostrophes that prevent it. */
const FORMULA = /^'*[=+\-@\t\r]/;

/** A text that no spreadsheet runs as a formula: an apostrophe before it makes it text. `unguarded` removes it. */
export const guarded = (text: string): string => (FORMULA.test(text) ? `'${text}` : text);

export const unguarded = (text: string): string => (/^'/.test(text) && FORMULA.test(text) ? text.slice(1) : text);

/**
 * The rows of a CSV text, up to `maxRows`. Lines end with CRLF, LF or CR; empty lines are skipped. Linear in the length of
 * the text.
 */
export function parseCsv(text: string, maxRows: number): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let line = 1;
  let at = text.startsWith("\ufeff") ? 1 : 0;
  const endRow = () => {
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  };
  while (at < text.length && rows.length < maxRows) {
    if (text[at] === '"') {
      const [cell, end] = quotedCell(text, at, line);
      if (end < text.length && !CELL_END.test(text[end] as string)) {
        throw new CsvProblem(`has text after a quoted cell in line ${line}`);
      }
      line += cell.split("\n").length - 1;
      row.push(cell);
      at = end;
    } else {
      const end = cellEnd(text, at);
      row.push(text.slice(at, end));
      at = end;
    }
    if (text[at] === ",") {
      at++;
      // A comma at the end of a line is followed by an empty cell.
      if (at < text.length && !LINE_END.test(text[at] as string)) continue;
      row.push("");
    }
    at += text.startsWith("\r\n", at) ? 2 : 1;
    line++;
    endRow();
  }
  return rows;
}

const CELL_END = /[,\r\n]/;
const LINE_END = /[\r\n]/;

function cellEnd(text: string, from: number): number {
  const next = new RegExp(CELL_END, "g");
  next.lastIndex = from;
  return next.exec(text)?.index ?? text.length;
}

/** The content of the quoted cell that starts at `start`, and the position after it. */
function quotedCell(text: string, start: number, line: number): [cell: string, end: number] {
  const parts: string[] = [];
  for (let from = start + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) throw new CsvProblem(`has a quoted cell without an end, which starts in line ${line}`);
    parts.push(text.slice(from, quote));
    if (text[quote + 1] !== '"') return [parts.join('"'), quote + 1];
    from = quote + 2;
  }
}
