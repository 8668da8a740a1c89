/**
 * Weights quantized to 8 or 4 bits, in the layout of onnxruntime's MatMulNBits and GatherBlockQuantized.
 *
 * A matrix X of N rows (outputs) with K values is split into blocks of S values along K, each with its own scale:
 * value = scale * (code - 128) for 8 bits, scale * (code - 8) for 4 bits. In model.safetensors it is stored as two tensors,
 * `X` (U8, [N, K/S, bytes per block]) and `X.scales` (F32, [N, K/S]). With 4 bits, byte i of a block has value 2i in its low
 * half and value 2i + 1 in its high half.
 *
 * Matrices from GGUF may have a third tensor, `X.mins` (F32, [N, K/S]): value = scale * (code - first) + min, with the
 * first code of `firstCode`.
 */

import { join } from "node:path";
import type { PerplexityCost } from "../api/model";
import { EngineError } from "../errors";
import { cooperate } from "../tokenizers/cooperate";
import { readJson } from "./checkpoint";
import { makeFolder, writeFileWhole } from "./files";
import { isObject, quoted } from "./reading";
import { type TensorToWrite, type WritePart, writeSafetensorsInParts } from "./safetensors";
import {
  holdsWeights,
  openStored,
  readOrderedBytes,
  readStored,
  readStoredBytes,
  rowsOf,
  type StoredTensor,
  type StoredTensors,
} from "./stored";

export type Bits = 8 | 4;

/** Values in a block, the same as in most types of GGUF. */
export const BLOCK = 32;
/** Two types of GGUF have smaller blocks. */
const SMALL_BLOCK = 16;
/** Makes 8-bit products 25 % faster: see docs/decisions/2026-11-21-decoding.md. */
const LARGE_BLOCK = 128;

/** Block size for a matrix with rows of `width` values. */
export const blockFor = (bits: Bits, width: number) => (bits === 8 && width % LARGE_BLOCK === 0 ? LARGE_BLOCK : BLOCK);

export const blockBytes = (bits: Bits, block = BLOCK) => (block * bits) / 8;
export const scalesOf = (name: string) => `${name}.scales`;
export const minsOf = (name: string) => `${name}.mins`;
/** Tensors that may be stored beside a quantized matrix. */
export const companionsOf = (name: string) => [scalesOf(name), minsOf(name)];

/**
 * The code that is subtracted from others. With minimums, it is the smallest: 8 bits contain values of 5 bits, and 4 bits
 * contain values of 2 bits in small blocks. They are around the middle, where products with rounded operands are best.
 */
export function firstCode(bits: Bits, block: number, hasMins: boolean): number {
  if (!hasMins) return middleCode(bits);
  if (bits === 8) return 112;
  return block === SMALL_BLOCK ? 6 : 0;
}

/** The code in the middle, which the products of onnxruntime subtract. */
export const middleCode = (bits: Bits) => (bits === 8 ? 128 : 8);

/** Bits and block size of a stored matrix with `size` values, from the shapes of its codes and scales. */
export function storedLayout(codes: readonly number[], scales: readonly number[], size: number) {
  const width = size / (codes[0] as number);
  const block = [LARGE_BLOCK, SMALL_BLOCK].find((values) => scales[1] === width / values) ?? BLOCK;
  const bits: Bits = codes[2] === blockBytes(8, block) ? 8 : 4;
  return { bits, block };
}

/** The entry in config.json of a model with quantized weights. */
export const quantizationConfig = (bits: Bits) => ({ quant_method: "decoder_lab", bits });

export interface Quantized {
  /** [N, K/S, bytes per block] */
  readonly codes: Uint8Array<ArrayBuffer>;
  /** [N, K/S] */
  readonly scales: Float32Array<ArrayBuffer>;
  /** [N, K/S] */
  readonly mins?: Float32Array<ArrayBuffer>;
}

/** The tensors of a quantized matrix. */
export interface QuantizedTensors {
  readonly weight: StoredTensor;
  readonly scales: StoredTensor;
  readonly mins?: StoredTensor | undefined;
  readonly bits: Bits;
}

/** Reads the values of a quantized matrix, or of its rows `[from, to)`. */
export async function readQuantized(
  { weight, scales, mins, bits }: QuantizedTensors,
  from = 0,
  to = weight.shape[0] as number,
): Promise<Float32Array<ArrayBuffer>> {
  const rows = (tensor: StoredTensor) => rowsOf(tensor, from, to);
  const quantized = {
    codes: await readStoredBytes(rows(weight)),
    scales: await readStored(rows(scales)),
    ...(mins && { mins: await readStored(rows(mins)) }),
  };
  return dequantize(quantized, bits);
}

/** Quantizes rows of K values, or columns if `transpose` is set: `values` is then [K, N]. */
export function quantizeMatrix(
  values: Float32Array,
  [rows, width]: readonly [number, number],
  bits: Bits,
  transpose = false,
): Quantized {
  if (width % BLOCK !== 0) throw new Error(`quantizeMatrix: rows of ${width} values are not whole blocks of ${BLOCK}`);
  const block = blockFor(bits, width);
  const codes = new Uint8Array((rows * width * bits) / 8);
  const scales = new Float32Array((rows * width) / block);
  const encode = bits === 8 ? encode8 : encode4;
  eachBlock([rows, width / block, block], transpose, (at, from, step) => {
    scales[at] = encode(values, from, step, block, codes, at * blockBytes(bits, block));
  });
  return { codes, scales };
}

/** Visits every block with its number, the index of its first value, and the distance between its values. */
function eachBlock(
  [rows, blocks, block]: readonly [number, number, number],
  transpose: boolean,
  visit: (at: number, from: number, step: number) => void,
): void {
  if (!transpose) {
    for (let at = 0; at < rows * blocks; at++) visit(at, at * block, 1);
    return;
  }
  // The inner loop is over rows, because they are adjacent in memory when transposed.
  for (let b = 0; b < blocks; b++) for (let n = 0; n < rows; n++) visit(n * blocks + b, n + b * block * rows, rows);
}

/** Encodes the block of values at `from`, `from + step`, …; returns its scale. The largest value becomes ±127. */
function encode8(
  values: Float32Array,
  from: number,
  step: number,
  block: number,
  codes: Uint8Array,
  at: number,
): number {
  let most = 0;
  for (let i = 0, j = from; i < block; i++, j += step) {
    const x = Math.abs(values[j] as number);
    if (x > most) most = x;
  }
  const scale = Math.fround(most / 127);
  const inverse = scale > 0 ? 1 / scale : 0;
  // Adding the offset first makes the value positive, so that truncation rounds to nearest.
  for (let i = 0, j = from; i < block; i++, j += step) codes[at + i] = ((values[j] as number) * inverse + 128.5) | 0;
  return scale;
}

/** The value of largest magnitude becomes -8: the scale may be negative, so that all 16 codes are used. */
function encode4(
  values: Float32Array,
  from: number,
  step: number,
  block: number,
  codes: Uint8Array,
  at: number,
): number {
  let most = 0;
  let extreme = 0;
  for (let i = 0, j = from; i < block; i++, j += step) {
    const x = values[j] as number;
    if (Math.abs(x) > most) {
      most = Math.abs(x);
      extreme = x;
    }
  }
  const scale = Math.fround(extreme / -8);
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0, j = from; i < block / 2; i++, j += 2 * step) {
    const low = ((values[j] as number) * inverse + 8.5) | 0;
    const high = ((values[j + step] as number) * inverse + 8.5) | 0;
    codes[at + i] = (low > 15 ? 15 : low) | ((high > 15 ? 15 : high) << 4);
  }
  return scale;
}

/** Returns the decoded values, row by row. */
export function dequantize(quantized: Quantized, bits: Bits): Float32Array<ArrayBuffer> {
  const decode = bits === 8 ? decode8 : decode4;
  const { codes, scales } = quantized;
  const values = new Float32Array((codes.length * 8) / bits);
  const block = values.length / scales.length;
  for (let at = 0; at < scales.length; at++) decode(quantized, at, values.subarray(at * block, (at + 1) * block));
  return values;
}

function decode8({ codes, scales, mins }: Quantized, at: number, into: Float32Array): void {
  const scale = scales[at] as number;
  const from = at * into.length;
  const first = firstCode(8, into.length, mins !== undefined);
  for (let i = 0; i < into.length; i++) into[i] = scale * ((codes[from + i] as number) - first);
  addMin(mins, at, into);
}

function decode4({ codes, scales, mins }: Quantized, at: number, into: Float32Array): void {
  const scale = scales[at] as number;
  const from = (at * into.length) / 2;
  const first = firstCode(4, into.length, mins !== undefined);
  for (let i = 0; i < into.length / 2; i++) {
    const pair = codes[from + i] as number;
    into[2 * i] = scale * ((pair & 15) - first);
    into[2 * i + 1] = scale * ((pair >>> 4) - first);
  }
  addMin(mins, at, into);
}

/** The products were rounded to float32 before, as in the definition of GGUF's types. */
function addMin(mins: Float32Array | undefined, at: number, into: Float32Array): void {
  if (!mins) return;
  const min = mins[at] as number;
  for (let i = 0; i < into.length; i++) into[i] = (into[i] as number) + min;
}

/** Accumulates the relative error of a tensor that is processed in parts. */
class ErrorSums {
  private difference = 0;
  private size = 0;

  add(values: Float32Array, [rows]: readonly [number, number], q: Quantized, bits: Bits, transpose: boolean): void {
    const decode = bits === 8 ? decode8 : decode4;
    const block = new Float32Array(values.length / q.scales.length);
    eachBlock([rows, q.scales.length / rows, block.length], transpose, (at, from, step) => {
      decode(q, at, block);
      let difference = 0;
      let size = 0;
      for (let i = 0, j = from; i < block.length; i++, j += step) {
        const x = values[j] as number;
        const d = x - (block[i] as number);
        difference += d * d;
        size += x * x;
      }
      this.difference += difference;
      this.size += size;
    });
  }

  /** Root mean square of the difference divided by that of the values. NaN if a value is not finite. */
  relative(): number {
    return this.size === 0 ? 0 : Math.sqrt(this.difference / this.size);
  }
}

/** Relative quantization error: root mean square of the difference divided by that of the values. */
export function relativeError(
  values: Float32Array,
  shape: readonly [number, number],
  quantized: Quantized,
  bits: Bits,
  transpose = false,
): number {
  const sums = new ErrorSums();
  sums.add(values, shape, quantized, bits, transpose);
  return sums.relative();
}

/** Selects the tensors to quantize. `transpose` means that the stored matrix is [K, N], inputs first. */
export type Choose = (name: string, shape: readonly number[]) => { readonly transpose: boolean } | boolean;

export interface QuantizeOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** The loss of accuracy due to quantization, as written to quantization.json. */
export interface QuantizationReport {
  readonly bits: Bits;
  /** Quantized tensors by name. */
  readonly tensors: Readonly<
    Record<string, { readonly shape: readonly [number, number]; readonly relativeError: number }>
  >;
  /** On a sample text. Missing if the model has no tokenizer for it. */
  readonly perplexity?: PerplexityCost;
}

export const QUANTIZATION_FILE = "quantization.json";

/**
 * Writes model.safetensors, config.json and quantization.json into `outDir` with the chosen matrices quantized. Copies
 * matrices whose rows are not whole blocks, and all other tensors. Holds a few million values in memory at a time, or the
 * largest matrix that needs transposing.
 */
export async function quantizeFolder(
  dir: string,
  outDir: string,
  bits: Bits,
  choose: Choose,
  { signal, onProgress }: QuantizeOptions = {},
): Promise<QuantizationReport> {
  const config = await readJson(join(dir, "config.json"));
  if (!isObject(config)) {
    throw new EngineError("config", `${join(dir, "config.json")} is not a JSON object. Choose a model folder.`);
  }
  const stored = await openStored(dir);
  const plans = [...stored.values()].map((tensor) => planOf(tensor, choose, stored));
  const total = plans.reduce((sum, { tensor }) => sum + tensor.length, 0);
  const tensors: Record<string, QuantizationReport["tensors"][string]> = {};
  const pause = cooperate(signal);

  await makeFolder(outDir);
  await writeSafetensorsInParts(
    join(outDir, "model.safetensors"),
    new Map(plans.flatMap((plan) => outputTensors(plan, bits))),
    async (write) => {
      let done = 0;
      const step = async (bytes: number) => {
        done += bytes;
        onProgress?.(done / total);
        await pause();
      };
      for (const { tensor, matrix } of plans) {
        if (!matrix) await copy(tensor, write, step);
        else
          tensors[tensor.name] = {
            shape: matrix.shape,
            relativeError: await encode(tensor, matrix, bits, write, step),
          };
      }
    },
    { format: "pt" },
  );
  const report = { bits, tensors };
  const quantized = { ...config, quantization_config: quantizationConfig(bits) };
  await writeFileWhole(join(outDir, QUANTIZATION_FILE), `${JSON.stringify(report, null, 2)}\n`);
  await writeFileWhole(join(outDir, "config.json"), `${JSON.stringify(quantized, null, 2)}\n`);
  return report;
}

interface Matrix {
  /** [N, K]; stored as [K, N] if `transpose` is set. */
  readonly shape: readonly [number, number];
  readonly transpose: boolean;
}

interface Plan {
  readonly tensor: StoredTensor;
  /** Null if the tensor is copied. */
  readonly matrix: Matrix | null;
}

function planOf(tensor: StoredTensor, choose: Choose, stored: StoredTensors): Plan {
  const chosen = choose(tensor.name, tensor.shape);
  const [a, b] = tensor.shape;
  if (!chosen || a === undefined || b === undefined || tensor.shape.length !== 2) return { tensor, matrix: null };
  if (!holdsWeights(tensor) || stored.has(scalesOf(tensor.name))) {
    throw new EngineError(
      "weights",
      `${tensor.file}: the tensor ${quoted(tensor.name)} of type ${tensor.dtype} is already quantized or not a weight. Use the model in float32, float16 or bfloat16.`,
    );
  }
  const transpose = chosen !== true && chosen.transpose;
  const shape = transpose ? ([b, a] as const) : ([a, b] as const);
  return { tensor, matrix: shape[1] % BLOCK === 0 ? { shape, transpose } : null };
}

/** Tensors of the new file that replace one of the old file. */
function outputTensors({ tensor, matrix }: Plan, bits: Bits): [string, Pick<TensorToWrite, "dtype" | "shape">][] {
  if (!matrix) return [[tensor.name, tensor]];
  const [rows, width] = matrix.shape;
  const block = blockFor(bits, width);
  return [
    [tensor.name, { dtype: "U8", shape: [rows, width / block, blockBytes(bits, block)] }],
    [scalesOf(tensor.name), { dtype: "F32", shape: [rows, width / block] }],
  ];
}

/** A compromise between memory and speed. */
const PIECE_VALUES = 2 ** 22;

/** Splits a tensor into ranges of rows. */
function* rowPieces(tensor: StoredTensor): Generator<readonly [from: number, to: number]> {
  const [rows = 1, ...rest] = tensor.shape;
  const width = rest.reduce((a, b) => a * b, 1);
  const most = Math.max(1, Math.floor(PIECE_VALUES / Math.max(1, width)));
  for (let from = 0; from < rows; from += most) yield [from, Math.min(rows, from + most)];
}

type Step = (bytes: number) => Promise<void>;

async function copy(tensor: StoredTensor, write: WritePart, step: Step): Promise<void> {
  if (tensor.strides || tensor.shape.length === 0) {
    await write(tensor.name, 0, await readOrderedBytes(tensor));
    return step(tensor.length);
  }
  for (const [from, to] of rowPieces(tensor)) {
    const rows = rowsOf(tensor, from, to);
    await write(tensor.name, rows.offset - tensor.offset, await readOrderedBytes(rows));
    await step(rows.length);
  }
}

/** Quantizes and writes a matrix. Returns its relative error. */
async function encode(
  tensor: StoredTensor,
  { shape: [rows, width], transpose }: Matrix,
  bits: Bits,
  write: WritePart,
  step: Step,
): Promise<number> {
  const sums = new ErrorSums();
  const block = blockFor(bits, width);
  const isWhole = transpose || tensor.strides !== undefined;
  for (const [from, to] of isWhole ? [[0, rows] as const] : rowPieces(tensor)) {
    const piece = isWhole ? tensor : rowsOf(tensor, from, to);
    const shape = [to - from, width] as const;
    const values = await readStored(piece);
    const quantized = quantizeMatrix(values, shape, bits, transpose);
    sums.add(values, shape, quantized, bits, transpose);
    await write(tensor.name, (from * width * bits) / 8, quantized.codes);
    await write(scalesOf(tensor.name), (4 * from * width) / block, new Uint8Array(quantized.scales.buffer));
    await step(piece.length);
  }
  const error = sums.relative();
  if (!Number.isFinite(error)) {
    throw new EngineError(
      "weights",
      `${tensor.file}: the tensor ${quoted(tensor.name)} contains NaN or infinite values, which cannot be quantized. Download the model again.`,
    );
  }
  return error;
}
