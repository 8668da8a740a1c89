/** Compares the tables of the Model Explorer with the output of the command line for the same text. */

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Frame } from "playwright-core";
import { inRoot } from "../../scripts/paths.ts";
import { charactersToBytes } from "../../src/engine/tokenizers/bytes.ts";
import { readTensors, type Tensor } from "../../src/engine/weights";

/** A table on the screen. The first cell of a row is its header. */
export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A displayed value with the value of the command line. */
export interface Cell {
  readonly where: string;
  readonly shown: string;
  readonly expected: number | string;
}

/** Opens and reads the tables of the visible views. */
export async function readTables(explorer: Frame): Promise<Table[]> {
  const panes = explorer.locator(".pane:visible");
  const closed = panes.locator(".data[data-open=false] .more-button").filter({ visible: true });
  // A view that is still being drawn may move or remove its button.
  while ((await closed.count()) > 0) {
    await closed.first().press("Enter", { timeout: 1000 }).catch(ignored);
    const show = explorer.getByRole("menuitem", { name: "Show table" });
    await show.press("Enter", { timeout: 1000 }).catch(ignored);
  }
  return panes.locator(".data-table table").evaluateAll((tables) => {
    const cells = (row: Row) => [...row.cells].map((cell) => cell.textContent ?? "");
    return (tables as unknown as TableElement[]).map(({ caption, tHead, tBodies }) => ({
      title: caption.textContent ?? "",
      columns: cells(tHead.rows[0] as Row),
      rows: [...tBodies].flatMap((body) => [...body.rows].map(cells)),
    }));
  });
}

const ignored = () => undefined;

// The part of the DOM that is used in the page. This folder is compiled without DOM types.
type TextHolder = { readonly textContent: string | null };
type Row = { readonly cells: readonly TextHolder[] };
type Rows = { readonly rows: readonly Row[] };
type TableElement = { readonly caption: TextHolder; readonly tHead: Rows; readonly tBodies: readonly Rows[] };

/** A trace as the command line prints it and writes it to a file. */
export interface TraceReport {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly tokens: readonly { readonly id: number; readonly token: string }[];
  readonly lens: {
    readonly places: readonly string[];
    readonly ids: readonly number[];
    readonly probabilities: readonly number[];
    readonly entropies: readonly number[];
  };
  readonly attribution: {
    readonly parts: readonly {
      readonly kind: string;
      readonly layer: number | null;
      readonly head: number | null;
      readonly value: number;
    }[];
  };
}

interface Module {
  readonly name: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly bytes: number }[];
  readonly children: readonly Module[];
}

interface Generation {
  readonly steps: readonly {
    readonly id: number;
    readonly probability: number;
    readonly entropyBits: number;
    readonly kept: { readonly tokens: number; readonly mass: number };
    readonly drawnWith: number;
    readonly top: readonly { readonly id: number; readonly probability: number }[];
  }[];
}

/** The values of the command line, and the selection in the views. */
export interface Known {
  /** The trace that is shown and, in views that compare two, the second one. */
  readonly traces: readonly [TraceReport, TraceReport?];
  /** The selected token and head. */
  readonly token: number;
  readonly head: number;
  readonly modules: Module;
  readonly generation: Generation;
}

/** The command line of the packaged extension. */
const cli = inRoot("out", "stage", "dist", "cli.js");

const runCli = async (...words: readonly string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, [cli, ...words, "--json"], { maxBuffer: 2 ** 28 })).stdout;
const readCli = async (...words: readonly string[]) => JSON.parse(await runCli(...words));

/** Traces a prompt, optionally with interventions, and attributes the logit of a token after the last position. */
export async function tracePrompt(model: string, text: string, token: string, out: string, ...changes: string[]) {
  const words = ["--model", model, "--prompt", text, "--lens", "--attribute", token, "--out", out, ...changes];
  const printed = await readCli("inspect", ...words);
  return { ...printed, tensors: await readTensors(out) } as TraceReport;
}

/** The id of the most likely token after a text. */
export const mostLikely = async (model: string, text: string): Promise<number> =>
  (await readCli("inspect", "--model", model, "--prompt", text)).nextToken.top[0].id;

/** The surprisal of a token; null for the first one, which has no context. */
export interface Scored {
  readonly start: number;
  readonly end: number;
  readonly surprisal: number | null;
  readonly alternatives: readonly { readonly id: number; readonly probability: number }[];
}

/** The surprisal of each token of a text. */
export async function scoreText(model: string, text: string): Promise<Scored[]> {
  const lines = (await runCli("score", "--model", model, "--text", text)).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

export const describeModel = (model: string): Promise<Module> => readCli("describe", "--model", model);

export const generateText = (model: string, text: string, tokens: number): Promise<Generation> =>
  readCli("generate", "--model", model, "--prompt", text, "--max-new-tokens", String(tokens), "--trace");

/** The cells of a table with values of the command line. */
export function cellsOf(table: Table, known: Known): Cell[] {
  const reader = readers[table.columns.slice(0, 2).join(", ")] ?? readers[table.columns[0] ?? ""];
  return reader?.(table, known) ?? [];
}

type Reader = (table: Table, known: Known) => Cell[];

/** By the headers of the first two columns, or of the first. */
const readers: Readonly<Record<string, Reader>> = {
  "depth, position": byRow(lensRow),
  "depth, rank": byRow(lensPairRow),
  "position, token": byRow(tokenRow),
  "rank, token": byRow(nextTokenRow),
  "step, token": byRow(stepRow),
  "value, shape": byRow(valueRow),
  "value, position": byRow(differenceRow),
  "kind, name": byRow(moduleRow),
  "part, kind": byRow(attributionRow),
  "id, token": byRow(pairedRow),
  "layer, ‖residPre‖": byRow(overviewRow),
  "query, key": byRow(patternPairRow),
  token: matrixCells,
  "query \\ key": matrixCells,
  dimension: vectorCells,
};

/** The expected values of a row by column header; other columns are not compared. */
type Expected = Readonly<Record<string, number | string | undefined>>;
type RowReader = (row: Readonly<Record<string, string>>, known: Known, title: string, index: number) => Expected;

/** A reader of tables with named columns. */
function byRow(read: RowReader): Reader {
  return ({ title, columns, rows }, known) =>
    rows.flatMap((cells, i) => {
      const row = Object.fromEntries(columns.map((column, c) => [column, cells[c] ?? ""]));
      return Object.entries(read(row, known, title, i)).flatMap(([column, expected]) => {
        const shown = row[column];
        const isKnown = shown !== undefined && expected !== undefined;
        return isKnown ? [{ where: `${title}, row ${i}, ${column}`, shown, expected }] : [];
      });
    });
}

/** A matrix with a row per token: the value of the trace in its title, cosines between its rows, or norms. */
function matrixCells({ title, columns, rows }: Table, { traces: [trace], head: selected }: Known): Cell[] {
  const { tensors } = trace;
  const name = [...tensors.keys()].filter((each) => title.includes(each)).sort((a, b) => b.length - a.length)[0];
  const head = Number(/\[0, (\d+), /.exec(title)?.[1] ?? selected);
  const expected = (row: number, col: number): number | undefined => {
    const [of, and] = columns[col + 1]?.match(/[\w.]*\d\.\w+/g) ?? [];
    if (columns[col + 1]?.startsWith("‖")) return norm(vector(trace, of as string, row));
    if (columns[col + 1]?.startsWith("cos("))
      return cosine(vector(trace, of as string, row), vector(trace, and as string, row));
    if (name === undefined) return undefined;
    if (title.startsWith("Cosine")) return cosine(vector(trace, name, row), vector(trace, name, col));
    const tensor = tensors.get(name) as Tensor;
    return at(tensor, [head, row, col].slice(-Math.min(3, tensor.shape.length - 1)));
  };
  return rows.flatMap(([header = "", ...cells]) =>
    cells.flatMap((shown, col) => {
      const row = Number.parseInt(header, 10);
      const value = expected(row, col);
      // Masked cells are not compared with 0.
      const isKnown = value !== undefined && shown !== "masked";
      return isKnown ? [{ where: `${title}, ${row}, ${columns[col + 1]}`, shown, expected: value }] : [];
    }),
  );
}

/** Vectors in columns, which are named after a value, with or without the indices of the vector. */
function vectorCells({ title, columns, rows }: Table, { traces: [{ tensors }] }: Known): Cell[] {
  const token = Number(/token (\d+)|\[0, (\d+)\]$/.exec(title)?.slice(1).find(Boolean));
  return columns.flatMap((column, c) => {
    const [, name = "", index] = /^([\w.]+)(?:\[([\d, ]+), ·\])?$/.exec(column) ?? [];
    const tensor = tensors.get(name);
    if (!tensor) return [];
    const lead = index === undefined ? [token] : index.split(", ").map(Number).slice(1);
    return rows.map((row) => {
      const index = [...lead, Number(row[0])];
      return { where: `${name}[0, ${index}]`, shown: row[c] ?? "", expected: at(tensor, index) };
    });
  });
}

/** A layer of the overview: the norms at the selected token, the means of its attention, and the lens. */
function overviewRow(row: Readonly<Record<string, string>>, { traces: [trace], token }: Known): Expected {
  const block = `blocks.${row.layer}`;
  const pattern = trace.tensors.get(`${block}.attn.pattern`) as Tensor;
  const heads = pattern.shape[1] as number;
  const mean = (key: number) => {
    const weights = Array.from({ length: heads }, (_, head) => at(pattern, [head, token, key]));
    return weights.reduce((sum, weight) => sum + weight, 0) / heads;
  };
  const norms = ["residPre", "attnOut", "mlpOut", "residPost"].map((value) => [
    `‖${value}‖`,
    norm(vector(trace, `${block}.${value}`, token)),
  ]);
  const weights = [1, 2, 3]
    .filter((n) => row[`position ${n}`] !== "")
    .map((n) => [`weight ${n}`, mean(Number(row[`position ${n}`]))]);
  const lens = lensAt(trace, `${block}.residPost`, token).probability(0);
  return Object.fromEntries([...norms, ...weights, ["lens probability", lens]]);
}

/** A cell of the lens: its entropy and its most likely tokens. */
function lensAt({ lens, tokens }: TraceReport, depth: string, position: number) {
  const cell = lens.places.indexOf(depth) * tokens.length + position;
  const count = lens.ids.length / lens.entropies.length;
  const entryOf = (values: readonly number[], nth: number) => (nth < count ? values[cell * count + nth] : undefined);
  return {
    entropy: lens.entropies[cell],
    id: (nth: number) => entryOf(lens.ids, nth),
    probability: (nth: number) => entryOf(lens.probabilities, nth),
  };
}

/** `id 1`, `probability 1` and so on. */
const numbered = (count: number, id: (nth: number) => number | undefined, p: (nth: number) => number | undefined) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, n) => [
      [`id ${n + 1}`, id(n)],
      [`probability ${n + 1}`, p(n)],
    ]).flat(),
  );

function lensRow(row: Readonly<Record<string, string>>, { traces: [trace] }: Known): Expected {
  const { entropy, id, probability } = lensAt(trace, row.depth ?? "", Number(row.position));
  return { "entropy (bits)": entropy, ...numbered(10, id, probability) };
}

/** In views that compare two traces, columns are `quantity, name of the trace`, those of the first trace first. */
function lensPairRow(row: Readonly<Record<string, string>>, { traces }: Known): Expected {
  const names = Object.keys(row).flatMap((column) => /^position, (.*)/.exec(column)?.[1] ?? []);
  return Object.fromEntries(
    names.flatMap((name, i) => {
      const trace = traces[i];
      if (!trace) return [];
      const { id, probability } = lensAt(trace, row.depth ?? "", Number(row[`position, ${name}`]));
      const nth = Number(row.rank) - 1;
      return [
        [`id, ${name}`, id(nth)],
        [`probability, ${name}`, probability(nth)],
      ];
    }),
  );
}

function pairedRow(row: Readonly<Record<string, string>>, { traces, token }: Known): Expected {
  const names = Object.keys(row).flatMap((column) => /^probability, (.*)/.exec(column)?.[1] ?? []);
  return Object.fromEntries(
    names.map((name, i) => [`probability, ${name}`, traces[i] && softmax(logits(traces[i], token))[Number(row.id)]]),
  );
}

/** The attention pattern of a head in the first trace, in the second, and their difference. */
function patternPairRow(row: Readonly<Record<string, string>>, { traces: [a, b] }: Known, title: string): Expected {
  const [, name = "", head, what = ""] = /^([\w.]+)\[0, (\d+)\], (.*)$/.exec(title) ?? [];
  const of = (trace: TraceReport | undefined) => {
    const tensor = trace?.tensors.get(name);
    return tensor && at(tensor, [Number(head), Number(row.query), Number(row.key)]);
  };
  const [first, second] = [of(a), of(b)];
  if (first === undefined || second === undefined) return {};
  if (what.includes(" minus ")) return { value: second - first };
  return { value: ["before", "this text"].includes(what) ? first : second };
}

/** The relative difference between the vectors of the two traces. */
function differenceRow(row: Readonly<Record<string, string>>, { traces: [a, b] }: Known): Expected {
  const name = row.value ?? "";
  if (!b?.tensors.has(name)) return {};
  const [from, to] = [vector(a, name, Number(row.position)), vector(b, name, Number(row["other position"]))];
  return { "relative difference": norm(to.map((x, i) => x - (from[i] as number))) / norm(from) };
}

/** A token with its surprisal and, for two traces, the divergence of their next-token distributions. */
function tokenRow(row: Readonly<Record<string, string>>, { traces: [trace, other] }: Known): Expected {
  const position = Number(row.position);
  const token = trace.tokens[position];
  if (!token) return {};
  const start = trace.tokens.slice(0, position).reduce((sum, before) => sum + before.token.length, 0);
  const before = position > 0 ? softmax(logits(trace, position - 1)) : undefined;
  const p = before?.[token.id];
  return {
    id: token.id,
    bytes: [...(charactersToBytes(token.token) ?? [])]
      .map((byte) => byte.toString(16).padStart(2, "0").toUpperCase())
      .join(" "),
    start,
    end: start + token.token.length,
    probability: p,
    "surprisal (bits)": p && -Math.log2(p),
    "KL (bits)":
      other && divergence(softmax(logits(trace, position)), softmax(logits(other, Number(row["other position"])))),
  };
}

function nextTokenRow(
  row: Readonly<Record<string, string>>,
  { traces: [trace], token }: Known,
  _: string,
  i: number,
): Expected {
  const all = softmax(logits(trace, token));
  const ids = [...all.keys()].sort((a, b) => (all[b] as number) - (all[a] as number));
  const probability = all[ids[i] as number];
  if (row.id === "") return {};
  // Without changed settings, no filter applies.
  return { rank: i + 1, id: ids[i], probability, "drawn with": probability };
}

function stepRow(_row: Readonly<Record<string, string>>, { generation }: Known, _title: string, i: number): Expected {
  const step = generation.steps[i];
  if (!step) return {};
  return {
    id: step.id,
    probability: step.probability,
    "entropy (bits)": step.entropyBits,
    "kept tokens": step.kept.tokens,
    "kept mass": step.kept.mass,
    "drawn with": step.drawnWith,
    ...numbered(
      10,
      (nth) => step.top[nth]?.id,
      (nth) => step.top[nth]?.probability,
    ),
  };
}

function valueRow(row: Readonly<Record<string, string>>, { traces: [{ tensors }] }: Known): Expected {
  return { shape: shapeIn(tensors, row.value ?? "") };
}

/** The shape as views write it. They have only the logits of the last token. */
function shapeIn(tensors: TraceReport["tensors"], name: string): string | undefined {
  const shape = tensors.get(name)?.shape;
  return shape && `[${(name === "logits" ? [1, 1, shape.at(-1)] : shape).join(", ")}]`;
}

function moduleRow(
  { kind, name = "" }: Readonly<Record<string, string>>,
  { modules, traces: [{ tensors }] }: Known,
): Expected {
  const share = (parameters: number) => parameters / modules.parameters;
  if (kind === "value") return { shape: shapeIn(tensors, name) };
  if (kind === "module") {
    const path = name === "" ? [] : name.split(".");
    const module = path.reduce<Module | undefined>(
      (of, part) => of?.children.find((each) => each.name === part),
      modules,
    );
    return module ? { parameters: module.parameters, share: share(module.parameters), bytes: module.bytes } : {};
  }
  const weight = weightsOf(modules).find((each) => each.name === name);
  if (!weight) return {};
  const parameters = weight.shape.reduce((product, size) => product * size, 1);
  return { shape: `[${weight.shape.join(", ")}]`, parameters, share: share(parameters), bytes: weight.bytes };
}

const weightsOf = ({ tensors, children }: Module): Module["tensors"] => [...tensors, ...children.flatMap(weightsOf)];

function attributionRow(row: Readonly<Record<string, string>>, { traces }: Known): Expected {
  const named = Object.keys(row).slice(4);
  const written = (value: number | null) => String(value ?? "");
  return Object.fromEntries(
    named.map((column, i) => {
      const part = traces[i]?.attribution.parts.find(
        ({ kind, layer, head }) => kind === row.kind && written(layer) === row.layer && written(head) === row.head,
      );
      return [column, part?.value];
    }),
  );
}

/** An element of a row-major tensor, for batch index 0. */
const at = ({ shape, data }: Tensor, index: readonly number[]): number =>
  data[index.reduce((sum, i, axis) => sum * (shape[axis + 1] as number) + i, 0)] as number;

/** The vector of a token in a value. */
function vector({ tensors }: TraceReport, name: string, token: number): number[] {
  const { shape, data } = tensors.get(name) as Tensor;
  const width = shape.at(-1) as number;
  return Array.from(data.subarray(token * width, (token + 1) * width));
}

const logits = (trace: TraceReport, token: number): number[] => vector(trace, "logits", token);
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const norm = (a: readonly number[]): number => Math.sqrt(dot(a, a));
const cosine = (a: readonly number[], b: readonly number[]): number => dot(a, b) / (norm(a) * norm(b));
const divergence = (p: readonly number[], q: readonly number[]): number =>
  p.reduce((sum, x, i) => sum + (x > 0 ? x * Math.log2(x / (q[i] as number)) : 0), 0);

function softmax(x: readonly number[]): number[] {
  const most = Math.max(...x);
  const weights = x.map((each) => Math.exp(each - most));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

/** True if a cell has the expected value; a number is compared to its displayed precision of at most six digits. */
export function agrees({ shown, expected }: Cell): boolean {
  if (typeof expected === "string") return shown === expected;
  if (shown === "" || !Number.isFinite(expected)) return false;
  if (Number.isInteger(expected) && !shown.includes(".")) return Number(shown) === expected;
  // Allows one unit of the last digit, and the precision of float32 near 0, because the order of sums may differ.
  return Math.abs(Number(shown) - expected) <= Math.max(1e-7, 1e-5 * Math.abs(expected));
}
