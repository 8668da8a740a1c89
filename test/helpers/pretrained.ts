/** A pretrained model as others publish it: Llama's architecture, with two heads of keys and values for four of queries. */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/** Random weights that are checked against PyTorch elsewhere, and the tokenizer of the model that comes with the extension. */
const FILES = {
  "config.json": "test/golden/architectures/llama/config.json",
  "model.safetensors": "test/golden/architectures/llama/model.safetensors",
  "tokenizer.json": "media/model/tokenizer.json",
  "tokenizer_config.json": "media/model/tokenizer_config.json",
};

export async function pretrainedFiles(): Promise<Record<string, Buffer>> {
  const files = Object.entries(FILES).map(async ([name, path]) => [name, await readFile(join(root, path))] as const);
  return Object.fromEntries(await Promise.all(files));
}

export async function writePretrained(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const [name, content] of Object.entries(await pretrainedFiles())) await writeFile(join(dir, name), content);
}
