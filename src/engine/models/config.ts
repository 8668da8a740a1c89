/** config.json of a model trained here: the decoder's own fields under model_type "decoder_lab". */

import { EngineError } from "../errors";
import { requireHeadSize } from "../generate/decoding";
import type { DecoderConfig } from "../nn/config";

export const MODEL_TYPE = "decoder_lab";

export const toConfigJson = (cfg: DecoderConfig): object => ({
  model_type: MODEL_TYPE,
  architectures: ["DecoderLabForCausalLM"],
  torch_dtype: "float32",
  ...cfg,
});

type Field = "count" | "flag" | "positive" | readonly string[];
const FIELDS: { readonly [K in keyof DecoderConfig]: Field } = {
  vocabSize: "count",
  nCtx: "count",
  nLayers: "count",
  nHeads: "count",
  dModel: "count",
  dMlp: "count",
  norm: ["pre", "post"],
  finalNorm: "flag",
  normEps: "positive",
  normBias: "flag",
  activation: ["relu", "gelu", "geluTanh"],
  attentionBias: "flag",
  mlpBias: "flag",
  tiedHead: "flag",
  headBias: "flag",
};

/** Larger than any model this engine can hold; keeps a hostile file from asking for absurd memory. */
const LARGEST = 1 << 24;
/** Each layer is an object or more even where only names are listed. */
const MOST_LAYERS = 1000;

/** Checks every field, so that what follows can trust the sizes. */
export function parseConfigJson(json: unknown, file: string): DecoderConfig {
  const wrong = (problem: string) =>
    new EngineError(
      "config",
      `${file}: ${problem}; choose a model folder that Decoder Lab wrote, or train the model again.`,
    );
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw wrong("it is not a JSON object");
  const values = json as Readonly<Record<string, unknown>>;
  if (values.model_type !== MODEL_TYPE) {
    throw wrong(`model_type "${values.model_type}" is not supported, only "${MODEL_TYPE}" is`);
  }
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = values[name];
    if (!fits(value, field)) throw wrong(`${name} is ${JSON.stringify(value)}, which is not ${expected(field)}`);
  }
  if ((values.nLayers as number) > MOST_LAYERS) throw wrong(`nLayers is ${values.nLayers}, more than ${MOST_LAYERS}`);
  // Every field was just checked against the table over DecoderConfig's own keys.
  const cfg = Object.fromEntries(Object.keys(FIELDS).map((name) => [name, values[name]])) as unknown as DecoderConfig;
  requireHeadSize(cfg);
  return cfg;
}

function fits(value: unknown, field: Field): boolean {
  if (field === "flag") return typeof value === "boolean";
  if (field === "count") return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= LARGEST;
  if (field === "positive") return typeof value === "number" && value >= 0 && value <= 1;
  return field.includes(value as string);
}

const expected = (field: Field): string =>
  field === "flag"
    ? "true or false"
    : field === "count"
      ? `a whole number from 1 to ${LARGEST}`
      : field === "positive"
        ? "a number from 0 to 1"
        : `one of ${field.join(", ")}`;
