/** Tokens with the most similar vectors; in a translator, of the vector's own stack. */

import type { Neighbors, NeighborsOptions, StackName } from "../api/trace";
import { EngineError } from "../errors";
import { ENCODER, hasHeadRows } from "../nn/params";
import { stackNamed } from "./interventions";
import type { WithSignal } from "./lens";
import type { Trace } from "./trace";
import { type AnyWeights, matrixShape, readRows, type StoredWeight, weightRows } from "./weightRows";

type Neighbor = Omit<Neighbors["nearest"][number], "token">;

/** The nearest tokens by cosine, the nearest first, without the token itself. */
export async function neighborsOf(
  model: AnyWeights,
  trace: Trace,
  { of, among, count, signal }: NeighborsOptions & WithSignal,
): Promise<Neighbor[]> {
  const table = vocabularyTable(model, among, comparedStack(of));
  const vector =
    of.kind === "token" ? await tableRow(table, of.id) : vectorIn(trace, of.name, of.position, table.width);
  const cosines = await cosinesTo(vector, table, signal);
  if (of.kind === "token") cosines[of.id] = -Infinity;
  const ids = Array.from(cosines, (_, id) => id).filter((id) => (cosines[id] as number) >= -1.001);
  ids.sort((a, b) => (cosines[b] as number) - (cosines[a] as number) || a - b);
  return ids.slice(0, count).map((id) => ({ id, cosine: cosines[id] as number }));
}

/** The stack with whose vocabulary a token or a value is compared. */
export const comparedStack = (of: NeighborsOptions["of"]): StackName =>
  of.kind === "value" ? stackOfValue(of.name) : (of.stack ?? "decoder");

export const stackOfValue = (name: string): StackName => (name.startsWith(ENCODER) ? "encoder" : "decoder");

/** One vector per token: the rows or the columns of a stored matrix. */
interface VocabularyTable {
  readonly weight: StoredWeight;
  readonly tokens: number;
  readonly width: number;
  readonly byColumn: boolean;
}

export function vocabularyTable(
  model: AnyWeights,
  among: NeighborsOptions["among"],
  stack?: StackName,
): VocabularyTable {
  const { prefix, cfg } = stackNamed(stack, model.cfg);
  if (among === "head" && stack === "encoder") {
    throw new EngineError("config", "An encoder has no head. Choose the input embeddings.");
  }
  const isHead = among === "head" && !cfg.tiedHead;
  const weight = model.weights.get(`${prefix}${isHead ? "head" : "embed.tokens"}.weight`) as StoredWeight;
  // A quantized matrix is [out, in] in every layout.
  const byColumn = !hasHeadRows(cfg) && isHead && !("bits" in weight);
  return { weight, tokens: cfg.vocabSize, width: cfg.dEmbed, byColumn };
}

export async function tableRow(
  { weight, tokens, width, byColumn }: VocabularyTable,
  id: number,
): Promise<Float32Array> {
  if (!(id >= 0 && id < tokens)) {
    throw new EngineError("notFound", `There is no token ${id}. This model has ids 0 to ${tokens - 1}.`);
  }
  if (!byColumn) return readRows(weight, id, id + 1);
  const column = new Float32Array(width);
  for await (const { from, count, values } of weightRows(weight)) {
    for (let r = 0; r < count; r++) column[from + r] = values[r * tokens + id] as number;
  }
  return column;
}

function vectorIn(trace: Trace, name: string, position: number, width: number): Float32Array {
  const value = trace.get(name);
  const [, T, D] = value?.shape ?? [];
  if (value?.shape.length !== 3 || D !== width) {
    throw new EngineError(
      "config",
      `${name} has no vectors with ${width} numbers, the width of a token embedding in this model. Choose a value of the residual stream.`,
    );
  }
  if (!(position >= 0 && position < (T as number))) throw new Error(`neighbors: there is no position ${position}`);
  return value.data.subarray(position * width, (position + 1) * width);
}

async function cosinesTo(vector: Float32Array, table: VocabularyTable, signal?: AbortSignal): Promise<Float64Array> {
  const { weight, tokens, byColumn } = table;
  const [dots, squares] = [new Float64Array(tokens), new Float64Array(tokens)];
  const [, width] = matrixShape(weight);
  for await (const { from, count, values } of weightRows(weight, signal)) {
    for (let r = 0; r < count; r++) {
      if (byColumn) addRow(values.subarray(r * width, (r + 1) * width), vector[from + r] as number, dots, squares);
      else {
        let [dot, square] = [0, 0];
        for (let i = 0, at = r * width; i < width; i++, at++) {
          const x = values[at] as number;
          dot += x * (vector[i] as number);
          square += x * x;
        }
        dots[from + r] = dot;
        squares[from + r] = square;
      }
    }
  }
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  // A zero vector, as padding may have, has no direction.
  return dots.map((dot, id) =>
    squares[id] === 0 || length === 0 ? 0 : dot / (Math.sqrt(squares[id] as number) * length),
  );
}

/** Adds one component of every token's vector. */
function addRow(row: Float32Array, factor: number, dots: Float64Array, squares: Float64Array): void {
  for (let id = 0; id < row.length; id++) {
    const x = row[id] as number;
    dots[id] = (dots[id] as number) + x * factor;
    squares[id] = (squares[id] as number) + x * x;
  }
}
