/** Converts a GGUF file to a Hugging Face folder. Weights keep their precision; quantized blocks get our layout. */

import { join } from "node:path";
import type { ModelFileInfo } from "../api/hub";
import { sizeOf } from "../graph/shape";
import { cooperate } from "../tokenizers/cooperate";
import { makeFolder, writeFileWhole } from "./files";
import { type FindPart, type Gguf, type GgufTensor, readGguf } from "./gguf";
import { convertBlocks, layoutOf } from "./ggufBlocks";
import { ALL_ROPE_FACTORS, EMBEDDING, OUTPUT } from "./ggufMetadata";
import { type GgufModel, ggufModel, type HubTensor } from "./ggufModels";
import { ggufTokenizer } from "./ggufTokenizer";
import { GGUF_TYPES, type GgufBlocks, type GgufFloat, isBlocks } from "./ggufTypes";
import { blockBytes, minsOf, type QuantizeOptions, quantizationConfig, scalesOf } from "./quantize";
import { damaged, quoted } from "./reading";
import { type TensorToWrite, type WritePart, writeSafetensorsInParts } from "./safetensors";
import { readStored, readStoredBytes } from "./stored";

export interface GgufOptions extends QuantizeOptions {
  /** The file name of a part, if `path` has another. */
  readonly name?: string | undefined;
  readonly findPart?: FindPart | undefined;
}

/** The size of a GGUF file's model. Fails as the conversion would, but reads the header only. */
export async function checkGguf(path: string): Promise<ModelFileInfo> {
  const { plans } = await planOf(path, {});
  const sum = (of: (tensor: GgufTensor) => number) => plans.reduce((total, { tensor }) => total + of(tensor), 0);
  return {
    parameters: sum(({ shape }) => sizeOf(shape)),
    bytes: sum(({ length }) => length),
    isQuantized: plans.some(({ tensor }) => isBlocks(tensor.type)),
  };
}

async function planOf(path: string, { name, findPart }: Pick<GgufOptions, "name" | "findPart">) {
  const gguf = await readGguf(path, { ...(name !== undefined && { name }), ...(findPart && { findPart }) });
  const model = ggufModel(path, gguf, {
    isTied: await isTied(gguf),
    ropeFactors: await ropeFactors(gguf),
  });
  const tokenizer = ggufTokenizer(path, gguf, model.vocabulary);
  const { plans, notes: ignored } = planTensors(path, gguf, model);
  return { model, tokenizer, plans, ignored };
}

/**
 * Writes model.safetensors, config.json, tokenizer.json and tokenizer_config.json into `outDir`, and generation_config.json
 * if other tokens than EOS end a generation. Returns notes on what the new files do not contain or say differently (see
 * `ModelInfo`).
 */
export async function convertGguf(
  path: string,
  outDir: string,
  { signal, onProgress, ...names }: GgufOptions = {},
): Promise<{ readonly notes: readonly string[] }> {
  const { model, tokenizer, plans, ignored } = await planOf(path, names);
  const { vocabulary } = model;
  const total = plans.reduce((sum, { tensor }) => sum + tensor.length, 0);
  const pause = cooperate(signal);

  await makeFolder(outDir);
  await writeSafetensorsInParts(
    join(outDir, "model.safetensors"),
    new Map(plans.flatMap(outputTensors)),
    async (write) => {
      let done = 0;
      for (const plan of plans) {
        await writeTensor(plan, write, async (bytes) => {
          done += bytes;
          onProgress?.(done / total);
          await pause();
        });
      }
    },
    { format: "pt" },
  );
  const generation = { bos_token_id: vocabulary.ids.bos, eos_token_id: vocabulary.endIds };
  const files = {
    "config.json": configOf(model, plans),
    ...(vocabulary.endIds.some((id) => id !== vocabulary.ids.eos) && { "generation_config.json": generation }),
    ...tokenizer,
  };
  for (const [file, content] of Object.entries(files)) {
    // Indenting would put each half of a merge on its own line.
    const indent = file === "tokenizer.json" ? 0 : 2;
    await writeFileWhole(join(outDir, file), `${JSON.stringify(content, null, indent)}\n`);
  }
  return { notes: [...vocabulary.notes, ...ignored] };
}

/** A tensor as raw bytes for stored.ts. */
const rawTensor = ({ name, file, shape, offset, length }: GgufTensor) =>
  ({ name, dtype: "U8", shape, file, offset, length }) as const;

/** Returns true if the head is tied to the embedding: it is missing or has the same bytes. */
async function isTied({ tensors }: Gguf): Promise<boolean> {
  const [head, embedding] = [tensors.get(OUTPUT), tensors.get(EMBEDDING)];
  if (!head || !embedding) return true;
  if (head.type !== embedding.type || head.length !== embedding.length) return false;
  for (let at = 0; at < head.length; at += PIECE_BYTES) {
    const end = Math.min(at + PIECE_BYTES, head.length);
    const [a, b] = [
      await readStoredBytes(rawTensor(head), at, end),
      await readStoredBytes(rawTensor(embedding), at, end),
    ];
    if (Buffer.compare(a, b) !== 0) return false;
  }
  return true;
}

/** More than the dimensions of any head. */
const MAX_ROPE_FACTORS = 4096;

async function ropeFactors(gguf: Gguf): Promise<ReadonlyMap<string, Float32Array>> {
  const factors = new Map<string, Float32Array>();
  for (const name of ALL_ROPE_FACTORS) {
    const tensor = gguf.tensors.get(name);
    if (!tensor) continue;
    const [count = 0] = tensor.shape;
    // Any other type or shape is an unknown kind of scaling; an empty array gets rejected later.
    const isKnown = tensor.type === "F32" && tensor.shape.length === 1 && count <= MAX_ROPE_FACTORS;
    factors.set(
      name,
      isKnown ? new Float32Array((await readStoredBytes(rawTensor(tensor))).buffer) : new Float32Array(),
    );
  }
  return factors;
}

interface Plan {
  readonly tensor: GgufTensor;
  readonly hub: HubTensor;
}

function planTensors(path: string, gguf: Gguf, model: GgufModel): { plans: Plan[]; notes: string[] } {
  const notes: string[] = [];
  const plans = [...gguf.tensors.values()].flatMap((tensor) => {
    const reason = model.ignoredTensor(tensor.name);
    if (reason) {
      notes.push(`The tensor ${quoted(tensor.name)} is ignored: ${reason}.`);
      return [];
    }
    const hub = model.hubTensor(tensor.name);
    if (!hub) return [];
    const [rows = 1] = tensor.shape;
    const isVector = tensor.shape.length === 1;
    if (tensor.shape.length > 2 || (isVector && isBlocks(tensor.type)))
      throw damaged(path, `the tensor ${quoted(tensor.name)} is neither an unquantized vector nor a matrix`);
    if (hub.qkvHeads && rows % (3 * hub.qkvHeads) !== 0)
      throw damaged(
        path,
        `the ${rows} rows of the tensor ${quoted(tensor.name)} are not q, k and v of ${hub.qkvHeads} heads`,
      );
    if (hub.headRows && rows % hub.headRows !== 0)
      throw damaged(
        path,
        `the ${rows} rows of the tensor ${quoted(tensor.name)} are not a multiple of the head size ${hub.headRows}`,
      );
    return [{ tensor, hub }];
  });
  return { plans, notes };
}

function configOf({ config }: GgufModel, plans: readonly Plan[]): object {
  const bits = plans.flatMap(({ tensor: { type } }) => (isBlocks(type) ? [layoutOf(type).bits] : []));
  // If 4 and 8 bits both occur, readers derive the bits of each tensor from its shape.
  return bits.length === 0 ? config : { ...config, quantization_config: quantizationConfig(bits.includes(4) ? 4 : 8) };
}

/** Tensors of the new file that replace one of the old file. */
function outputTensors({ tensor, hub }: Plan): [string, Pick<TensorToWrite, "dtype" | "shape">][] {
  const { type, shape } = tensor;
  if (isBlocks(type)) {
    const { bits, group, hasMins } = layoutOf(type);
    const [rows, width] = shape as [number, number];
    const perGroup = { dtype: "F32", shape: [rows, width / group] } as const;
    return [
      [hub.name, { dtype: "U8", shape: [rows, width / group, blockBytes(bits, group)] }],
      [scalesOf(hub.name), perGroup],
      ...(hasMins ? [[minsOf(hub.name), perGroup] as [string, typeof perGroup]] : []),
    ];
  }
  // These types exist in safetensors, too.
  const dtype: GgufFloat = hub.minusOne ? "F32" : type;
  return [[hub.name, { dtype, shape: hub.transpose ? [...shape].reverse() : shape }]];
}

const PIECE_BYTES = 2 ** 24;

async function writeTensor(
  { tensor, hub }: Plan,
  write: WritePart,
  step: (bytes: number) => Promise<void>,
): Promise<void> {
  const { shape, length, type } = tensor;
  const [rows = 1] = shape;
  const part = rawTensor(tensor);
  if (hub.transpose && !isBlocks(type)) {
    await write(
      hub.name,
      0,
      transposed(await readStoredBytes(part), shape as [number, number], GGUF_TYPES[type].bytes),
    );
    return step(length);
  }
  if (hub.minusOne) {
    const values = await readStored({ ...part, dtype: type as GgufFloat });
    await write(hub.name, 0, new Uint8Array(values.map((value) => value - 1).buffer));
    return step(length);
  }
  // Pieces of whole rows, and of whole heads if these are reordered.
  const rowBytes = length / rows;
  const unit = hub.headRows ?? 1;
  const most = hub.qkvHeads ? rows : Math.max(1, Math.floor(PIECE_BYTES / rowBytes / unit)) * unit;
  for (let from = 0; from < rows; from += most) {
    const to = Math.min(rows, from + most);
    const read = await readStoredBytes(part, from * rowBytes, to * rowBytes);
    const bytes = hub.headRows
      ? reordered(read, rowBytes, halvesApart(hub.headRows))
      : hub.qkvHeads
        ? reordered(read, rowBytes, headByHead(rows / 3 / hub.qkvHeads, rows))
        : read;
    if (isBlocks(type)) await writeBlocks(hub.name, type, bytes, from * (shape[1] as number), write);
    else await write(hub.name, from * rowBytes, bytes);
    await step(read.length);
  }
}

/** Writes converted blocks that begin at a value of the tensor. */
async function writeBlocks(name: string, type: GgufBlocks, bytes: Uint8Array, from: number, write: WritePart) {
  const { bits, group } = layoutOf(type);
  const { codes, scales, mins } = convertBlocks(type, bytes);
  await write(name, blockBytes(bits, from), codes);
  await write(scalesOf(name), (4 * from) / group, new Uint8Array(scales.buffer));
  if (mins) await write(minsOf(name), (4 * from) / group, new Uint8Array(mins.buffer));
}

/** Moves each row to its place from the row of the file that `from` returns. */
function reordered(bytes: Uint8Array, rowBytes: number, from: (row: number) => number): Uint8Array {
  const result = new Uint8Array(bytes.length);
  for (let row = 0; row < bytes.length / rowBytes; row++) {
    const start = from(row) * rowBytes;
    result.set(bytes.subarray(start, start + rowBytes), row * rowBytes);
  }
  return result;
}

/** The rows of each head as the Hub has them, even ones before odd ones: [0, 1, 2, 3] -> [0, 2, 1, 3]. */
const halvesApart = (headRows: number) => (row: number) => {
  const inHead = row % headRows;
  const half = headRows / 2;
  return row - inHead + (inHead < half ? 2 * inHead : 2 * (inHead - half) + 1);
};

/** The rows of q, k and v, each with `headRows` rows per head, head by head. */
const headByHead = (headRows: number, rows: number) => (row: number) => {
  const part = Math.floor(row / headRows) % 3;
  const head = Math.floor(row / headRows / 3);
  return (part * rows) / 3 + head * headRows + (row % headRows);
};

function transposed(
  bytes: Uint8Array<ArrayBuffer>,
  [rows, columns]: readonly [number, number],
  elementBytes: number,
): Uint8Array {
  const result = new Uint8Array(bytes.length);
  const Elements = elementBytes === 4 ? Uint32Array : Uint16Array;
  const [from, to] = [new Elements(bytes.buffer), new Elements(result.buffer)];
  for (let c = 0; c < columns; c++) {
    for (let r = 0; r < rows; r++) to[c * rows + r] = from[r * columns + c] as number;
  }
  return result;
}
