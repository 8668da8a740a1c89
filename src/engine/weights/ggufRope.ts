/** Scaling of the rotary positions in the metadata of a GGUF file, with the defaults of llama.cpp. */

import { type Metadata, ROPE_FACTORS, ROPE_FACTORS_LONG, ROPE_FACTORS_SHORT } from "./ggufMetadata";

const key = (name: string) => `rope.scaling.${name}`;

/** The value of `rope_scaling` in config.json for `dims` rotated dimensions of each head. */
export function ropeScaling(metadata: Metadata, dims: number): object | null {
  const type = metadata.has(key("type")) ? metadata.text(key("type")) : "linear";
  // Files of 2023 have the older key.
  const oldKey = !metadata.has(key("factor")) && metadata.has("rope.scale_linear");
  const isNamed = metadata.has(key("type")) && (type === "linear" || type === "yarn");
  // 0 stands for no scaling.
  const scale = metadata.factor(oldKey ? "rope.scale_linear" : key("factor"), isNamed ? undefined : 0) || 1;
  const attention = metadata.factor(key("attn_factor"), 1) || 1;
  const context = metadata.count("context_length");
  const original = metadata.count(key("original_context_length"), context);
  const factors = (name: string) => metadata.ropeFactors(name, dims / 2);
  /** Any factor for each frequency, as longrope with the same factors for every length. */
  const each = (short: readonly number[], long = short) => ({
    rope_type: "longrope",
    short_factor: short,
    long_factor: long,
    original_max_position_embeddings: original,
    attention_factor: attention,
  });
  const unsupported = (why: string) => metadata.unsupported("its scaling of rotary positions", why);

  switch (type) {
    case "none":
    case "linear": {
      // Files of Phi-3 have these without a type.
      const [short, long] = [factors(ROPE_FACTORS_SHORT), factors(ROPE_FACTORS_LONG)];
      if (short && long) return each(short, long);
      const linear = type === "linear" ? scale : 1;
      const ofFrequencies = factors(ROPE_FACTORS);
      if (ofFrequencies) {
        const llama3 = linear === 1 && attention === 1 ? llama3Scaling(metadata, dims, ofFrequencies) : null;
        return llama3 ?? each(ofFrequencies.map((factor) => factor * linear));
      }
      if (attention !== 1) return each(Array.from({ length: dims / 2 }, () => linear));
      return linear === 1 ? null : { rope_type: "linear", factor: linear };
    }
    case "yarn": {
      if (factors(ROPE_FACTORS)) throw unsupported(`${ROPE_FACTORS} and yarn exclude each other`);
      const optional = (name: string, from: string) =>
        metadata.has(key(from)) && { [name]: metadata.factor(key(from)) };
      return {
        rope_type: "yarn",
        factor: scale,
        original_max_position_embeddings: original,
        ...optional("beta_fast", "yarn_beta_fast"),
        ...optional("beta_slow", "yarn_beta_slow"),
        ...(attention !== 1 && { attention_factor: attention * (1 + 0.1 * Math.log(Math.max(1, scale))) }),
      };
    }
    case "longrope": {
      const [short, long] = [factors(ROPE_FACTORS_SHORT), factors(ROPE_FACTORS_LONG)];
      if (short && long) return each(short, long);
      throw unsupported(`longrope needs ${ROPE_FACTORS_SHORT} and ${ROPE_FACTORS_LONG}`);
    }
    default:
      throw metadata.wrong(key("type"), "none, linear, yarn or longrope");
  }
}

/** Values that all Llama 3 models share; the factor comes from the file. */
const LLAMA3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/**
 * Llama 3's scaling is stored as one factor per frequency. Recovers the parameters that the factors were made from; null
 * if they are others.
 */
function llama3Scaling(metadata: Metadata, dims: number, factors: readonly number[]): object | null {
  const factor = factors.reduce((a, b) => Math.max(a, b), 0);
  const base = metadata.number("rope.freq_base", 10000);
  const isLlama3 = factors.every((f, i) => Math.abs(f - expected(i)) < 1e-3 * factor);
  return isLlama3 ? { rope_type: "llama3", factor, ...LLAMA3 } : null;

  function expected(i: number): number {
    const { low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = LLAMA3;
    const wavelength = 2 * Math.PI * base ** ((2 * i) / dims);
    const smooth = Math.min(1, Math.max(0, (original / wavelength - low) / (high - low)));
    return 1 / ((1 - smooth) / factor + smooth);
  }
}
