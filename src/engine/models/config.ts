/**
 * Reads config.json: fields whose errors name them, and conventions that several families share.
 * Files may omit a field with its default value, so every reader has the default of transformers as an argument.
 */

import { shown } from "../../text/untrusted";
import { EngineError } from "../errors";
import type { Activation, DecoderConfig, Rotary, RotaryScaling } from "../nn/config";
import { countParameters } from "../nn/params";
import { isObject } from "../weights/reading";

/** Larger than any dimension this engine supports; stops a hostile file from claiming absurd sizes. */
const LARGEST = 1 << 24;
/** Bounds the objects that are created per layer before any weights are read. */
const MAX_LAYERS = 1000;
const MAX_PARAMETERS = 2 ** 40;

/** The fields of config.json, or of an object inside it. `missing` arguments are defaults. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(
    json: unknown,
    readonly file: string,
    /** Prefix of fields in a nested object, such as `rope_scaling.` in `rope_scaling.factor`. */
    readonly path = "",
  ) {
    if (!isObject(json)) {
      const subject = path === "" ? file : `${file}: ${path.slice(0, -1)}`;
      throw new EngineError("config", `${subject} is not a JSON object. ${NEXT_STEP}.`);
    }
    this.#values = json;
  }

  /** A positive integer. */
  count(name: string, missing: number, max = LARGEST): number {
    const value = this.#value(name) === undefined ? missing : this.#value(name);
    const fits = Number.isInteger(value) && (value as number) >= 1 && (value as number) <= max;
    return this.#require(name, value, fits, `an integer from 1 to ${max}`) as number;
  }

  /** A number of layers, small enough for lists with an element per layer. */
  layerCount(name: string, missing: number): number {
    return this.count(name, missing, MAX_LAYERS);
  }

  /** A positive integer or null. */
  countOrNull(name: string, missing: number | null): number | null {
    if (this.#value(name) === null) return null;
    return missing === null && this.#value(name) === undefined ? null : this.count(name, missing ?? 1);
  }

  number(name: string, missing: number, [min, max]: readonly [number, number]): number {
    const value = this.#value(name) ?? missing;
    const fits = typeof value === "number" && value >= min && value <= max;
    return this.#require(name, value, fits, `a number from ${min} to ${max}`) as number;
  }

  /** A number that may be missing or null. */
  numberOrNull(name: string, range: readonly [number, number]): number | null {
    return this.has(name) ? this.number(name, 0, range) : null;
  }

  flag(name: string, missing: boolean): boolean {
    const value = this.#value(name) ?? missing;
    return this.#require(name, value, typeof value === "boolean", "true or false") as boolean;
  }

  /** Looks up the value of a string field in `words`. */
  choice<T>(name: string, words: Readonly<Record<string, T>>, missing: string): T {
    const value = this.#value(name) ?? missing;
    const fits = typeof value === "string" && Object.hasOwn(words, value);
    return words[this.#require(name, value, fits, `one of ${Object.keys(words).join(", ")}`) as string] as T;
  }

  /** A list of exactly `length` elements, or null if the field is missing. `element` describes one for the message. */
  list<T>(name: string, length: number, element: string, fits: (value: unknown) => value is T): readonly T[] | null {
    const value = this.#value(name) ?? null;
    if (value === null) return null;
    const good = Array.isArray(value) && value.length === length && value.every(fits);
    return this.#require(name, value, good, `a list of ${length}, each ${element}`) as readonly T[];
  }

  object(name: string): Fields | null {
    return this.has(name) ? new Fields(this.#value(name), this.file, `${this.path}${name}.`) : null;
  }

  has(name: string): boolean {
    return (this.#value(name) ?? null) !== null;
  }

  /** The unchecked value, for comparison with known ones. */
  raw(name: string): unknown {
    return this.#value(name);
  }

  /** Throws an error about a field. `problem` continues the sentence and says what to do. */
  reject(name: string, problem: string): never {
    throw new EngineError("config", `${this.file}: ${this.path}${name} is ${shown(this.#value(name))}, ${problem}.`);
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }

  #require(name: string, value: unknown, fits: boolean, expected: string): unknown {
    if (fits) return value;
    throw new EngineError(
      "config",
      `${this.file}: ${this.path}${name} must be ${expected} but is ${shown(value)}. ${NEXT_STEP}.`,
    );
  }
}

const NEXT_STEP = "Download the file again or choose another model";

const isPositive = (value: unknown): value is number => typeof value === "number" && value > 0 && value <= 1e6;

/** Features that no supported family has. A file that enables one needs a different implementation of its model_type. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  is_encoder_decoder: "encoder-decoder models",
  add_cross_attention: "cross-attention",
  alibi: "ALiBi positions",
  use_alibi: "ALiBi positions",
  use_bidirectional_attention: "attention to later positions",
  use_sinks: "attention sinks",
  attention_sinks: "attention sinks",
  num_local_experts: "mixtures of experts",
  num_experts: "mixtures of experts",
  n_routed_experts: "mixtures of experts",
};

/** Rejects unsupported features and quantization methods. */
export function requireSupported(hf: Fields): void {
  for (const [name, feature] of Object.entries(UNSUPPORTED)) {
    const value = hf.raw(name) ?? false;
    if (value !== false && value !== 0) {
      hf.reject(name, `but ${feature} are not supported. Choose a decoder-only model without them`);
    }
  }
  for (const name of ["quantization_config", "compression_config"]) {
    const method = hf.object(name);
    if (method?.raw("quant_method") === "decoder_lab") continue;
    const unsupported = ["quant_method", "load_in_8bit", "load_in_4bit"].find((field) => method?.raw(field) ?? false);
    if (unsupported) method?.reject(unsupported, "and such weights are not supported. Choose the unquantized model");
  }
}

/** Rejects inconsistent sizes before anything is allocated. */
export function requireSizes(cfg: DecoderConfig, file: string): DecoderConfig {
  const { nHeads, nKvHeads, dModel, dHead, positions } = cfg;
  const wrong = (problem: string) => {
    throw new EngineError("config", `${file}: ${problem}. ${NEXT_STEP}.`);
  };
  if (!Number.isInteger(dHead)) wrong(`the hidden size ${dModel} is not divisible by ${nHeads} heads`);
  if (nHeads % nKvHeads !== 0) wrong(`${nHeads} query heads are not divisible by ${nKvHeads} key-value heads`);
  if (nHeads * dHead > LARGEST) wrong(`the total width of its heads is ${nHeads * dHead}, more than ${LARGEST}`);
  if (positions.kind === "rotary") {
    const { dims } = positions;
    if (dims < 2 || dims % 2 !== 0 || dims > dHead)
      wrong(`the number of rotated dimensions per head must be even and from 2 to ${dHead}, got ${dims}`);
    if (positions.scaling?.kind === "dynamic" && dims < 4) wrong("dynamic rope scaling needs 4 rotated dimensions");
  }
  if (countParameters(cfg) > MAX_PARAMETERS) wrong("it has more than a trillion parameters");
  return cfg;
}

/** Activations by their names in transformers. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  relu: "relu",
  gelu: "gelu",
  gelu_python: "gelu",
  gelu_new: "geluTanh",
  gelu_fast: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
  silu: "silu",
  swish: "silu",
};

export const activationOf = (hf: Fields, name: string, missing: string): Activation =>
  hf.choice(name, ACTIVATIONS, missing);

/** Sliding window of each layer, from `layer_types` or else from the family's rule. Empty if no layer has one. */
export function windowsOf(
  hf: Fields,
  { nLayers, nCtx }: Pick<DecoderConfig, "nLayers" | "nCtx">,
  window: number | null,
  hasWindow: (layer: number) => boolean,
): readonly (number | null)[] {
  const windowed = windowedLayers(hf, nLayers, hasWindow);
  // A window as long as the context has no effect.
  const effective = window === null || window >= nCtx ? null : window;
  if (hf.has("layer_types") && windowed.length > 0 && window === null)
    hf.reject("layer_types", `but sliding_window is missing. ${NEXT_STEP}`);
  if (effective === null || windowed.length === 0) return [];
  return layers(nLayers).map((l) => (windowed.includes(l) ? effective : null));
}

/** The layers with a window, from `layer_types` or else from the family's rule. */
export function windowedLayers(hf: Fields, nLayers: number, hasWindow: (layer: number) => boolean): number[] {
  const types = hf.list("layer_types", nLayers, 'one of "full_attention", "sliding_attention"', isLayerType);
  return layers(nLayers).filter((l) => (types ? types[l] === "sliding_attention" : hasWindow(l)));
}

const isLayerType = (value: unknown): value is string => value === "full_attention" || value === "sliding_attention";

export const layers = (nLayers: number): number[] => Array.from({ length: nLayers }, (_, l) => l);

/** A family's defaults for rotary positions. */
export interface RotaryDefaults {
  readonly nCtx: number;
  readonly theta?: number;
  /** The fraction of each head's dimensions that is rotated. */
  readonly share?: number;
  /** Field names of the fraction and theta before `rope_parameters` existed. */
  readonly shareName?: string;
  readonly thetaName?: string;
  /** Layers with angles of their own, in families that have them, and their theta. */
  readonly local?: { readonly layers: readonly number[]; readonly theta: number };
}

/**
 * Rotary positions and the context length. Newer files have everything in `rope_parameters`; older ones have
 * `rope_theta`, `rope_scaling` and a rotated fraction.
 */
export function rotaryOf(hf: Fields, dHead: number, defaults: RotaryDefaults): { positions: Rotary; nCtx: number } {
  const { theta = 10000, share = 1, shareName = "partial_rotary_factor", thetaName = "rope_theta", local } = defaults;
  const nCtx = hf.count("max_position_embeddings", defaults.nCtx);
  const given = hf.object("rope_parameters") ?? hf.object("rope_scaling");
  for (const type of local ? [] : ["full_attention", "sliding_attention"]) {
    if (given?.has(type))
      given.reject(type, "but this family has the same rope parameters in all layers. Choose another model");
  }
  const rope = given?.object("full_attention") ?? given;
  const rotated = rope?.has("partial_rotary_factor")
    ? rope.number("partial_rotary_factor", share, [0, 1])
    : hf.number(shareName, share, [0, 1]);
  const dims = Math.trunc(dHead * rotated);
  const scaling = rope ? scalingOf(rope, hf, nCtx, dims) : null;
  const localAngles = (given: Fields | null) => {
    const own = given?.object("sliding_attention") ?? null;
    const base = local?.theta ?? theta;
    return {
      theta: own?.has("rope_theta")
        ? own.number("rope_theta", base, THETA)
        : hf.number("rope_local_base_freq", base, THETA),
      scaling: own && scalingOf(own, hf, nCtx, dims),
    };
  };
  const positions: Rotary = {
    kind: "rotary",
    dims,
    theta: rope?.has("rope_theta") ? rope.number("rope_theta", theta, THETA) : hf.number(thetaName, theta, THETA),
    scaling,
    ...(local && local.layers.length > 0 && { local: { layers: local.layers, ...localAngles(given) } }),
    unrotatedLayers: [],
  };
  return { positions, nCtx: stretched(nCtx, scaling) };
}

/** The context length with scaling. For dynamic and YaRN scaling, files give either the original or the extended length. */
function stretched(nCtx: number, scaling: RotaryScaling | null): number {
  if (scaling?.kind !== "dynamic" && scaling?.kind !== "yarn") return nCtx;
  return Math.min(LARGEST, Math.max(nCtx, Math.floor(scaling.originalCtx * scaling.factor)));
}

const THETA = [1, 1e12] as const;
const FACTOR = [1e-6, 1e6] as const;

function scalingOf(rope: Fields, hf: Fields, nCtx: number, dims: number): RotaryScaling | null {
  // Older files call it `type`.
  const name = rope.has("rope_type") ? "rope_type" : "type";
  const required = (field: string) => {
    if (!rope.has(field)) rope.reject(field, `but rope type ${shown(rope.raw(name))} needs it. ${NEXT_STEP}`);
    return rope.number(field, 1, FACTOR);
  };
  /** Context length of the original training. */
  const original = (missing = nCtx) =>
    rope.countOrNull("original_max_position_embeddings", null) ??
    hf.countOrNull("original_max_position_embeddings", missing) ??
    missing;
  /** The factor, which follows from the original context if that is given. */
  const factorOrOriginal = (originalCtx: number) => {
    if (![rope, hf].some((fields) => fields.has("original_max_position_embeddings"))) return required("factor");
    return rope.number("factor", nCtx / originalCtx, FACTOR);
  };
  const longrope = (): RotaryScaling => {
    const originalCtx = original();
    const factor = factorOrOriginal(originalCtx);
    const stretch = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalCtx));
    const factors = (field: string) =>
      rope.list(field, Math.trunc(dims / 2), "a number above 0", isPositive) ??
      rope.reject(field, `but rope type longrope needs it. ${NEXT_STEP}`);
    return {
      kind: "longrope",
      originalCtx,
      shortFactors: factors("short_factor"),
      longFactors: factors("long_factor"),
      attentionFactor: rope.number("attention_factor", stretch, FACTOR),
    };
  };
  const kinds: Readonly<Record<string, () => RotaryScaling | null>> = {
    default: () => null,
    linear: () => ({ kind: "linear", factor: required("factor") }),
    // Based on max_position_embeddings, as in transformers, not on the original context.
    dynamic: () => ({ kind: "dynamic", factor: required("factor"), originalCtx: nCtx }),
    llama3: () => ({
      kind: "llama3",
      factor: required("factor"),
      originalCtx: original(),
      lowFrequencyFactor: required("low_freq_factor"),
      highFrequencyFactor: required("high_freq_factor"),
    }),
    yarn: () => {
      const originalCtx = original();
      const factor = factorOrOriginal(originalCtx);
      return {
        kind: "yarn",
        factor,
        originalCtx,
        betaFast: rope.number("beta_fast", 32, FACTOR),
        betaSlow: rope.number("beta_slow", 1, FACTOR),
        attentionFactor: rope.number("attention_factor", yarnAttention(rope, factor), FACTOR),
        truncate: rope.flag("truncate", true),
      };
    },
    longrope,
  };
  // The first Phi-3 files call longrope su or yarn.
  const isLongrope = rope.has("long_factor") && ["su", "yarn"].includes(rope.raw(name) as string);
  return isLongrope ? longrope() : rope.choice(name, kinds, "default")();
}

/** Factor on attention scores for a longer context (Peng et al., 2023, equation 22). */
function yarnAttention(rope: Fields, factor: number): number {
  const scale = (by: number) => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  const [mscale, all] = [rope.numberOrNull("mscale", FACTOR), rope.numberOrNull("mscale_all_dim", FACTOR)];
  return mscale !== null && all !== null ? scale(mscale) / scale(all) : scale(1);
}
