/** Searches for models on the Hub. */

import { listModels } from "@huggingface/hub";
import type { FoundModel } from "../api/hub";
import { knownModelTypes } from "../models/families";
import { isObject } from "../weights/reading";
import { answersOf } from "./answers";
import { type Connection, checkResponse, connect, type HubOptions } from "./connection";

const MAX_FOUND = 30;
/** Higher than the maximum of results, because models of unsupported architectures are dropped. */
const MAX_REQUESTED = 100;

/** Returns text-generation models of supported architectures, most downloaded first. */
export async function searchHub(query: string, access: HubOptions = {}): Promise<FoundModel[]> {
  const connection = await connect(access);
  return checkResponse(connection, find(query, connection));
}

async function find(query: string, connection: Connection): Promise<FoundModel[]> {
  const found: FoundModel[] = [];
  const models = listModels({
    search: { query, task: "text-generation" },
    sort: "downloads",
    limit: MAX_REQUESTED,
    additionalFields: ["config", "safetensors"],
    hubUrl: connection.endpoint,
    fetch: answersOf(connection),
  });
  for await (const { name, downloads, likes, config, safetensors } of models) {
    const modelType = modelTypeOf(config);
    if (modelType === undefined || !knownModelTypes.includes(modelType)) continue;
    if (!isModelName(name)) continue;
    const parameters = safetensors?.total;
    const counts = { downloads: countOf(downloads), likes: countOf(likes) };
    found.push({
      id: name,
      ...counts,
      modelType,
      ...(parameters !== undefined && { parameters: countOf(parameters) }),
    });
    if (found.length === MAX_FOUND) break;
  }
  return found;
}

/** A name that the Hub allows; anything else in an answer is not shown. */
const isModelName = (name: unknown): name is string =>
  typeof name === "string" && /^[\w.-]{1,96}(\/[\w.-]{1,96})?$/.test(name);

const countOf = (value: unknown): number =>
  typeof value === "number" && value >= 0 && value < 1e15 ? Math.floor(value) : 0;

function modelTypeOf(config: unknown): string | undefined {
  return isObject(config) && typeof config.model_type === "string" ? config.model_type : undefined;
}

const MAX_SIMILAR = 3;

/** Names of models that contain the last part of a misspelled name. */
export async function similarNames(id: string, connection: Connection): Promise<string[]> {
  const names: string[] = [];
  const query = id.slice(id.indexOf("/") + 1);
  for await (const { name } of listModels({
    search: { query },
    sort: "downloads",
    limit: MAX_SIMILAR,
    hubUrl: connection.endpoint,
    fetch: answersOf(connection),
  })) {
    if (isModelName(name)) names.push(name);
  }
  return names;
}
