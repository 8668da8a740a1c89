/** Reference values in test/golden, computed with PyTorch by make_reference.py. */

import { readFileSync } from "node:fs";
import type { Optimizer } from "../../src/engine/api/run";
import { sizeOf } from "../../src/engine/graph/shape";
import { type ClassicConfig, classicDecoder, type DecoderConfig } from "../../src/engine/nn/config";

export interface GoldenDecoder {
  readonly name: string;
  readonly config: DecoderConfig;
  readonly optimizer: Optimizer;
  readonly maxGradNorm: number;
  readonly batchSize: number;
  readonly blockSize: number;
  readonly params: ReadonlyMap<string, Float32Array>;
  /** Gradients of the first step's loss. */
  readonly grads: ReadonlyMap<string, Float32Array>;
  /** Logits of the first step, [T, B, V] as in the engine. */
  readonly logits: Float32Array;
  readonly steps: readonly GoldenStep[];
}

export interface GoldenStep {
  readonly lr: number;
  readonly feeds: {
    readonly ids: Int32Array; // [T, B]
    readonly labels: Int32Array; // [T * B]
    readonly labelWeights: Float32Array; // [T * B]
  };
  readonly loss: number;
  readonly gradNorm: number;
  /** Parameters after this step, if the file has them. */
  readonly params?: ReadonlyMap<string, Float32Array>;
}

interface Variant {
  readonly config: ClassicConfig;
  readonly optimizer: Optimizer;
  readonly maxGradNorm: number;
  readonly learningRates: readonly number[];
  readonly layout: readonly (readonly [string, readonly number[]])[];
  readonly ids: readonly (readonly (readonly number[])[])[]; // [step, B, T]
  readonly labels: readonly (readonly (readonly number[])[])[]; // [step, B, T], -100 where ignored
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
}

export const goldenDecoders: readonly GoldenDecoder[] = readGolden();

/** A subset with both kinds of norm and head, and every activation. */
export const dropoutDecoders = goldenDecoders.filter(({ name }) =>
  ["pre-gelu-tied", "post-relu-untied", "post-geluTanh-tied"].includes(name),
);

function readGolden(): GoldenDecoder[] {
  const file = readFileSync(new URL("../golden/decoders.safetensors", import.meta.url));
  const headerSize = Number(file.readBigUInt64LE(0));
  const { __metadata__, ...index } = JSON.parse(file.toString("utf8", 8, 8 + headerSize));
  const tensor = (name: string): Float32Array => {
    const [start, end] = index[name].data_offsets as [number, number];
    return new Float32Array(
      file.buffer.slice(...([start, end].map((x) => file.byteOffset + 8 + headerSize + x) as [number, number])),
    );
  };
  const variants = Object.entries(JSON.parse(__metadata__.variants) as Record<string, Variant>);
  return variants.map(([name, variant]) => toDecoder(name, variant, (key) => tensor(`${name}.${key}`)));
}

function toDecoder(name: string, d: Variant, tensor: (key: string) => Float32Array): GoldenDecoder {
  const named = (key: string) => {
    const flat = tensor(key);
    let start = 0;
    const params = new Map<string, Float32Array>();
    for (const [param, shape] of d.layout) {
      params.set(param, flat.subarray(start, start + sizeOf(shape)));
      start += sizeOf(shape);
    }
    return params;
  };
  const [batchSize, blockSize] = [d.ids[0]?.length ?? 0, d.ids[0]?.[0]?.length ?? 0];
  const V = d.config.vocabSize;
  const logits = tensor("logits"); // [B, T, V]
  const positionFirst = (i: number) => {
    const [row, v] = [Math.floor(i / V), i % V];
    return ((row % batchSize) * blockSize + Math.floor(row / batchSize)) * V + v;
  };
  return {
    name,
    config: classicDecoder(d.config),
    optimizer: d.optimizer,
    maxGradNorm: d.maxGradNorm,
    batchSize,
    blockSize,
    params: named("params"),
    grads: named("grads"),
    logits: logits.map((_, i) => logits[positionFirst(i)] as number),
    steps: d.learningRates.map((lr, step) => ({
      lr,
      feeds: feedsOf(d.ids[step] ?? [], d.labels[step] ?? []),
      loss: d.losses[step] as number,
      gradNorm: d.gradNorms[step] as number,
      ...((step === 0 || step === 2) && { params: named(`after${step + 1}`) }),
    })),
  };
}

/** A batch in the engine's layout: position first, ignored labels with weight 0. */
function feedsOf(ids: readonly (readonly number[])[], labels: readonly (readonly number[])[]): GoldenStep["feeds"] {
  const positionFirst = (rows: readonly (readonly number[])[]) =>
    Int32Array.from((rows[0] ?? []).flatMap((_, t) => rows.map((row) => row[t] as number)));
  const given = positionFirst(labels);
  const count = given.filter((label) => label >= 0).length;
  return {
    ids: positionFirst(ids),
    labels: given.map((label) => Math.max(label, 0)),
    labelWeights: Float32Array.from(given, (label) => (label >= 0 ? 1 / count : 0)),
  };
}
