/** A GGUF model as the Hub has it: config.json from the metadata, and the name and layout of each tensor. */

import { EngineError } from "../errors";
import type { Gguf } from "./gguf";
import { ARCHITECTURES, type Architecture, headSize } from "./ggufArchitectures";
import { ALL_ROPE_FACTORS, Metadata, OUTPUT, type TensorFacts } from "./ggufMetadata";
import type { Vocabulary } from "./ggufVocabulary";
import { quoted } from "./reading";

/** How a tensor is stored on the Hub. */
export interface HubTensor {
  readonly name: string;
  /** Rows per head, if the file interleaves the two halves of each head (the Hub stores one half after the other). */
  readonly headRows?: number | undefined;
  /** Number of heads, if the Hub stores q, k and v head by head instead of one after the other. */
  readonly qkvHeads?: number | undefined;
  /** True if the Hub stores the matrix [in, out]. */
  readonly transpose?: boolean | undefined;
  /** True if the Hub stores the values less 1. */
  readonly minusOne?: boolean | undefined;
}

export interface GgufModel {
  readonly config: Readonly<Record<string, unknown>>;
  /** Maps a tensor's name in the file; null if the tensor is not needed. */
  readonly hubTensor: (name: string) => HubTensor | null;
  /** Says why the model does not use a tensor; null if it does. */
  readonly ignoredTensor: (name: string) => string | null;
  readonly vocabulary: Vocabulary;
}

export function ggufModel(path: string, gguf: Gguf, facts: TensorFacts): GgufModel {
  const metadata = new Metadata(path, gguf, facts);
  const { architecture: name } = metadata;
  const architecture = Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined;
  if (!architecture) {
    throw new EngineError(
      "config",
      `${path}: the GGUF architecture ${quoted(name)} is not supported (only ${Object.keys(ARCHITECTURES).join(", ")}). Import the original model instead.`,
    );
  }
  const { layers } = metadata;
  return {
    config: {
      ...architecture.config(metadata),
      vocab_size: metadata.vocabSize(),
      tie_word_embeddings: facts.isTied,
      ...metadata.specialTokens(),
    },
    hubTensor: (tensor) => hubTensor(metadata, architecture, tensor),
    vocabulary: metadata.vocabulary,
    ignoredTensor: (tensor) => {
      const [, layer, rest = tensor] = /^blk\.(\d{1,4})\.(.+)$/.exec(tensor) ?? [];
      if (layer && Number(layer) >= layers) return `the model has ${layers} layers`;
      return ROTARY.includes(rest) ? "rotary frequencies follow from the metadata" : null;
    },
  };
}

/** Tensors that llama.cpp does not use either. */
const ROTARY = ["attn_rot_embd.weight", "attn_rot_embd"];

function hubTensor(metadata: Metadata, architecture: Architecture, tensor: string): HubTensor | null {
  if (ALL_ROPE_FACTORS.includes(tensor) || (tensor === OUTPUT && metadata.facts.isTied)) return null;
  const [, layer = "", rest = tensor] = /^blk\.(\d{1,4})\.(.+)$/.exec(tensor) ?? [];
  const [, module = "", part = ""] = /^(.+)\.(weight|bias)$/.exec(rest) ?? [];
  const pattern = layer ? `blk.{}.${module}` : module;
  if (!Object.hasOwn(architecture.names, pattern)) {
    throw new EngineError(
      "weights",
      `${metadata.path}: the tensor ${quoted(tensor)} is not part of a supported ${metadata.architecture} model. Import the original model instead.`,
    );
  }
  const isRotated = architecture.interleaved && (module === "attn_q" || module === "attn_k");
  return {
    name: `${(architecture.names[pattern] as string).replace("{}", layer)}.${part}`,
    headRows: isRotated ? headSize(metadata) : undefined,
    qkvHeads: architecture.qkvByHead && module === "attn_qkv" ? metadata.count("attention.head_count") : undefined,
    transpose: part === "weight" && (architecture.transposed?.test(module) ?? false),
    minusOne: architecture.shiftedNorms && module.endsWith("norm"),
  };
}
