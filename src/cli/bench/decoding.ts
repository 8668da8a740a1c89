/**
 * Measures how fast pretrained models load, read a prompt and generate: Decoder Lab in three precisions and optionally
 * PyTorch, llama.cpp and transformers.js with the same weights. They take turns for several rounds, each in its own
 * process, and the best results are compared, because shared machines have slow phases.
 */

import { join } from "node:path";
import type { QuantizedTensor } from "../../engine/graph/node";
import { bytesOf, openWeights } from "../../engine/models/folder";
import type { DecoderConfig } from "../../engine/nn/config";
import { paramSpecs } from "../../engine/nn/params";
import type { StoredTensor } from "../../engine/weights";
import { withTemporaryFolder } from "../temporaryFolder";
import { Machine } from "./machine";
import type { Decoded, Job, Traced, TraceJob } from "./measure";
import { importQuantized, type Precision, type ShapeName, writeRandomModel } from "./models";
import { CACHE } from "./programs";
import { others, oursIn, PRECISIONS, type Side } from "./sides";
import { type Figure, printFigure, row, shown } from "./table";

export interface DecodingOptions {
  readonly works: readonly ("G1" | "A1")[];
  readonly shape: ShapeName;
  /** Compare with other libraries. */
  readonly peers: boolean;
  readonly rounds: number;
  readonly json: boolean;
}

const PROMPT = 128;
const NEW_TOKENS = 64;
const TRACED = 64;
/** Repetitions within a process. */
const REPEATS = 3;

export async function benchDecoding({ works, shape, peers, rounds, json }: DecodingOptions): Promise<void> {
  const log = (line: string) => console.error(line);
  await withTemporaryFolder(CACHE, "bench", async (dir) => {
    log("Creating models with random weights …");
    const folder = (precision: Precision) => join(dir, precision);
    await writeRandomModel(folder("f32"), shape, "F32");
    if (works.includes("G1"))
      for (const precision of ["8-bit", "4-bit"] as const)
        await importQuantized(folder("f32"), folder(precision), precision);
    const sides = [oursIn(folder), ...(peers ? await others(dir, folder, log) : [])];
    const machine = new Machine();
    const { cfg } = await openWeights(folder("f32"));
    const turns = { rounds, machine, log };
    const decoded = works.includes("G1") ? await decodeAll(sides, cfg, turns) : [];
    const traced = works.includes("A1") ? await traceAll(sides, folder("f32"), cfg, turns) : [];
    const limits = await limitsOf(folder, works.includes("G1") ? PRECISIONS : [], cfg, machine);
    const figures = [...decoded.flatMap(decodeFigures), ...traced.flatMap(traceFigures)];
    if (json) {
      if (works.includes("G1")) printFigure(bandwidthFigure(machine.reads));
      for (const figure of [...figures, ...shares(figures, limits)])
        printFigure({ ...figure, variant: variantOf(figure) });
    } else
      printTable(
        figures,
        limits,
        machine,
        sides.map(({ name }) => name),
      );
    for (const line of notes(decoded, traced)) log(line);
  });
}

/** The measurements of one side in one precision, one per process. */
interface Result<T> {
  readonly side: string;
  readonly precision: Precision;
  readonly runs: T[];
}

interface Turns {
  readonly rounds: number;
  readonly machine: Machine;
  readonly log: (line: string) => void;
}

/** One measurement that takes turns with others. */
interface Contestant<T> {
  readonly result: Result<T>;
  readonly run: () => Promise<T>;
}

async function decodeAll(sides: readonly Side[], cfg: DecoderConfig, turns: Turns): Promise<Result<Decoded>[]> {
  const contestants: Contestant<Decoded>[] = [];
  const prompt = promptOf(PROMPT, cfg);
  for (const precision of PRECISIONS) {
    for (const side of sides.filter(({ precisions }) => precisions.includes(precision))) {
      const prepared = await side.prepare(precision);
      const job: Job = { kind: "decode", ...prepared, prompt, newTokens: NEW_TOKENS, repeats: REPEATS };
      const result = { side: side.name, precision, runs: [] };
      const run = async () => {
        // Measured each time, because the available bandwidth changes by the second on shared machines.
        await turns.machine.measureReads();
        return side.measure<Decoded>(job);
      };
      contestants.push({ result, run });
    }
  }
  return takeTurns("G1", contestants, turns);
}

async function traceAll(
  sides: readonly Side[],
  path: string,
  cfg: DecoderConfig,
  turns: Turns,
): Promise<Result<Traced>[]> {
  const job: TraceJob = { kind: "trace", path, prompt: promptOf(TRACED, cfg), repeats: 3 * REPEATS };
  const contestants = sides
    .filter(({ traces }) => traces)
    .map((side): Contestant<Traced> => {
      const result: Result<Traced> = { side: side.name, precision: "f32", runs: [] };
      return { result, run: () => side.measure<Traced>(job) };
    });
  return takeTurns("A1", contestants, turns);
}

/** Measures in turns. A failure of another library drops it; a failure of Decoder Lab is an error. */
async function takeTurns<T>(
  work: string,
  contestants: readonly Contestant<T>[],
  { rounds, machine, log }: Turns,
): Promise<Result<T>[]> {
  let left = contestants;
  for (let round = 1; round <= rounds; round++) {
    log(`${work}, round ${round} of ${rounds} …`);
    await machine.measureProducts();
    for (const contestant of left) {
      const { result, run } = contestant;
      try {
        result.runs.push(await run());
      } catch (error) {
        if (result.side === "ours") throw error;
        log(`${result.side} could not run ${work} in ${result.precision} and is skipped: ${String(error)}`);
        left = left.filter((other) => other !== contestant);
      }
    }
  }
  return left.map(({ result }) => result);
}

/** A prompt of tokens from the whole vocabulary. */
const promptOf = (length: number, { vocabSize }: DecoderConfig) =>
  Array.from({ length }, (_, i) => (i * 977) % vocabSize);

/** A figure of one side. */
interface SideFigure extends Figure {
  readonly side: string;
}

/** The variant in the JSON output; other libraries append their name. */
const variantOf = ({ side, variant }: SideFigure) => (side === "ours" ? variant : `${variant} ${side}`.trim());

function decodeFigures({ side, precision, runs }: Result<Decoded>): SideFigure[] {
  const figure = (metric: string, best: (...samples: number[]) => number, samples: readonly number[]) => ({
    work: "G1",
    variant: precision,
    side,
    metric,
    value: best(...samples),
    samples,
  });
  const memory = (of: "mapped" | "own") => runs.flatMap(({ memory }) => memory[of] ?? []);
  return [
    figure(
      "ttft ms",
      Math.min,
      runs.flatMap(({ ttftMs }) => ttftMs),
    ),
    figure(
      "decode tok/s",
      Math.max,
      runs.flatMap(({ tokensPerSecond }) => tokensPerSecond),
    ),
    figure(
      "load s",
      Math.min,
      runs.map(({ loadSeconds }) => loadSeconds),
    ),
    figure(
      "peak RSS MB",
      Math.min,
      runs.map(({ memory }) => memory.peak),
    ),
    figure("RSS of mapped files MB", Math.min, memory("mapped")),
    figure("RSS of its own MB", Math.min, memory("own")),
  ].filter(({ samples }) => samples.length > 0);
}

const traceFigures = ({ side, runs }: Result<Traced>): SideFigure[] => {
  const samples = runs.flatMap(({ ms }) => ms);
  return [{ work: "A1", variant: "", side, metric: "ms", value: Math.min(...samples), samples }];
};

const bandwidthFigure = (samples: readonly number[]): Figure => ({
  work: "machine",
  variant: "",
  metric: "memory read GB/s",
  value: Math.max(...samples) / 1e9,
  samples: samples.map((speed) => speed / 1e9),
});

/** The machine's limit for each figure, by `keyOf`. */
type Limits = ReadonlyMap<string, number>;

const keyOf = ({ work, variant, metric }: Pick<Figure, "work" | "variant" | "metric">) =>
  `${work}/${variant}/${metric}`;

/** Limits from the speed of matrix products (8-bit ones for 4 bits too), or from reading every weight once. */
async function limitsOf(
  folder: (precision: Precision) => string,
  precisions: readonly Precision[],
  cfg: DecoderConfig,
  { flops, int8, bytesPerSecond }: Machine,
): Promise<Limits> {
  const { dModel: D, dMlp: F, nLayers: L, vocabSize: V } = cfg;
  const pass = (T: number) => 2 * (T * L * (4 * D * D + 2 * D * F + T * D) + D * V);
  const limits = new Map([
    ["A1//ms", (1000 * pass(TRACED)) / flops],
    ["G1/f32/ttft ms", (1000 * pass(PROMPT)) / flops],
    ["G1/8-bit/ttft ms", (1000 * pass(PROMPT)) / int8],
    ["G1/4-bit/ttft ms", (1000 * pass(PROMPT)) / int8],
  ]);
  for (const precision of precisions) {
    const bytes = await bytesPerToken(folder(precision));
    limits.set(`G1/${precision}/decode tok/s`, bytesPerSecond / bytes);
    limits.set(`G1/${precision}/peak RSS MB`, bytes / 1e6);
  }
  return limits;
}

/** Bytes of the weights that every token reads: all except the position table. */
async function bytesPerToken(dir: string): Promise<number> {
  const { cfg, weights } = await openWeights(dir);
  return paramSpecs(cfg).reduce((sum, { name }) => {
    const isRead = name !== "embed.positions.weight";
    return isRead ? sum + bytesOf(weights.get(name) as StoredTensor | QuantizedTensor) : sum;
  }, 0);
}

/** The fraction of a limit that is reached, 0 to 1. */
const shareOf = ({ metric, value }: Figure, limit: number) => (metric.endsWith("/s") ? value / limit : limit / value);

/** The fraction of the memory bandwidth that Decoder Lab's decoding reaches. */
const shares = (figures: readonly SideFigure[], limits: Limits): SideFigure[] =>
  figures
    .filter(({ side, metric }) => side === "ours" && metric === "decode tok/s")
    .map((figure) => {
      const limit = limits.get(keyOf(figure)) as number;
      const samples = figure.samples.map((sample) => sample / limit);
      return { ...figure, metric: "share of memory bandwidth", value: figure.value / limit, samples };
    });

function printTable(
  figures: readonly SideFigure[],
  limits: Limits,
  { flops, int8, reads, bytesPerSecond }: Machine,
  sides: readonly string[],
): void {
  const read = reads.length > 0 ? `; memory reads: ${shown(bytesPerSecond / 1e9)} GB/s` : "";
  const products = `${shown(flops / 1e9)} GFLOP/s, in 8 bits ${shown(int8 / 1e9)} Gop/s`;
  console.log(`matrix products of this machine: ${products}${read}`);
  console.log(row(["GPT-2, random weights", ...sides, "limit", "of the limit"]));
  for (const own of figures.filter(({ side }) => side === "ours")) {
    const cells = sides.map((name) => {
      const figure = figures.find((other) => other.side === name && keyOf(other) === keyOf(own));
      return figure ? shown(figure.value) : "-";
    });
    const limit = limits.get(keyOf(own));
    const share = limit === undefined ? ["-", "-"] : [shown(limit), `${(100 * shareOf(own, limit)).toFixed(0)} %`];
    console.log(row([`${own.work} ${own.variant} ${own.metric}`.replace("  ", " "), ...cells, ...share]));
  }
}

/** Remarks that the figures do not include. */
function notes(decoded: readonly Result<Decoded>[], traced: readonly Result<Traced>[]): string[] {
  const lines = decoded.flatMap(({ side, precision, runs }) => {
    const ours = decoded.find((result) => result.side === "ours" && result.precision === precision)?.runs[0]?.ids ?? [];
    const other = ours.findIndex((id, i) => id !== runs[0]?.ids[i]);
    const same = other < 0 ? ours.length : other;
    return side === "ours" ? [] : [`${precision}: the first ${same} of ${ours.length} tokens of ${side} match.`];
  });
  const copied = traced.map(({ side, runs }) => `${side} ${shown(runs[0]?.megabytes ?? 0)} MB`);
  return copied.length > 0 ? [...lines, `A1 copied to the host: ${copied.join(", ")}.`] : lines;
}
