/**
 * Writes a model as ONNX: model.onnx and, unless the model is small, its weights in model.onnx_data, which onnxruntime
 * maps. Weights are streamed from the model's own files.
 */

import { readFile, rm } from "node:fs/promises";
import { basename } from "node:path";
import { type Node, quantized, stored } from "../graph/node";
import type { ModelWeights } from "../models/folder";
import { type ParamNodes, paramNodes, paramSpecs } from "../nn/params";
import { encodeModel, type OnnxGraph } from "../runtime/onnx";
import type { StoredTensor } from "../weights";
import { writeFlushed } from "../weights/files";
import { type AngleTable, type AngleTables, angleTables, type ExportedInterface, exportGraph } from "./onnxGraph";
import { asBlocks, asFloats, bytesOf, fromMemory, hasBlocks, type Outgoing } from "./values";

/** Precision of the matrices; everything else is float32. */
export type OnnxPrecision = "float32" | "int8" | "int4";

export interface OnnxOptions extends ExportedInterface {
  readonly precision: OnnxPrecision;
  /** The parameters' names in the file. */
  readonly names: ReadonlyMap<string, string>;
  /** Weights of more bytes are written to a file of their own. */
  readonly mostInside?: number;
}

/** A model that is ready to be written. */
export interface OnnxPlan {
  /** Size of the weights. */
  readonly bytes: number;
  /**
   * Writes the model and returns whether its weights have a file of their own. `onBytes` receives the number of bytes
   * written so far; it may throw to stop.
   */
  readonly write: (onBytes: (bytes: number) => Promise<void> | undefined) => Promise<{ readonly hasData: boolean }>;
}

/** Largest weights withWeights model.onnx: protocol buffers are limited to 2 GB and read as a whole. */
const MOST_INSIDE = 2 ** 26;

/** Plans the file layout without reading or writing anything. */
export function planOnnx(
  model: ModelWeights,
  file: string,
  { precision, names, mostInside = MOST_INSIDE, ...shape }: OnnxOptions,
): OnnxPlan {
  const data = new DataFile(`${file}_data`);
  const { param, angles } = addWeights(data, model, precision, names);
  const graph = exportGraph(model.cfg, param, angles, shape);
  return {
    bytes: data.bytes,
    async write(onBytes) {
      await data.write(onBytes);
      const hasData = data.bytes > mostInside;
      await writeFlushed(
        file,
        encodeModel(hasData ? graph : await withWeights(graph, data.path), (path) => basename(path)),
      );
      if (!hasData) await rm(data.path);
      return { hasData };
    },
  };
}

/** Allocates every parameter in the data file and returns the nodes that read them. */
function addWeights(
  data: DataFile,
  { cfg, weights }: ModelWeights,
  precision: OnnxPrecision,
  names: OnnxOptions["names"],
): { readonly param: ParamNodes; readonly angles: AngleTables | null } {
  const bits = BITS[precision];
  const nodes = new Map<string, Node>();
  for (const spec of paramSpecs(cfg)) {
    const source = weights.get(spec.name);
    if (!source) throw new Error(`addWeights: ${spec.name} is missing`);
    const name = names.get(spec.name) ?? spec.name;
    if (bits !== null && hasBlocks(spec, cfg)) {
      const { codes, scales, mins } = asBlocks(name, spec, source, bits, cfg);
      const tensors = { weight: data.add(codes), scales: data.add(scales), ...(mins && { mins: data.add(mins) }) };
      nodes.set(spec.name, quantized({ ...tensors, bits }));
    } else nodes.set(spec.name, stored(data.add(asFloats(name, spec, source, cfg))));
  }
  return { param: paramNodes(nodes), angles: addAngles(data, angleTables(cfg)) };
}

const BITS = { float32: null, int8: 8, int4: 4 } as const;

function addAngles(data: DataFile, tables: ReturnType<typeof angleTables>): AngleTables | null {
  if (!tables) return null;
  const node = (name: string, { shape, values }: AngleTable) => stored(data.add(fromMemory(name, shape, values)));
  return { cos: node("rotary.cos", tables.cos), sin: node("rotary.sin", tables.sin) };
}

/** Returns the graph with the bytes of its weights included. */
async function withWeights(graph: OnnxGraph, path: string): Promise<OnnxGraph> {
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

/** Consecutive tensors in a file, each aligned to a cache line. */
class DataFile {
  readonly #tensors: Outgoing[] = [];
  #end = 0;

  constructor(readonly path: string) {}

  get bytes(): number {
    return this.#end;
  }

  /** Allocates a tensor. */
  add(tensor: Outgoing): StoredTensor {
    const { name, dtype, shape } = tensor;
    const offset = aligned(this.#end);
    const length = bytesOf(tensor);
    this.#tensors.push(tensor);
    this.#end = offset + length;
    return { name, dtype, shape, file: this.path, offset, length };
  }

  async write(onBytes: Parameters<OnnxPlan["write"]>[0]): Promise<void> {
    await writeFlushed(this.path, async (file) => {
      let end = 0;
      for (const tensor of this.#tensors) {
        await file.writeFile(new Uint8Array(aligned(end) - end));
        end = aligned(end);
        for await (const piece of tensor.pieces()) {
          await file.writeFile(piece);
          end += piece.length;
          await onBytes(end);
        }
      }
      if (end !== this.#end) throw new Error(`DataFile: expected ${this.#end} bytes, wrote ${end}`);
    });
  }
}

const aligned = (offset: number) => Math.ceil(offset / 64) * 64;
