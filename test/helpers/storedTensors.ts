/** Tensors in files, as in model folders. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { QuantizedTensor } from "../../src/engine/graph/node";
import { type Shape, sizeOf } from "../../src/engine/graph/shape";
import { type Bits, blockBytes, quantizeMatrix } from "../../src/engine/weights/quantize";
import type { StoredTensor } from "../../src/engine/weights/stored";
import { normals } from "./gradcheck";

/** Creates a folder that is deleted after the test. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), "decoder-lab-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export type FloatType = "F32" | "F16" | "BF16";

/** Normally distributed values in a file, at an unaligned offset. */
export const storedNormals = (dtype: FloatType, shape: Shape, name = "w"): StoredTensor =>
  inFile(name, dtype, shape, encoded(dtype, normals(sizeOf(shape), "stored", name)));

/** Values in the bytes of a type; excess bits of the fraction are truncated. */
export function encoded(dtype: FloatType, values: Float32Array): Float32Array | Uint16Array {
  if (dtype === "F32") return values;
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  if (dtype === "BF16") return Uint16Array.from(bits, (x) => x >>> 16);
  // Sign, exponent minus 112, and the top ten bits of the fraction; zero if too small.
  return Uint16Array.from(bits, (x) => {
    const exponent = ((x >>> 23) & 255) - 112;
    return exponent < 1 ? 0 : ((x >>> 16) & 0x8000) | (exponent << 10) | ((x >>> 13) & 1023);
  });
}

/** A matrix of random codes, as some types of GGUF have them: in small blocks, or with minimums. */
export function randomBlocks(
  [rows, width]: readonly [number, number],
  { bits, block, hasMins }: { readonly bits: Bits; readonly block: number; readonly hasMins: boolean },
): QuantizedTensor {
  const blocks = width / block;
  const codes = Uint8Array.from({ length: blockBytes(bits, rows * width) }, (_, i) => (i * i * 31 + i * 7) >>> 3);
  const perBlock = (name: string) => inFile(name, "F32", [rows, blocks], normals(rows * blocks, name));
  return {
    weight: inFile("w", "U8", [rows, blocks, blockBytes(bits, block)], codes),
    scales: perBlock("w.scales"),
    ...(hasMins && { mins: perBlock("w.mins") }),
    bits,
  };
}

/** A matrix of normally distributed values, quantized to 8 or 4 bits. */
export function quantizedNormals([rows, width]: readonly [number, number], bits: Bits): QuantizedTensor {
  const { codes, scales } = quantizeMatrix(normals(rows * width, "quantized"), [rows, width], bits);
  const blocks = scales.length / rows;
  return {
    weight: inFile("w", "U8", [rows, blocks, codes.length / rows / blocks], codes),
    scales: inFile("w.scales", "F32", [rows, blocks], scales),
    bits,
  };
}

/** Bytes before a tensor in its file. Not a multiple of any alignment. */
const BEFORE = 13;

function inFile(
  name: string,
  dtype: StoredTensor["dtype"],
  shape: Shape,
  { buffer, byteOffset, byteLength: length }: Float32Array | Uint16Array | Uint8Array,
): StoredTensor {
  const file = join(temporaryFolder(), "tensors");
  const bytes = new Uint8Array(BEFORE + length + 1).fill(255);
  bytes.set(new Uint8Array(buffer, byteOffset, length), BEFORE);
  writeFileSync(file, bytes);
  return { name, dtype, shape, file, offset: BEFORE, length };
}
