/** A model's parameters for export, read in pieces, so that no tensor has to fit into memory. */

import { EngineError } from "../errors";
import type { QuantizedTensor } from "../graph/node";
import { type Shape, sizeOf } from "../graph/shape";
import type { DecoderConfig } from "../nn/config";
import type { ParamSpec } from "../nn/params";
import { type Bits, quantizeMatrix, readStored, readStoredBytes, type StoredTensor } from "../weights";
import { BLOCK, blockFor, minsOf, readQuantized, scalesOf } from "../weights/quantize";
import { rowsOf } from "../weights/stored";

type Bytes = Uint8Array<ArrayBuffer>;
type Floats = Float32Array<ArrayBuffer>;

/** A tensor to write; `pieces` yields its bytes in C order. */
export interface Outgoing {
  readonly name: string;
  readonly dtype: "F32" | "U8";
  readonly shape: Shape;
  readonly pieces: () => AsyncIterable<Bytes>;
}

export const bytesOf = ({ dtype, shape }: Pick<Outgoing, "dtype" | "shape">): number =>
  sizeOf(shape) * (dtype === "F32" ? 4 : 1);

/** A tensor of numbers in memory. */
export const fromMemory = (name: string, shape: Shape, values: Floats): Outgoing => ({
  name,
  dtype: "F32",
  shape,
  async *pieces() {
    yield bytesIn(values);
  },
});

/** A parameter in float32, in its model's layout. */
export const asFloats = (
  name: string,
  { shape, role }: ParamSpec,
  source: StoredTensor | QuantizedTensor,
  cfg: DecoderConfig,
): Outgoing => ({
  name,
  dtype: "F32",
  shape,
  async *pieces() {
    if (!("bits" in source)) yield* storedPieces(source);
    else if (isTransposed(role, cfg)) yield bytesIn(await readWhole({ role }, source, cfg));
    else for await (const piece of matrixPieces(source)) yield bytesIn(piece.values);
  },
});

/**
 * A matrix quantized in blocks, as MatMulNBits reads it: codes [out, blocks, bytes per block] and their scales, which are
 * known once the codes have been written. Minimums are copied from the source.
 */
export function asBlocks(
  name: string,
  { shape, role }: ParamSpec,
  source: StoredTensor | QuantizedTensor,
  bits: Bits,
  cfg: DecoderConfig,
): { readonly codes: Outgoing; readonly scales: Outgoing; readonly mins?: Outgoing } {
  const transposes = isTransposed(role, cfg);
  const [rows, width] = (transposes ? [...shape].reverse() : shape) as [number, number];
  const hasCodes = "bits" in source && source.bits === bits;
  const blocks = hasCodes ? (source.scales.shape[1] as number) : width / blockFor(bits, width);
  const scales = new Float32Array(rows * blocks);
  async function* codes() {
    if (hasCodes) {
      scales.set(await readStored(source.scales));
      for (const [from, to] of rowRanges(rows, source.weight.length))
        yield readStoredBytes(rowsOf(source.weight, from, to));
      return;
    }
    const isWhole = transposes && !("bits" in source);
    const pieces = isWhole ? [{ values: await readStored(source), from: 0, rows }] : matrixPieces(source);
    for await (const { values, from, rows: count } of pieces) {
      requireNumbers(values, name);
      const quantized = quantizeMatrix(values, [count, width], bits, isWhole);
      scales.set(quantized.scales, from * blocks);
      yield quantized.codes;
    }
  }
  const mins = hasCodes ? source.mins : undefined;
  return {
    codes: { name, dtype: "U8", shape: [rows, blocks, ((width / blocks) * bits) / 8], pieces: codes },
    scales: fromMemory(scalesOf(name), [rows, blocks], scales),
    ...(mins && { mins: { name: minsOf(name), dtype: "F32", shape: mins.shape, pieces: () => storedPieces(mins) } }),
  };
}

function requireNumbers(values: Floats, name: string): void {
  if (values.every(Number.isFinite)) return;
  throw new EngineError(
    "weights",
    `The tensor ${name} has values that are not numbers, so it cannot be quantized. Download the model again.`,
  );
}

/** Reads all values of a parameter, in its model's layout. */
export async function readWhole(
  { role }: Pick<ParamSpec, "role">,
  source: StoredTensor | QuantizedTensor,
  cfg: DecoderConfig,
): Promise<Floats> {
  if (!("bits" in source)) return readStored(source);
  const values = await readQuantized(source);
  return isTransposed(role, cfg) ? transposed(values, source.weight.shape[0] as number) : values;
}

/** Returns whether a parameter can be quantized: a matrix or the token table, with rows of whole blocks. */
export function hasBlocks({ name, role, shape }: ParamSpec, cfg: DecoderConfig): boolean {
  const isMatrix =
    role === "matrix" || role === "residualMatrix" || name === "embed.tokens.weight" || name === "head.weight";
  const width = isTransposed(role, cfg) ? shape[0] : shape[1];
  return isMatrix && (width as number) % BLOCK === 0;
}

/** Returns whether a matrix is stored [in, out]; quantized matrices are always [out, in]. */
const isTransposed = (role: ParamSpec["role"], { weightLayout }: DecoderConfig) =>
  weightLayout === "inOut" && (role === "matrix" || role === "residualMatrix");

async function* storedPieces(tensor: StoredTensor): AsyncGenerator<Bytes> {
  const [rows] = tensor.shape;
  if (rows === undefined || tensor.strides) yield bytesIn(await readStored(tensor));
  else
    for (const [from, to] of rowRanges(rows, tensor.length)) yield bytesIn(await readStored(rowsOf(tensor, from, to)));
}

interface MatrixPiece {
  readonly values: Floats;
  readonly from: number;
  readonly rows: number;
}

/** Yields a matrix in pieces of rows. */
async function* matrixPieces(source: StoredTensor | QuantizedTensor): AsyncGenerator<MatrixPiece> {
  const stored = "bits" in source ? source.weight : source;
  const rows = stored.shape[0] as number;
  if (stored.strides) {
    yield { values: await readStored(stored), from: 0, rows };
    return;
  }
  for (const [from, to] of rowRanges(rows, stored.length)) {
    const values =
      "bits" in source ? await readQuantized(source, from, to) : await readStored(rowsOf(source, from, to));
    yield { values, from, rows: to - from };
  }
}

/** Transposes [rows, columns] to [columns, rows]. */
export function transposed(values: Float32Array, rows: number): Floats {
  const columns = values.length / rows;
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = values[row * columns + column] as number;
  }
  return result;
}

/** Size of a piece in stored bytes. */
const PIECE_BYTES = 2 ** 22;

function* rowRanges(rows: number, bytes: number): Generator<readonly [from: number, to: number]> {
  const most = Math.max(1, Math.floor(PIECE_BYTES / Math.max(1, bytes / rows)));
  for (let from = 0; from < rows; from += most) yield [from, Math.min(rows, from + most)];
}

const bytesIn = (values: Floats): Bytes => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
