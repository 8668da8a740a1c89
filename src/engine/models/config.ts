/**
 * Reading config.json: fields with their names in every refusal, and what several families write in the same way.
 * A file says nothing for a field that has its usual value, so every reading takes what transformers has then.
 */

import { EngineError } from "../errors";
import type { Activation, DecoderConfig, Rotary, RotaryScaling } from "../nn/config";
import { countParameters } from "../nn/params";

/** Larger than any model this engine can hold; keeps a hostile file from asking for absurd memory. */
const LARGEST = 1 << 24;
/** Each layer is an object or more even where only names are listed. */
const MOST_LAYERS = 1000;
const MOST_PARAMETERS = 2 ** 40;

/** The fields of config.json, or of an object in it. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(
    json: unknown,
    readonly file: string,
    /** What fields of an object inside are called: `rope_scaling.factor`. */
    readonly path = "",
  ) {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw new EngineError(
        "config",
        `${file}: ${path === "" ? "it" : path.slice(0, -1)} is not a JSON object; ${NEXT_STEP}.`,
      );
    }
    // An object that is no array: its fields may be read, whatever they hold.
    this.#values = json as Readonly<Record<string, unknown>>;
  }

  /** A whole number from 1 on. */
  count(name: string, missing: number, most = LARGEST): number {
    const value = this.#value(name) === undefined ? missing : this.#value(name);
    const fits = Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;
    return this.#must(name, value, fits, `a whole number from 1 to ${most}`) as number;
  }

  /** How many layers there are; so few that lists can be made of them. */
  layerCount(name: string, missing: number): number {
    return this.count(name, missing, MOST_LAYERS);
  }

  /** The same where null has a meaning. */
  countOrNull(name: string, missing: number | null): number | null {
    if (this.#value(name) === null) return null;
    return missing === null && this.#value(name) === undefined ? null : this.count(name, missing ?? 1);
  }

  number(name: string, missing: number, [least, most]: readonly [number, number]): number {
    const value = this.#value(name) ?? missing;
    const fits = typeof value === "number" && value >= least && value <= most;
    return this.#must(name, value, fits, `a number from ${least} to ${most}`) as number;
  }

  /** A number that may be missing or null. */
  numberOrNull(name: string, range: readonly [number, number]): number | null {
    return this.has(name) ? this.number(name, 0, range) : null;
  }

  flag(name: string, missing: boolean): boolean {
    const value = this.#value(name) ?? missing;
    return this.#must(name, value, typeof value === "boolean", "true or false") as boolean;
  }

  /** What a word stands for. */
  choice<T>(name: string, words: Readonly<Record<string, T>>, missing: string): T {
    const value = this.#value(name) ?? missing;
    const fits = typeof value === "string" && Object.hasOwn(words, value);
    return words[this.#must(name, value, fits, `one of ${Object.keys(words).join(", ")}`) as string] as T;
  }

  /** A list with an element for each layer (or `length` of something else), or null where there is none. */
  list<T>(name: string, length: number, element: string, fits: (value: unknown) => value is T): readonly T[] | null {
    const value = this.#value(name) ?? null;
    if (value === null) return null;
    const good = Array.isArray(value) && value.length === length && value.every(fits);
    return this.#must(name, value, good, `a list of ${length}, each ${element}`) as readonly T[];
  }

  object(name: string): Fields | null {
    return this.has(name) ? new Fields(this.#value(name), this.file, `${this.path}${name}.`) : null;
  }

  has(name: string): boolean {
    return (this.#value(name) ?? null) !== null;
  }

  /** The value as it is, for what is only compared with known ones. */
  raw(name: string): unknown {
    return this.#value(name);
  }

  /** Ends with what is wrong with a field, and what to do. */
  refuse(name: string, problem: string): never {
    throw new EngineError("config", `${this.file}: ${this.path}${name} is ${shown(this.#value(name))}, ${problem}.`);
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }

  #must(name: string, value: unknown, fits: boolean, expected: string): unknown {
    if (fits) return value;
    throw new EngineError(
      "config",
      `${this.file}: ${this.path}${name} is ${shown(value)}, which is not ${expected}; ${NEXT_STEP}.`,
    );
  }
}

const NEXT_STEP = "take the file from the model's source again, or choose another model folder";

const isPositive = (value: unknown): value is number => typeof value === "number" && value > 0 && value <= 1e6;

/** A value within a sentence, shortened. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? "missing";
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

/** What no family here computes; a file that has it on means another model than its model_type says. */
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

/** Refuses what a file asks for beyond the sizes. */
export function requireSupported(hf: Fields): void {
  for (const [name, feature] of Object.entries(UNSUPPORTED)) {
    const value = hf.raw(name) ?? false;
    if (value !== false && value !== 0) {
      hf.refuse(name, `but ${feature} are not supported; choose a decoder-only model without them`);
    }
  }
  const method = hf.object("quantization_config")?.raw("quant_method");
  if (method !== undefined && method !== "decoder_lab") {
    hf.refuse("quantization_config", "which is not supported; choose the model's unquantized files");
  }
}

/** Refuses sizes that do not go together, before anything is made of them. */
export function requireSizes(cfg: DecoderConfig, file: string): DecoderConfig {
  const { nHeads, nKvHeads, dModel, dHead, positions } = cfg;
  const wrong = (problem: string) => {
    throw new EngineError("config", `${file}: ${problem}; ${NEXT_STEP}.`);
  };
  if (!Number.isInteger(dHead)) wrong(`${dModel} cannot be divided among ${nHeads} heads`);
  if (nHeads % nKvHeads !== 0)
    wrong(`${nHeads} heads of queries cannot share ${nKvHeads} heads of keys and values evenly`);
  if (nHeads * dHead > LARGEST) wrong(`its heads are ${nHeads * dHead} wide together, more than ${LARGEST}`);
  if (positions.kind === "rotary") {
    const { dims } = positions;
    if (dims < 2 || dims % 2 !== 0 || dims > dHead)
      wrong(`${dims} of each head's ${dHead} dimensions would be rotated, which must be an even number up to ${dHead}`);
    if (positions.scaling?.kind === "dynamic" && dims < 4) wrong("dynamic rope scaling needs 4 rotated dimensions");
  }
  if (countParameters(cfg) > MOST_PARAMETERS) wrong("it has more than a million million parameters");
  return cfg;
}

/** Activations by the names that transformers has for them. */
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

/** Sliding windows of the layers: as `layer_types` says, else where the family's rule has one. */
export function windowsOf(
  hf: Fields,
  { nLayers, nCtx }: Pick<DecoderConfig, "nLayers" | "nCtx">,
  window: number | null,
  hasWindow: (layer: number) => boolean,
): readonly (number | null)[] {
  const types = hf.list("layer_types", nLayers, 'one of "full_attention", "sliding_attention"', isLayerType);
  const windowed = types ? types.map((type) => type === "sliding_attention") : layers(nLayers).map(hasWindow);
  // A window as long as the context hides nothing.
  const seen = window === null || window >= nCtx ? null : window;
  if (types?.includes("sliding_attention") && window === null)
    hf.refuse("layer_types", `but no sliding_window is given; ${NEXT_STEP}`);
  return seen === null || !windowed.includes(true) ? [] : windowed.map((has) => (has ? seen : null));
}

const isLayerType = (value: unknown): value is string => value === "full_attention" || value === "sliding_attention";

export const layers = (nLayers: number): number[] => Array.from({ length: nLayers }, (_, l) => l);

/** What a family's rotary positions are where its file does not say. */
export interface RotaryDefaults {
  readonly nCtx: number;
  readonly theta?: number;
  /** The share of each head's dimensions that are rotated. */
  readonly share?: number;
  /** What the share and theta were called before `rope_parameters`. */
  readonly shareName?: string;
  readonly thetaName?: string;
}

/**
 * Rotary positions, and how far they reach. Newer files have all of it in `rope_parameters`; older ones have
 * `rope_theta`, `rope_scaling` and a share.
 */
export function rotaryOf(hf: Fields, dHead: number, defaults: RotaryDefaults): { positions: Rotary; nCtx: number } {
  const { theta = 10000, share = 1, shareName = "partial_rotary_factor", thetaName = "rope_theta" } = defaults;
  const nCtx = hf.count("max_position_embeddings", defaults.nCtx);
  const rope = hf.object("rope_parameters") ?? hf.object("rope_scaling");
  for (const type of ["full_attention", "sliding_attention"]) {
    if (rope?.has(type)) rope.refuse(type, "but rope that differs by layer is not supported; choose another model");
  }
  const rotated = rope?.has("partial_rotary_factor")
    ? rope.number("partial_rotary_factor", share, [0, 1])
    : hf.number(shareName, share, [0, 1]);
  const dims = Math.trunc(dHead * rotated);
  const scaling = rope ? scalingOf(rope, hf, nCtx, dims) : null;
  const positions: Rotary = {
    kind: "rotary",
    dims,
    theta: rope?.has("rope_theta") ? rope.number("rope_theta", theta, THETA) : hf.number(thetaName, theta, THETA),
    scaling,
    unrotatedLayers: [],
  };
  return { positions, nCtx: stretched(nCtx, scaling) };
}

/** Of scalings that take up from an original context, files give either that or the context that it is stretched to. */
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
    if (!rope.has(field)) rope.refuse(field, `which rope type ${rope.raw(name)} needs; ${NEXT_STEP}`);
    return rope.number(field, 1, FACTOR);
  };
  /** The context that the model was first trained for. */
  const original = (missing = nCtx) =>
    rope.countOrNull("original_max_position_embeddings", null) ??
    hf.countOrNull("original_max_position_embeddings", missing) ??
    missing;
  const kinds: Readonly<Record<string, () => RotaryScaling | null>> = {
    default: () => null,
    linear: () => ({ kind: "linear", factor: required("factor") }),
    // By what is in max_position_embeddings, whatever the original was.
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
      const factor = rope.number("factor", nCtx / originalCtx, FACTOR);
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
    longrope: () => {
      const originalCtx = original();
      const factor = rope.number("factor", nCtx / originalCtx, FACTOR);
      const stretch = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalCtx));
      const factors = (field: string) =>
        rope.list(field, Math.trunc(dims / 2), "a number above 0", isPositive) ??
        rope.refuse(field, `which rope type longrope needs; ${NEXT_STEP}`);
      return {
        kind: "longrope",
        originalCtx,
        shortFactors: factors("short_factor"),
        longFactors: factors("long_factor"),
        attentionFactor: rope.number("attention_factor", stretch, FACTOR),
      };
    },
  };
  return rope.choice(name, kinds, "default")();
}

/** How much sharper attention gets for a longer context (Peng et al., 2023, equation 22). */
function yarnAttention(rope: Fields, factor: number): number {
  const sharpened = (by: number) => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  const [mscale, all] = [rope.numberOrNull("mscale", FACTOR), rope.numberOrNull("mscale_all_dim", FACTOR)];
  return mscale !== null && all !== null ? sharpened(mscale) / sharpened(all) : sharpened(1);
}
