/** Reference values of encoder-decoders, computed with PyTorch by test/golden/make_translators.py. */

import { readFileSync } from "node:fs";
import { sizeOf } from "../../src/engine/graph/shape";
import { type EncoderDecoderConfig, encoderDecoder, type TranslatorConfig } from "../../src/engine/nn/config";
import { paddingMask } from "../../src/engine/nn/encoderDecoder";
import type { StepBatch } from "../../src/engine/train/stepper";

export interface GoldenTranslator {
  readonly name: string;
  readonly config: EncoderDecoderConfig;
  readonly batchSize: number;
  readonly blockSize: number;
  readonly labelSmoothing: number;
  readonly params: ReadonlyMap<string, Float32Array>;
  readonly grads: ReadonlyMap<string, Float32Array>;
  /** [T, B, V] as in the engine. */
  readonly logits: Float32Array;
  readonly feeds: StepBatch;
  readonly loss: number;
  /** Two sources and their targets, without padding. */
  readonly pairs: readonly { readonly source: readonly number[]; readonly target: readonly number[] }[];
  /** Results for the first pair with interventions, and of its components. */
  readonly found: (name: string) => Float32Array;
}

interface Variant {
  readonly config: TranslatorConfig;
  readonly labelSmoothing: number;
  readonly layout: readonly (readonly [string, readonly number[]])[];
  readonly source: readonly (readonly number[])[]; // [B, T], 0 is padding
  readonly target: readonly (readonly number[])[];
  readonly labels: readonly (readonly number[])[];
  readonly loss: number;
}

const PAD = 0;

function readGolden(): GoldenTranslator[] {
  const file = readFileSync(new URL("../golden/translators.safetensors", import.meta.url));
  const headerSize = Number(file.readBigUInt64LE(0));
  const { __metadata__, ...index } = JSON.parse(file.toString("utf8", 8, 8 + headerSize));
  const tensor = (name: string): Float32Array => {
    const [start, end] = index[name].data_offsets as [number, number];
    return Float32Array.from({ length: (end - start) / 4 }, (_, i) => file.readFloatLE(8 + headerSize + start + 4 * i));
  };
  return Object.entries(JSON.parse(__metadata__.variants) as Record<string, Variant>).map(([name, d]) => {
    const [B, T, V] = [d.source.length, d.source[0]?.length ?? 0, d.config.vocabSize];
    const named = (key: string) => {
      const flat = tensor(`${name}.${key}`);
      let start = 0;
      return new Map(
        d.layout.map(([param, shape]) => {
          const values = flat.subarray(start, start + sizeOf(shape));
          start += values.length;
          return [param, values];
        }),
      );
    };
    const logits = tensor(`${name}.logits`); // [B, T, V]
    const labels = positionFirst(d.labels);
    const count = labels.filter((label) => label !== PAD).length;
    return {
      name,
      config: encoderDecoder(d.config),
      batchSize: B,
      blockSize: T,
      labelSmoothing: d.labelSmoothing,
      params: named("params"),
      grads: named("grads"),
      logits: logits.map((_, i) => {
        const [row, v] = [Math.floor(i / V), i % V];
        return logits[((row % B) * T + Math.floor(row / B)) * V + v] as number;
      }),
      feeds: {
        ids: positionFirst(d.target),
        labels,
        labelWeights: Float32Array.from(labels, (label) => (label === PAD ? 0 : 1 / count)),
        sourceIds: positionFirst(d.source),
        sourceMask: paddingMask(d.source.map(lengthOf), T),
        targetMask: paddingMask(d.target.map(lengthOf), T),
      },
      loss: d.loss,
      pairs: [0, 1].map((row) => {
        const [source, target] = [d.source[row] ?? [], d.target[row] ?? []];
        return { source: source.slice(0, lengthOf(source)), target: target.slice(0, lengthOf(target)) };
      }),
      found: (key: string) => tensor(`${name}.${key}`),
    };
  });
}

const lengthOf = (row: readonly number[]) => row.filter((id) => id !== PAD).length;

const positionFirst = (rows: readonly (readonly number[])[]) =>
  Int32Array.from((rows[0] ?? []).flatMap((_, t) => rows.map((row) => row[t] as number)));

export const goldenTranslators: readonly GoldenTranslator[] = readGolden();
