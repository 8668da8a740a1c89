export { adderTokenizer } from "./adder";
export { encodeBatch, padBatch, type TokenBatch } from "./batch";
export { DocumentTokens } from "./document";
export { loadPrefixedTokenizer, loadTokenizer, saveTokenizer, tokenizerFiles } from "./files";
export { UNKNOWN } from "./model";
export { noTokenizer } from "./none";
export { SENTENCE, sentenceIds, trainSentences } from "./sentences";
export type { TokenDecoder, Tokenizer } from "./tokenizer";
export { parseTokenizer } from "./tokenizerJson";
export {
  cutChunks,
  type TextChunks,
  type TrainTokenizerOptions,
  trainBytePairs,
  trainCharacters,
  trainWords,
} from "./training";
