/** Tensors in files, as model folders have them. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { QuantizedTensor } from "../../src/engine/graph/node";
import { type Shape, sizeOf } from "../../src/engine/graph/shape";
import { type Bits, quantizeMatrix } from "../../src/engine/weights/quantize";
import type { StoredTensor } from "../../src/engine/weights/stored";
import { normals } from "./gradcheck";

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const dir = mkdtempSync(join(tmpdir(), "decoder-lab-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** Normal numbers in a file of their own, after some bytes that are not theirs. */
export function storedNormals(dtype: "F32" | "F16" | "BF16", shape: Shape, name = "w"): StoredTensor {
  const values = normals(sizeOf(shape), "stored", name);
  const bytes = {
    F32: () => values,
    // Every float32 number between 2^-14 and 2^16 whose last 13 bits are cut off.
    F16: () =>
      Uint16Array.from(
        floatBits(values),
        (x) => ((x >> 16) & 0x8000) | ((((x >> 23) & 255) - 112) << 10) | ((x >> 13) & 1023),
      ),
    BF16: () => Uint16Array.from(floatBits(values), (x) => x >>> 16),
  }[dtype]();
  return inFile(name, dtype, shape, bytes);
}

/** A matrix of normal numbers in 8 or 4 bits. */
export function quantizedNormals([rows, width]: readonly [number, number], bits: Bits): QuantizedTensor {
  const { codes, scales } = quantizeMatrix(normals(rows * width, "quantized"), [rows, width], bits);
  const blocks = width / 32;
  return {
    weight: inFile("w", "U8", [rows, blocks, 4 * bits], codes),
    scales: inFile("w.scales", "F32", [rows, blocks], scales),
    bits,
  };
}

const floatBits = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

/** Bytes that stand before a tensor in its file: fewer than any element's alignment asks for. */
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
