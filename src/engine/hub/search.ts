/** Looking for models on the hub. */

import { listModels } from "@huggingface/hub";
import type { FoundModel } from "../api/hub";
import { knownModelTypes } from "../models/families";
import { ask, type Connection, connect, type HubOptions } from "./connection";

const MOST_FOUND = 30;
/** Asked for more, as models of other architectures are left out. */
const MOST_ASKED = 100;

/** Text-generation models whose architecture is known, most downloaded first. */
export async function searchHub(query: string, access: HubOptions = {}): Promise<FoundModel[]> {
  const connection = await connect(access);
  return ask(connection, find(query, connection));
}

async function find(query: string, connection: Connection): Promise<FoundModel[]> {
  const found: FoundModel[] = [];
  const models = listModels({
    search: { query, task: "text-generation" },
    sort: "downloads",
    limit: MOST_ASKED,
    additionalFields: ["config", "safetensors"],
    hubUrl: connection.endpoint,
    fetch: connection.fetch,
  });
  for await (const { name, downloads, likes, config, safetensors } of models) {
    const modelType = modelTypeOf(config);
    if (modelType === undefined || !knownModelTypes.includes(modelType)) continue;
    const parameters = safetensors?.total;
    found.push({ id: name, downloads, likes, modelType, ...(parameters !== undefined && { parameters }) });
    if (found.length === MOST_FOUND) break;
  }
  return found;
}

function modelTypeOf(config: unknown): string | undefined {
  if (typeof config !== "object" || config === null || !("model_type" in config)) return undefined;
  return typeof config.model_type === "string" ? config.model_type : undefined;
}

const MOST_NEAR = 3;

/** Models whose name has what a mistyped one ends in. */
export async function namesLike(id: string, { endpoint, fetch }: Connection): Promise<string[]> {
  const names: string[] = [];
  const query = id.slice(id.indexOf("/") + 1);
  for await (const { name } of listModels({
    search: { query },
    sort: "downloads",
    limit: MOST_NEAR,
    hubUrl: endpoint,
    fetch,
  })) {
    names.push(name);
  }
  return names;
}
