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
} from "./batches";
export { type Corpus, openCorpus, type TextSource } from "./corpus";
export { readTokens, requireContext, type Splits, splitTokens, type Tokens } from "./tokens";
