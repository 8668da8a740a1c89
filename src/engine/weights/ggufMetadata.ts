/** Typed access to the metadata of a GGUF file. */

import { EngineError } from "../errors";
import type { Gguf } from "./gguf";
import { readVocabulary, type Vocabulary } from "./ggufVocabulary";
import { damaged, quoted, shown } from "./reading";

export const OUTPUT = "output.weight";
export const EMBEDDING = "token_embd.weight";
export const ROPE_FACTORS = "rope_freqs.weight";
export const ROPE_FACTORS_LONG = "rope_factors_long.weight";
export const ROPE_FACTORS_SHORT = "rope_factors_short.weight";
/** Tensors that become part of the configuration. */
export const ALL_ROPE_FACTORS: readonly string[] = [ROPE_FACTORS, ROPE_FACTORS_LONG, ROPE_FACTORS_SHORT];

/** Facts that follow from the values of tensors. */
export interface TensorFacts {
  /** The head is missing or equals the embedding. */
  readonly isTied: boolean;
  /** Factors on the wavelengths of the rotary positions, by tensor. */
  readonly ropeFactors: ReadonlyMap<string, Float32Array>;
}

/** Larger than any dimension of a model, and small enough that products are exact. */
const LARGEST = 2 ** 24;
const MAX_LAYERS = 1000;

/** Keys are those of the architecture, such as `block_count` for `llama.block_count`. */
export class Metadata {
  readonly architecture: string;
  #vocabulary: Vocabulary | undefined;

  constructor(
    readonly path: string,
    readonly gguf: Gguf,
    readonly facts: TensorFacts,
  ) {
    const architecture = gguf.values.get("general.architecture");
    if (typeof architecture !== "string") throw this.#wrong("general.architecture", "a string");
    this.architecture = architecture;
  }

  get vocabulary(): Vocabulary {
    this.#vocabulary ??= readVocabulary(this.path, this.gguf);
    return this.#vocabulary;
  }

  /** Number of layers, small enough for lists with an element per layer. */
  get layers(): number {
    const layers = this.count("block_count");
    if (layers > MAX_LAYERS) throw this.wrong("block_count", `a number from 1 to ${MAX_LAYERS}`);
    return layers;
  }

  has(key: string): boolean {
    return this.gguf.values.has(this.#full(key));
  }

  text(key: string): string {
    const value = this.#value(key);
    if (typeof value !== "string") throw this.wrong(key, "a string");
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.#value(key) ?? fallback;
    if (typeof value !== "boolean") throw this.wrong(key, "true or false");
    return value;
  }

  number(key: string, fallback?: number): number {
    const value = this.#value(key) ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.wrong(key, "a number");
    return value;
  }

  /** A factor from 0. */
  factor(key: string, fallback?: number): number {
    const value = this.number(key, fallback);
    if (value < 0 || value > 1e6) throw this.wrong(key, "a number from 0 to 1000000");
    return value;
  }

  /** A positive integer, or a list with the same for every layer. */
  count(key: string, fallback?: number): number {
    const value = this.#value(key) ?? fallback;
    const [first, ...others] = Array.isArray(value) ? value : [value];
    if (others.some((other) => other !== first)) throw this.wrong(key, "the same for every layer");
    if (typeof first !== "number" || !Number.isInteger(first) || first < 1 || first > LARGEST)
      throw this.wrong(key, `a number from 1 to ${LARGEST}`);
    return first;
  }

  /** A list with `count` flags, or null if there is no such key. */
  flags(key: string, count: number): readonly boolean[] | null {
    const value = this.#value(key);
    if (value === undefined) return null;
    const isList = Array.isArray(value) && value.length === count && value.every((one) => typeof one === "boolean");
    if (!isList) throw this.wrong(key, `a list of ${count}, each true or false`);
    return value as readonly boolean[];
  }

  /** The factors of a tensor, one for each of `count` frequencies; null if there is none. */
  ropeFactors(tensor: string, count: number): readonly number[] | null {
    const factors = this.facts.ropeFactors.get(tensor);
    if (!factors) return null;
    if (factors.length === count && factors.every((factor) => factor > 0 && factor <= 1e6)) return [...factors];
    throw this.unsupported("its scaling of rotary positions", `${tensor} must have ${count} factors above 0`);
  }

  /** Number of rows of the embedding. */
  vocabSize(): number {
    const shape = this.gguf.tensors.get(EMBEDDING)?.shape;
    if (shape?.length !== 2) throw damaged(this.path, 'the matrix "token_embd.weight" is missing');
    return shape[0] as number;
  }

  hasTensor(tensor: string): boolean {
    return this.gguf.tensors.has(tensor);
  }

  specialTokens(): object {
    const { bos, eos } = this.vocabulary.ids;
    return { bos_token_id: bos ?? null, eos_token_id: eos ?? null };
  }

  unsupported(what: string, why: string): EngineError {
    return new EngineError(
      "config",
      `${this.path}: ${what} is not supported: ${why}. Import the original model instead.`,
    );
  }

  wrong(key: string, expected: string): EngineError {
    return this.#wrong(this.#full(key), expected);
  }

  #full(key: string): string {
    return `${this.architecture}.${key}`;
  }

  #value(key: string) {
    return this.gguf.values.get(this.#full(key));
  }

  #wrong(key: string, expected: string): EngineError {
    const value = this.gguf.values.get(key);
    const got = value === undefined ? "is missing" : typeof value === "object" ? "is a list" : `is ${shown(value)}`;
    return damaged(this.path, `${quoted(key)} must be ${expected}, but ${got}`);
  }
}
