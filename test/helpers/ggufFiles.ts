/** Handwritten GGUF files, independent of the reader. */

import { u8, u32, u64 } from "./pickles";

const f32 = (n: number) => {
  const buffer = Buffer.alloc(4);
  buffer.writeFloatLE(n);
  return buffer.toString("latin1");
};

/** A string with its length. */
export const ggufText = (s: string) => {
  const bytes = Buffer.from(s);
  return `${u64(BigInt(bytes.length))}${bytes.toString("latin1")}`;
};

/** Values, each preceded by its type. */
export const value = {
  short: (n: number) => `${u32(2)}${u8(n & 255)}${u8(n >> 8)}`,
  uint: (n: number) => `${u32(4)}${u32(n)}`,
  int: (n: number) => `${u32(5)}${u32(n >>> 0)}`,
  float: (n: number) => `${u32(6)}${f32(n)}`,
  bool: (b: boolean) => `${u32(7)}${u8(b ? 1 : 0)}`,
  text: (s: string) => `${u32(8)}${ggufText(s)}`,
  long: (n: bigint) => `${u32(10)}${u64(n)}`,
  texts: (items: readonly string[]) => `${u32(9)}${u32(8)}${u64(BigInt(items.length))}${items.map(ggufText).join("")}`,
  floats: (items: readonly number[]) => `${u32(9)}${u32(6)}${u64(BigInt(items.length))}${items.map(f32).join("")}`,
  ints: (items: readonly number[]) => `${u32(9)}${u32(5)}${u64(BigInt(items.length))}${items.map(u32).join("")}`,
};

export interface GgufInfo {
  readonly name: string;
  /** Innermost dimension first, as in the file. */
  readonly dims: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

export const info = ({ name, dims, type, offset }: GgufInfo) =>
  `${ggufText(name)}${u32(dims.length)}${dims.map((n) => u64(BigInt(n))).join("")}${u32(type)}${u64(BigInt(offset))}`;

/** A file of values and tensors. The defaults make it valid. */
export function ggufFile({
  magic = "GGUF",
  version = u32(3),
  values = {} as Readonly<Record<string, string>>,
  valueCount = BigInt(Object.keys(values).length),
  infos = [] as readonly string[],
  infoCount = BigInt(infos.length),
  alignment = 32,
  data = 0,
}): Buffer {
  const keys = Object.entries(values).map(([key, content]) => `${ggufText(key)}${content}`);
  const header = Buffer.from([magic, version, u64(infoCount), u64(valueCount), ...keys, ...infos].join(""), "latin1");
  const padding = (alignment - (header.length % alignment)) % alignment;
  return Buffer.concat([header, Buffer.alloc(padding + data)]);
}

/** Metadata of a llama with one layer of 4 heads, a width of 32, and four tokens. */
export const llamaValues: Readonly<Record<string, string>> = {
  "general.architecture": value.text("llama"),
  "llama.context_length": value.uint(8),
  "llama.embedding_length": value.uint(32),
  "llama.block_count": value.uint(1),
  "llama.feed_forward_length": value.uint(32),
  "llama.attention.head_count": value.uint(4),
  "llama.attention.layer_norm_rms_epsilon": value.float(1e-5),
  "tokenizer.ggml.model": value.text("llama"),
  "tokenizer.ggml.tokens": value.texts(["<unk>", "<s>", "</s>", "a"]),
  "tokenizer.ggml.scores": value.floats([0, 0, 0, -1]),
  "tokenizer.ggml.token_type": value.ints([2, 3, 3, 1]),
};

/** The embedding, the only tensor that is checked against the metadata. */
export const llamaInfos = [info({ name: "token_embd.weight", dims: [32, 4], type: 0, offset: 0 })];
export const LLAMA_DATA = 32 * 4 * 4;

const MATRICES = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];
const NORMS = ["blk.0.attn_norm.weight", "blk.0.ffn_norm.weight", "output_norm.weight"];
/** All tensors of the model that `llamaValues` describes. */
export const wholeLlama = {
  infos: [
    ...llamaInfos,
    ...MATRICES.map((name, i) =>
      info({ name: `blk.0.${name}.weight`, dims: [32, 32], type: 0, offset: LLAMA_DATA + 4096 * i }),
    ),
    ...NORMS.map((name, i) => info({ name, dims: [32], type: 0, offset: LLAMA_DATA + 4096 * 7 + 128 * i })),
  ],
  data: LLAMA_DATA + 4096 * 7 + 128 * 3,
};
