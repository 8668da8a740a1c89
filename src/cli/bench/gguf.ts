/**
 * Writes a GPT-2 as GGUF, so that llama.cpp runs the same weights: quantized matrices become Q8_0 or Q4_0 with the same
 * codes, everything else F32. The vocabulary is a dummy.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

import { transposed } from "../../engine/export/values";
import { blockOf, type QuantizedTensor } from "../../engine/graph/node";
import type { ModelWeights } from "../../engine/models/folder";
import type { DecoderConfig } from "../../engine/nn/config";
import { paramSpecs } from "../../engine/nn/params";
import { BYTE_CHARACTERS } from "../../engine/tokenizers/bytes";
import { readStored, readStoredBytes, type StoredTensor } from "../../engine/weights";
import { writeFileWhole } from "../../engine/weights/files";
import { GGUF_TYPES, type GgufType } from "../../engine/weights/ggufTypes";
import { BLOCK, blockBytes } from "../../engine/weights/quantize";
import { toFloat16 } from "./float16";

const MODULES: Readonly<Record<string, string>> = {
  "embed.tokens": "token_embd",
  "embed.positions": "position_embd",
  "blocks.{l}.ln1": "blk.{l}.attn_norm",
  "blocks.{l}.qkv": "blk.{l}.attn_qkv",
  "blocks.{l}.o": "blk.{l}.attn_output",
  "blocks.{l}.ln2": "blk.{l}.ffn_norm",
  "blocks.{l}.fc": "blk.{l}.ffn_up",
  "blocks.{l}.proj": "blk.{l}.ffn_down",
  lnFinal: "output_norm",
};

function ggufName(name: string): string {
  const [, module = "", layer = "", inner = "", kind = ""] =
    /^((?:blocks\.(\d+)\.)?(.+?))\.(weight|bias)$/.exec(name) ?? [];
  const theirs = MODULES[layer ? `blocks.{l}.${inner}` : module];
  if (theirs === undefined) throw new Error(`ggufName: GPT-2 has no ${name}`);
  return `${theirs.replace("{l}", layer)}.${kind}`;
}

interface Tensor {
  readonly name: string;
  readonly type: GgufType;
  /** Innermost first, as in the file. */
  readonly dims: readonly number[];
  readonly bytes: number;
  readonly read: () => Promise<Uint8Array>;
}

/** The format's numbers for these types. */
const TYPE_NUMBERS = { F32: 0, Q4_0: 2, Q8_0: 8 } as const;
const ALIGNMENT = 32;
const aligned = (offset: number) => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

export async function writeGguf(path: string, { cfg, weights }: ModelWeights): Promise<void> {
  const tensors = paramSpecs(cfg).map(({ name, role }): Tensor => {
    const source = weights.get(name);
    if (!source) throw new Error(`writeGguf: ${name} is missing`);
    return "bits" in source
      ? blocked(ggufName(name), source)
      : floats(ggufName(name), source, role === "matrix" || role === "residualMatrix");
  });
  const header = new Header();
  header.bytes("GGUF").u32(3).u64(tensors.length);
  const values = metadataOf(cfg);
  header.u64(values.length);
  for (const [key, type, value] of values) header.value(key, type, value);
  let offset = 0;
  for (const { name, type, dims, bytes } of tensors) {
    header.string(name).u32(dims.length);
    for (const n of dims) header.u64(n);
    header.u32(TYPE_NUMBERS[type as keyof typeof TYPE_NUMBERS]).u64(offset);
    offset = aligned(offset + bytes);
  }
  await writeFileWhole(path, async (file) => {
    const head = header.end();
    await file.writeFile(head);
    await file.writeFile(new Uint8Array(aligned(head.length) - head.length));
    for (const { name, bytes, read } of tensors) {
      const data = await read();
      if (data.length !== bytes) throw new Error(`writeGguf: ${name} has ${data.length} bytes, not ${bytes}`);
      await file.writeFile(data);
      await file.writeFile(new Uint8Array(aligned(bytes) - bytes));
    }
  });
}

/** A tensor in F32. The file stores matrices [out, in], GPT-2 [in, out]. */
function floats(name: string, stored: StoredTensor, isMatrix: boolean): Tensor {
  const [rows = 1, columns] = stored.shape;
  return {
    name,
    type: "F32",
    dims: isMatrix ? stored.shape : [...stored.shape].reverse(),
    bytes: 4 * stored.shape.reduce((n, d) => n * d, 1),
    async read() {
      const values = await readStored(stored);
      return new Uint8Array((isMatrix && columns ? transposed(values, rows) : values).buffer);
    },
  };
}

/** Rows of blocks, each with its scale before its codes; a block of 128 values becomes four with the same scale. */
function blocked(name: string, tensor: QuantizedTensor): Tensor {
  const { weight, scales, bits } = tensor;
  const type = bits === 8 ? "Q8_0" : "Q4_0";
  const parts = blockOf(tensor) / BLOCK;
  const [rows, blocks] = [scales.shape[0] as number, (scales.shape[1] as number) * parts];
  const { bytes: size } = GGUF_TYPES[type];
  return {
    name,
    type,
    dims: [blocks * BLOCK, rows],
    bytes: rows * blocks * size,
    async read() {
      const codes = await readStoredBytes(weight);
      const halves = toFloat16(await readStored(scales));
      const bytes = new Uint8Array(rows * blocks * size);
      const put = bits === 8 ? put8 : put4;
      for (let b = 0; b < rows * blocks; b++) {
        const at = b * size;
        const half = halves[Math.floor(b / parts)] as number;
        bytes[at] = half & 0xff;
        bytes[at + 1] = half >>> 8;
        put(codes.subarray(b * blockBytes(bits), (b + 1) * blockBytes(bits)), bytes, at + 2);
      }
      return bytes;
    },
  };
}

/** Writes codes around 128 as signed bytes. */
function put8(codes: Uint8Array, into: Uint8Array, at: number): void {
  for (let i = 0; i < BLOCK; i++) into[at + i] = (codes[i] as number) ^ 0x80;
}

/** Writes pairs of neighboring codes as pairs of codes i and i + 16. */
function put4(codes: Uint8Array, into: Uint8Array, at: number): void {
  const code = (i: number) => ((codes[i >> 1] as number) >>> (4 * (i & 1))) & 15;
  for (let i = 0; i < BLOCK / 2; i++) into[at + i] = code(i) | (code(i + BLOCK / 2) << 4);
}

type Value = readonly [
  key: string,
  type: keyof typeof VALUE_TYPES,
  value: number | string | readonly (number | string)[],
];

function metadataOf(cfg: DecoderConfig): readonly Value[] {
  const { vocabSize } = cfg;
  // The bytes, and the token of the only merge.
  const known = [...BYTE_CHARACTERS, "!!"];
  const tokens = Array.from({ length: vocabSize }, (_, id) => known[id] ?? `token${id}`);
  return [
    ["general.architecture", "string", "gpt2"],
    ["gpt2.block_count", "u32", cfg.nLayers],
    ["gpt2.context_length", "u32", cfg.nCtx],
    ["gpt2.embedding_length", "u32", cfg.dModel],
    ["gpt2.feed_forward_length", "u32", cfg.dMlp],
    ["gpt2.attention.head_count", "u32", cfg.nHeads],
    ["gpt2.attention.layer_norm_epsilon", "f32", cfg.normEps],
    ["tokenizer.ggml.model", "string", "gpt2"],
    ["tokenizer.ggml.pre", "string", "gpt-2"],
    ["tokenizer.ggml.tokens", "strings", tokens],
    ["tokenizer.ggml.token_type", "i32s", tokens.map(() => 1)],
    ["tokenizer.ggml.merges", "strings", ["! !"]],
    ["tokenizer.ggml.bos_token_id", "u32", vocabSize - 1],
    ["tokenizer.ggml.eos_token_id", "u32", vocabSize - 1],
  ];
}

const VALUE_TYPES = { u32: [4], f32: [6], string: [8], i32s: [9, 5], strings: [9, 8] } as const;

class Header {
  readonly #parts: Buffer[] = [];

  bytes(data: string | Buffer): this {
    this.#parts.push(Buffer.from(data));
    return this;
  }

  u32(n: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(n);
    return this.bytes(bytes);
  }

  u64(n: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(n));
    return this.bytes(bytes);
  }

  string(text: string): this {
    return this.u64(Buffer.byteLength(text)).bytes(text);
  }

  value(...[key, type, value]: Value): void {
    this.string(key);
    for (const number of VALUE_TYPES[type]) this.u32(number);
    if (typeof value === "object") this.u64(value.length);
    for (const one of typeof value === "object" ? value : [value]) {
      if (typeof one === "string") this.string(one);
      else if (type === "f32") this.bytes(Buffer.from(Float32Array.of(one).buffer));
      else this.u32(one);
    }
  }

  end(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
