/** Tables as comma-separated values (RFC 4180). */

export interface TableData {
  /** Caption and accessible name. */
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: number;
  /** Returns a row with a cell per column; numbers keep their full precision in a file. */
  readonly row: (index: number) => readonly (string | number)[];
}

export function toCsv({ columns, rows, row }: TableData): string {
  const lines = [columns.map(field).join(",")];
  for (let i = 0; i < rows; i++) lines.push(row(i).map(field).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

function field(value: string | number): string {
  const text = String(value);
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
