/** Tables as comma-separated values (RFC 4180). */

import { csvField, guarded } from "../../src/text/csv";

export interface TableData {
  /** Caption and accessible name. */
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: number;
  /** True for texts of others, which a spreadsheet could run as formulas. */
  readonly isGuarded?: boolean;
  /** Returns a row with a cell per column; numbers keep their full precision in a file. */
  readonly row: (index: number) => readonly (string | number)[];
}

export function toCsv({ columns, rows, row, isGuarded = false }: TableData): string {
  const field = (value: string | number) => csvField(isGuarded && typeof value === "string" ? guarded(value) : value);
  const lines = [columns.map(field).join(",")];
  for (let i = 0; i < rows; i++) lines.push(row(i).map(field).join(","));
  return `${lines.join("\r\n")}\r\n`;
}
