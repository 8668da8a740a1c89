export {
  ADDITION,
  type AdderData,
  type Arithmetic,
  adderBatch,
  adderBatchesPerEpoch,
  adderData,
  adderEvaluationBatches,
  carriesOf,
  type Equations,
  equationBlockSize,
  equationShape,
  type Operator,
} from "./adder";
export {
  type Batch,
  type BatchShape,
  countEvaluationBatches,
  emptyBatch,
  evaluationBatch,
  evaluationBatches,
  IGNORE,
  randomBatch,
  sequentialBatch,
} from "./batches";
export { cacheFolder, cacheLimit, DataCache } from "./cache";
export { type Corpus, openCorpus, READING, type ReadingOptions } from "./corpus";
export { type Documents, readTokens } from "./encode";
export { readSentences } from "./sentences";
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
