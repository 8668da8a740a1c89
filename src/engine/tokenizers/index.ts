export { adderTokenizer } from "./adder";
export { encodeBatch, padBatch } from "./batch";
export { DocumentTokens } from "./document";
export { loadPrefixedTokenizer, loadTokenizer, saveTokenizer, tokenizerFiles } from "./files";
export { UNKNOWN } from "./model";
export { noTokenizer } from "./none";
export { SENTENCE, sentenceIds, trainSentences } from "./sentences";
export type { Tokenizer } from "./tokenizer";
export { parseTokenizer } from "./tokenizerJson";
export {
  cutChunks,
  trainBytePairs,
  trainCharacters,
  trainWords,
} from "./training";
