/**
 * Writes a model as ONNX: model.onnx and, for all but small ones, its weights in model.onnx_data beside it, where
 * onnxruntime maps them. The weights are streamed there from the model's own files.
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

/** How matrices are written; everything else is float32. */
export type OnnxPrecision = "float32" | "int8" | "int4";

export interface OnnxOptions extends ExportedInterface {
  readonly precision: OnnxPrecision;
  /** What the parameters are called in the file. */
  readonly names: ReadonlyMap<string, string>;
  /** Weights of more bytes go to a file of their own. */
  readonly mostInside?: number;
}

/** A model that is ready to be written. */
export interface OnnxPlan {
  /** Of its weights. */
  readonly bytes: number;
  /**
   * Writes it, and answers whether there is a file of weights beside it. `onBytes` is told now and then how many bytes
   * have been written; it may throw to stop.
   */
  readonly write: (onBytes: (bytes: number) => Promise<void> | undefined) => Promise<{ readonly hasData: boolean }>;
}

/** Up to here one file has everything: protocol buffers end at 2 GB, and are read whole. */
const MOST_INSIDE = 2 ** 26;

/** Decides where everything goes; nothing is read or written yet. */
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
        encodeModel(hasData ? graph : await inside(graph, data.path), (path) => basename(path)),
      );
      if (!hasData) await rm(data.path);
      return { hasData };
    },
  };
}

/** Gives every parameter a place, and answers the nodes that read them there. */
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
      const [codes, scales] = asBlocks(name, spec, source, bits, cfg);
      nodes.set(spec.name, quantized({ weight: data.add(codes), scales: data.add(scales), bits }));
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

  async write(onBytes: Parameters<OnnxPlan["write"]>[0]): Promise<void> {
    await writeFlushed(this.path, async (file) => {
      let at = 0;
      for (const tensor of this.#tensors) {
        await file.writeFile(new Uint8Array(aligned(at) - at));
        at = aligned(at);
        for await (const piece of tensor.pieces()) {
          await file.writeFile(piece);
          at += piece.length;
          await onBytes(at);
        }
      }
      if (at !== this.#end) throw new Error(`DataFile: ${this.#end} bytes were to be written, got ${at}`);
    });
  }
}

const aligned = (at: number) => Math.ceil(at / 64) * 64;
