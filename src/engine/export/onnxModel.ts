/**
 * Writes a model as ONNX: model.onnx and, for all but small ones, its weights in model.onnx_data beside it, where
 * onnxruntime maps them. The weights are streamed there from the model's own files.
 */

import { readFile, rm } from "node:fs/promises";
import { basename } from "node:path";
import { type Node, quantized, stored } from "../graph/node";
import type { ModelWeights } from "../models/folder";
import { paramNodes, paramSpecs } from "../nn/params";
import { encodeModel, type OnnxGraph } from "../runtime/onnx";
import type { StoredTensor } from "../weights";
import { writeFlushed } from "../weights/files";
import { type AngleTable, type AngleTables, angleTables, type ExportedInterface, exportGraph } from "./onnxGraph";
import { asBlocks, asFloats, bytesOf, fromMemory, hasBlocks, type Outgoing } from "./values";

/** How matrices are written; everything else is float32. */
export type Precision = "float32" | "int8" | "int4";

export interface OnnxOptions extends ExportedInterface {
  readonly precision: Precision;
  /** What the parameters are called in the file. */
  readonly names: ReadonlyMap<string, string>;
  /** Told how many bytes have been written and are to be, now and then; may throw to stop. */
  readonly onBytes: (bytes: number, totalBytes: number) => Promise<void> | undefined;
}

/** Up to here one file has everything. Protocol buffers end at 2 GB, and are read whole. */
const MOST_INSIDE = 2 ** 26;

/** Writes `file`, and answers whether there is a file of weights beside it. */
export async function writeOnnx(
  { cfg, weights }: ModelWeights,
  file: string,
  { precision, names, onBytes, ...shape }: OnnxOptions,
): Promise<{ readonly hasData: boolean }> {
  const data = new DataFile(`${file}_data`);
  const bits = BITS[precision];
  const nodes = new Map<string, Node>();
  for (const spec of paramSpecs(cfg)) {
    const source = weights.get(spec.name);
    if (!source) throw new Error(`writeOnnx: ${spec.name} is missing`);
    const name = names.get(spec.name) ?? spec.name;
    if (bits !== null && hasBlocks(spec, cfg)) {
      const [codes, scales] = asBlocks(name, spec, source, bits, cfg);
      nodes.set(spec.name, quantized({ weight: data.add(codes), scales: data.add(scales), bits }));
    } else nodes.set(spec.name, stored(data.add(asFloats(name, spec, source, cfg))));
  }
  const graph = exportGraph(cfg, paramNodes(nodes), addAngles(data, angleTables(cfg)), shape);

  await data.write(onBytes);
  const hasData = data.bytes > MOST_INSIDE;
  await writeFlushed(
    file,
    encodeModel(hasData ? graph : await inside(graph, data.path), (path) => basename(path)),
  );
  if (!hasData) await rm(data.path);
  return { hasData };
}

const BITS = { float32: null, int8: 8, int4: 4 } as const;

function addAngles(data: DataFile, tables: ReturnType<typeof angleTables>): AngleTables | null {
  if (!tables) return null;
  const node = (name: string, { shape, values }: AngleTable) => stored(data.add(fromMemory(name, shape, values)));
  return { cos: node("rotary.cos", tables.cos), sin: node("rotary.sin", tables.sin) };
}

/** The graph with the bytes of its file of weights in it. */
async function inside(graph: OnnxGraph, path: string): Promise<OnnxGraph> {
  const bytes = await readFile(path);
  return {
    ...graph,
    initializers: graph.initializers.map((tensor) => {
      if (ArrayBuffer.isView(tensor.data)) return tensor;
      const { offset, length } = tensor.data;
      return { ...tensor, data: bytes.subarray(offset, offset + length) };
    }),
  };
}

/** Tensors one after the other in a file, each at the start of a cache line. */
class DataFile {
  readonly #tensors: Outgoing[] = [];
  #end = 0;

  constructor(readonly path: string) {}

  get bytes(): number {
    return this.#end;
  }

  /** Gives a tensor its place. */
  add(tensor: Outgoing): StoredTensor {
    const { name, dtype, shape } = tensor;
    const offset = aligned(this.#end);
    const length = bytesOf(tensor);
    this.#tensors.push(tensor);
    this.#end = offset + length;
    return { name, dtype, shape, file: this.path, offset, length };
  }

  async write(onBytes: OnnxOptions["onBytes"]): Promise<void> {
    await writeFlushed(this.path, async (file) => {
      let at = 0;
      for (const tensor of this.#tensors) {
        await file.writeFile(new Uint8Array(aligned(at) - at));
        at = aligned(at);
        for await (const piece of tensor.pieces()) {
          await file.writeFile(piece);
          at += piece.length;
          await onBytes(at, this.#end);
        }
      }
      if (at !== this.#end) throw new Error(`DataFile: ${this.#end} bytes were to be written, got ${at}`);
    });
  }
}

const aligned = (at: number) => Math.ceil(at / 64) * 64;
