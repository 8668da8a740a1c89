/** The families of models that can be opened. Adding one: its file, a line here, and a line in the tests. */

import { EngineError } from "../errors";
import { decoderLab, decoderLabTranslate } from "./decoderLab";
import type { Family } from "./family";
import { gemma } from "./gemma";
import { gemma2 } from "./gemma2";
import { gpt2 } from "./gpt2";
import { gptNeo } from "./gptNeo";
import { gptNeoX } from "./gptNeoX";
import { llama } from "./llama";
import { mistral } from "./mistral";
import { olmo2 } from "./olmo2";
import { opt } from "./opt";
import { phi } from "./phi";
import { qwen2 } from "./qwen2";
import { qwen3 } from "./qwen3";
import { smollm3 } from "./smollm3";

const FAMILIES: readonly Family[] = [
  decoderLab,
  gpt2,
  opt,
  gptNeo,
  gptNeoX,
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma,
  gemma2,
  phi,
  olmo2,
  smollm3,
];

/** What config.json may have as `model_type`. */
export const knownModelTypes: readonly string[] = FAMILIES.map(({ modelType }) => modelType);

/** The family that a config.json is of. */
export function familyOf(json: unknown, file: string): Family {
  const modelType =
    typeof json === "object" && json !== null ? (json as { model_type?: unknown }).model_type : undefined;
  const family = FAMILIES.find((known) => known.modelType === modelType);
  if (family) return family;
  if (modelType === decoderLabTranslate.modelType) {
    throw new EngineError(
      "config",
      `${file} is of a translator, which turns whole sentences into others and does not go on with a text; translate with \`decoder-lab generate\`, or choose a model that writes.`,
    );
  }
  const found =
    modelType === undefined ? "it has no model_type" : `model_type ${JSON.stringify(modelType)} is not supported`;
  throw new EngineError(
    "config",
    `${file}: ${found.slice(0, 100)}; choose a model of one of these: ${knownModelTypes.join(", ")}.`,
  );
}
