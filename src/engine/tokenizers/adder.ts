/** The vocabulary of the addition task: digits, operators, and four special tokens. */

import { createTokenizer, type Tokenizer } from "./tokenizer";
import { characterModel } from "./vocabulary";

const ADDER_VOCABULARY = [..."0123456789+*-=", "<EOS>", "<BOS>", "<pad>", "??"];

/** `"15+57="` becomes 1 5 10 5 7 13, a prompt starts with 15 (`<BOS>`), and every other character becomes `??`, 17. */
export function adderTokenizer(): Tokenizer {
  const [eosId, bosId, padId, unkId] = [14, 15, 16, 17];
  const added = [eosId, bosId, padId, unkId].map((id) => ({
    id,
    content: ADDER_VOCABULARY[id] as string,
    special: true,
  }));
  return createTokenizer(characterModel("fixed", ADDER_VOCABULARY, unkId), {
    added,
    bosId,
    eosId,
    padId,
    unkId,
    addBos: true,
  });
}
