/** Tables as comma-separated values (RFC 4180). */

export interface TableData {
  /** Says what the table holds; also its accessible name. */
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: number;
  /** One row, as many cells as there are columns; numbers keep their full precision in a file. */
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
