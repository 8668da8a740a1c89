import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { dequantize, readHeader } from "../../../src/engine/weights";
import { convertBlocks, layoutOf } from "../../../src/engine/weights/ggufBlocks";
import { GGUF_TYPES, type GgufType, isBlocks } from "../../../src/engine/weights/ggufTypes";

// Blocks of random bytes, and their values as llama.cpp's Python package computes them: test/golden/make_gguf.py.
const golden = fileURLToPath(new URL("../../golden/checkpoints/gguf-types.safetensors", import.meta.url));

const file = readFileSync(golden);
const { tensors } = await readHeader(golden);
const bytesOf = (name: string) => {
  const { start, end } = tensors.get(name)!;
  return new Uint8Array(file.subarray(start, end));
};

const types = Object.keys(GGUF_TYPES) as GgufType[];

test.each(types.filter(isBlocks))("%s converts to the values of its definition, bit for bit", (type) => {
  const values = dequantize(convertBlocks(type, bytesOf(`${type}.bytes`)), layoutOf(type).bits);
  expect(new Uint32Array(values.buffer)).toEqual(new Uint32Array(bytesOf(`${type}.values`).buffer));
});
