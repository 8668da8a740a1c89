export {
  ADDITION,
  type Arithmetic,
  adderBatch,
  adderBatchesPerEpoch,
  adderData,
  adderEvaluationBatches,
  carriesOf,
  type Equations,
  equationBlockSize,
  equationShape,
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
export { openCorpus } from "./corpus";
export { type Documents, readTokens } from "./encode";
export { readSentences } from "./sentences";
export { type TokenizedText, type TokenizeOptions, tokenizeCorpus, type Vocabulary } from "./tokenizeCorpus";
export {
  requireContext,
  requireDocuments,
  type Splits,
  splitDocuments,
  splitTokens,
  type Tokens,
} from "./tokens";
