/** A pretrained model as published on the Hub: Llama's architecture with four query heads and two key-value heads. */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");

/** Random weights that other tests compare with PyTorch, and the tokenizer of a character model. */
const FILES = {
  "config.json": "test/golden/architectures/llama/config.json",
  "model.safetensors": "test/golden/architectures/llama/model.safetensors",
  "tokenizer.json": "test/golden/characters/tokenizer.json",
  "tokenizer_config.json": "test/golden/characters/tokenizer_config.json",
};

export async function pretrainedFiles(): Promise<Record<string, Buffer>> {
  const files = Object.entries(FILES).map(async ([name, path]) => [name, await readFile(join(root, path))] as const);
  return Object.fromEntries(await Promise.all(files));
}

export async function writePretrained(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const [name, content] of Object.entries(await pretrainedFiles())) await writeFile(join(dir, name), content);
}
