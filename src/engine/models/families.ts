/** All supported model families. To add one, write its file, then add a line here and in the tests. */

import { shown } from "../../text/untrusted";
import { EngineError } from "../errors";
import { isObject } from "../weights/reading";
import { decoderLab, decoderLabTranslate } from "./decoderLab";
import type { Family } from "./family";
import { gemma } from "./gemma";
import { gemma2 } from "./gemma2";
import { gemma3, gemma3Text } from "./gemma3";
import { gpt2 } from "./gpt2";
import { gptBigCode } from "./gptBigCode";
import { gptNeo } from "./gptNeo";
import { gptNeoX } from "./gptNeoX";
import { granite } from "./granite";
import { graniteMoeHybrid } from "./graniteMoeHybrid";
import { llama } from "./llama";
import { mistral } from "./mistral";
import { olmo2 } from "./olmo2";
import { olmo3 } from "./olmo3";
import { opt } from "./opt";
import { phi } from "./phi";
import { phi3 } from "./phi3";
import { qwen2 } from "./qwen2";
import { qwen3 } from "./qwen3";
import { smollm3 } from "./smollm3";
import { starcoder2 } from "./starcoder2";

const FAMILIES: readonly Family[] = [
  decoderLab,
  gpt2,
  gptBigCode,
  opt,
  gptNeo,
  gptNeoX,
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  gemma3Text,
  gemma3,
  phi,
  phi3,
  olmo2,
  olmo3,
  smollm3,
  granite,
  graniteMoeHybrid,
  starcoder2,
];

/** Supported values of `model_type` in config.json. */
export const knownModelTypes: readonly string[] = FAMILIES.map(({ modelType }) => modelType);

/** Returns the family of a config.json. */
export function familyOf(json: unknown, file: string): Family {
  const modelType = isObject(json) ? json.model_type : undefined;
  const family =
    (modelType ?? null) === null ? byArchitecture(json) : FAMILIES.find((known) => known.modelType === modelType);
  if (family) return family;
  if (modelType === decoderLabTranslate.modelType) {
    throw new EngineError(
      "config",
      `${file} describes a translator, which cannot continue a text. Translate with \`decoder-lab generate\`, or choose a decoder-only model.`,
    );
  }
  const problem =
    (modelType ?? null) === null
      ? "model_type is missing. Add it with the model's family as its value"
      : `model_type ${shown(modelType, MAX_TYPE)} is not supported`;
  throw new EngineError("config", `${file}: ${problem}. Supported: ${knownModelTypes.join(", ")}.`);
}

const MAX_TYPE = 60;

/** Classes of transformers that contain a whole decoder, without the prefix of their family. */
const WHOLE = ["LMHeadModel", "ForCausalLM", "Model", "DoubleHeadsModel"];

/** Returns the family of a config.json without a model_type, which early versions of transformers wrote. */
function byArchitecture(json: unknown): Family | undefined {
  const [architecture] = isObject(json) && Array.isArray(json.architectures) ? json.architectures : [];
  return FAMILIES.find(({ className }) => WHOLE.some((end) => architecture === className + end));
}
