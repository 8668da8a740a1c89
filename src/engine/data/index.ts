export {
  ADDER_ANSWER_LENGTH,
  ADDER_BLOCK_SIZE,
  ADDER_LENGTH,
  ADDER_PROMPT_LENGTH,
  type AdderData,
  adderBatch,
  adderBatchesPerEpoch,
  adderData,
  adderEvaluationBatches,
  type Equations,
} from "./adder";
export {
  type Batch,
  type BatchShape,
  countEvaluationBatches,
  evaluationBatch,
  evaluationBatches,
  IGNORE,
  randomBatch,
  sequentialBatch,
} from "./batches";
export { cacheFolder, cacheLimit, DataCache } from "./cache";
export { type Corpus, openCorpus, READING, type ReadingOptions, type TextSource } from "./corpus";
export { type Documents, readTokens } from "./encode";
export { type TokenizedText, type TokenizeOptions, tokenizeCorpus, type Vocabulary } from "./tokenizeCorpus";
export {
  FileTokens,
  type Ids,
  requireContext,
  requireDocuments,
  type Shares,
  type Splits,
  splitDocuments,
  splitTokens,
  type Tokens,
} from "./tokens";
