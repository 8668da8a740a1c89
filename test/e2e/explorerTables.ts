/** What the tables of the Explorer's views say, each cell beside what the command line says of the same text. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Frame } from "playwright-core";
import { inRoot } from "../../scripts/paths.ts";
import { readTensors, type Tensor } from "../../src/engine/weights";

/** A table as it is on the screen; the first cell of a row is its header. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A displayed value, and what the command line has there. */
export interface Cell {
  readonly where: string;
  readonly shown: string;
  readonly expected: number | string;
}

/** Opens the tables of the views that are shown, and reads them. */
export async function readTables(explorer: Frame): Promise<Table[]> {
  const panes = explorer.locator(".pane:visible");
  const closed = panes.getByRole("button", { name: "Show table", exact: true }).filter({ visible: true });
  while ((await closed.count()) > 0) await closed.first().click();
  return panes.locator(".data-table table").evaluateAll((tables) => {
    const cells = (row: Row) => [...row.cells].map((cell) => cell.textContent ?? "");
    return (tables as unknown as TableElement[]).map(({ caption, tHead, tBodies }) => ({
      title: caption.textContent ?? "",
      columns: cells(tHead.rows[0] as Row),
      rows: [...tBodies].flatMap((body) => [...body.rows].map(cells)),
    }));
  });
}

// The little of the DOM that is used in the page; this folder is compiled without it.
type TextHolder = { readonly textContent: string | null };
type Row = { readonly cells: readonly TextHolder[] };
type Rows = { readonly rows: readonly Row[] };
type TableElement = { readonly caption: TextHolder; readonly tHead: Rows; readonly tBodies: readonly Rows[] };

interface Module {
  readonly name: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly bytes: number }[];
  readonly children: readonly Module[];
}

/** What the command line tells of a run. */
export interface Run {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly told: {
    readonly tokens: readonly { readonly id: number; readonly token: string }[];
    readonly nextToken: { readonly top: readonly { readonly id: number; readonly probability: number }[] };
    readonly lens: {
      readonly places: readonly string[];
      readonly ids: readonly number[];
      readonly probabilities: readonly number[];
      readonly entropies: readonly number[];
    };
  };
  readonly modules: Module;
}

const cli = inRoot("out", "stage", "dist", "cli.js");

/** Runs a text through the command line that was packaged with the extension. */
export async function runOnCommandLine(model: string, prompt: string, out: string): Promise<Run> {
  const ask = async (...words: string[]) => {
    const { stdout } = await promisify(execFile)(process.execPath, [cli, ...words, "--model", model, "--json"], {
      maxBuffer: 2 ** 28,
    });
    return JSON.parse(stdout);
  };
  const told = await ask("inspect", "--prompt", prompt, "--out", out, "--lens");
  return { told, tensors: await readTensors(out), modules: await ask("describe") };
}

/** The cells of a table that the command line knows; `head` is the one that is selected. */
export function cellsOf(table: Table, run: Run, head: number): Cell[] {
  const [first = ""] = table.columns;
  const read = table.columns.includes("entropy (bits)") && first === "place" ? lensCells : readers[first];
  return read?.(table, run, head) ?? [];
}

type Reader = (table: Table, run: Run, head: number) => Cell[];

/** By the header of the first column. */
const readers: Readonly<Record<string, Reader>> = {
  token: matrixCells,
  "query \\ key": matrixCells,
  dimension: vectorCells,
  position: tokenCells,
  rank: nextTokenCells,
  value: normCells,
  kind: moduleCells,
};

/** A matrix of tokens by tokens or dimensions, of the value that the title names. */
function matrixCells({ title, rows }: Table, { tensors }: Run, selected: number): Cell[] {
  const name = [...tensors.keys()].filter((each) => title.includes(each)).sort((a, b) => b.length - a.length)[0];
  const tensor = name === undefined ? undefined : tensors.get(name);
  if (!tensor) return [];
  const head = Number(/\[0, (\d+), /.exec(title)?.[1] ?? selected);
  const lead = tensor.shape.length === 4 ? [0, head] : tensor.shape.length === 3 ? [0] : [];
  return rows.flatMap(([header = "", ...cells]) =>
    cells.flatMap((shown, col) => {
      const index = [...lead, Number.parseInt(header, 10), col];
      // What the mask hides is not said to be 0.
      if (shown === "masked") return [];
      return [{ where: `${name}[${index}]`, shown, expected: at(tensor, index) }];
    }),
  );
}

/** Vectors as columns, which are called as the values are, with or without where they are in them. */
function vectorCells({ title, columns, rows }: Table, { tensors }: Run): Cell[] {
  const token = Number(/token (\d+)/.exec(title)?.[1]);
  return columns.flatMap((column, c) => {
    const [, name = "", place] = /^([\w.]+)(?:\[([\d, ]+), ·\])?$/.exec(column) ?? [];
    const tensor = tensors.get(name);
    if (!tensor) return [];
    const lead = place === undefined ? [0, token] : place.split(", ").map(Number);
    return rows.map((row) => {
      const index = [...lead, Number(row[0])];
      return { where: `${name}[${index}]`, shown: row[c] ?? "", expected: at(tensor, index) };
    });
  });
}

function lensCells({ columns, rows }: Table, { told: { lens } }: Run): Cell[] {
  const positions = lens.entropies.length / lens.places.length;
  const count = lens.ids.length / lens.entropies.length;
  return rows.flatMap((row) => {
    const cell = lens.places.indexOf(row[0] ?? "") * positions + Number(row[1]);
    return columns.flatMap((column, c) => {
      const where = `${row[0]} at ${row[1]}, ${column}`;
      const [, what, nth] = /^(id|probability) (\d+)$/.exec(column) ?? [];
      if (column === "entropy (bits)")
        return [{ where, shown: row[c] ?? "", expected: lens.entropies[cell] as number }];
      if (!what) return [];
      const values = what === "id" ? lens.ids : lens.probabilities;
      return [{ where, shown: row[c] ?? "", expected: values[cell * count + Number(nth) - 1] as number }];
    });
  });
}

function tokenCells({ columns, rows }: Table, { told: { tokens } }: Run): Cell[] {
  return rows.flatMap((row) => {
    const position = Number(row[0]);
    const token = tokens[position];
    if (!token) return [];
    const bytes = [...Buffer.from(token.token)]
      .map((byte) => byte.toString(16).padStart(2, "0").toUpperCase())
      .join(" ");
    const known: Readonly<Record<string, number | string>> = { position, id: token.id, bytes };
    return columns.flatMap((column, c) => {
      const expected = known[column];
      return expected === undefined ? [] : [{ where: `token ${position}, ${column}`, shown: row[c] ?? "", expected }];
    });
  });
}

function nextTokenCells({ columns, rows }: Table, { told: { nextToken } }: Run): Cell[] {
  return rows.flatMap((row, i) => {
    const token = nextToken.top[i];
    if (!token) return [];
    const known: Readonly<Record<string, number>> = { rank: i + 1, id: token.id, probability: token.probability };
    return columns.flatMap((column, c) => {
      const expected = known[column];
      return expected === undefined ? [] : [{ where: `rank ${i + 1}, ${column}`, shown: row[c] ?? "", expected }];
    });
  });
}

/** Shapes of the run's values. */
function normCells({ columns, rows }: Table, { tensors }: Run): Cell[] {
  const c = columns.indexOf("shape");
  return rows.flatMap((row) => {
    const shape = shapeIn(tensors, row[0] ?? "");
    return shape ? [{ where: `shape of ${row[0]}`, shown: row[c] ?? "", expected: shape }] : [];
  });
}

/** As views write it. They have the last token's logits only. */
function shapeIn(tensors: Run["tensors"], name: string): string | undefined {
  const shape = tensors.get(name)?.shape;
  return shape && `[${(name === "logits" ? [1, 1, shape.at(-1)] : shape).join(", ")}]`;
}

function moduleCells({ columns, rows }: Table, { modules, tensors }: Run): Cell[] {
  const total = modules.parameters;
  const known = new Map<string, Readonly<Record<string, number | string>>>();
  const visit = ({ name, parameters, bytes, tensors: weights, children }: Module, parent: string) => {
    const path = parent === "" ? name : `${parent}.${name}`;
    known.set(`module ${path}`, { parameters, share: parameters / total, bytes });
    for (const { name: weight, shape, bytes } of weights) {
      const count = shape.reduce((product, size) => product * size, 1);
      known.set(`weight ${weight}`, { shape: `[${shape.join(", ")}]`, parameters: count, share: count / total, bytes });
    }
    for (const child of children) visit(child, path);
  };
  visit(modules, "");
  for (const name of tensors.keys()) known.set(`value ${name}`, { shape: shapeIn(tensors, name) as string });
  return rows.flatMap((row) => {
    const node = `${row[0]} ${row[columns.indexOf("name")]}`;
    return Object.entries(known.get(node) ?? {}).map(([column, expected]) => ({
      where: `${node}, ${column}`,
      shown: row[columns.indexOf(column)] ?? "",
      expected,
    }));
  });
}

/** Row-major. */
const at = ({ shape, data }: Tensor, index: readonly number[]): number => {
  const flat = index.slice(-shape.length).reduce((sum, i, axis) => sum * (shape[axis] as number) + i, 0);
  return data[flat] as number;
};

/** Whether a cell says what it should: a number to the digits that it has, of which there are at most six. */
export function agrees({ shown, expected }: Cell): boolean {
  if (typeof expected === "string") return shown === expected;
  if (shown === "" || !Number.isFinite(expected)) return false;
  if (Number.isInteger(expected)) return Number(shown) === expected;
  // One unit of the last digit: another engine's sums may round the other way.
  return Math.abs(Number(shown) - expected) <= 10 ** (Math.floor(Math.log10(Math.abs(expected))) - 5);
}
