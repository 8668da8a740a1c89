/** Stand-in for the tokenizer of a folder without one: its model reads and writes ids only. */

import { EngineError } from "../errors";
import type { Tokenizer } from "./tokenizer";

export function noTokenizer(dir: string, vocabSize: number): Tokenizer {
  const refuse = (): never => {
    throw new EngineError(
      "tokenizer",
      `${dir} has no tokenizer. Enter token ids, or copy the model's tokenizer.json into the folder.`,
    );
  };
  return {
    kind: "none",
    vocabSize,
    added: [],
    bosId: null,
    eosId: null,
    padId: null,
    unkId: null,
    addBos: false,
    startId: 0,
    get model() {
      return refuse();
    },
    encode: refuse,
    encodePrompt: refuse,
    spans: refuse,
    promptSpans: refuse,
    count: refuse,
    next: refuse,
    token: (id) => `<${id}>`,
    bytes: () => new Uint8Array(),
    decode: () => "",
    decoder: () => ({ push: () => "", end: () => "" }),
  };
}
