/** The engine's public API, in the order a newcomer needs it. Plain Node: no editor, no browser. */

export { DataCache, type TextSource } from "./data";
export { EngineError, type ErrorCode } from "./errors";
export { type ExportOptions, type ExportProgress, exportModel } from "./export";
export { windowStart } from "./generate/generate";
export { type Sampling, softmax } from "./generate/sampling";
export {
  type FoundModel,
  type HubAccess,
  type ImportOptions,
  type ImportProgress,
  importModel,
  parseSource,
  type Source,
  searchHub,
} from "./hub";
export { Attention } from "./inspect/attention";
export type { Attribution, AttributionOptions } from "./inspect/attribution";
export { compareTraces, compareWeights } from "./inspect/compare";
export type { Expectations } from "./inspect/expectation";
export type { Intervention, StackName } from "./inspect/interventions";
export type { LensOptions, LensView } from "./inspect/lens";
export { comparedStack, neighborsOf } from "./inspect/neighbors";
export { findTokens, matchingIds, type NextToken, nextToken, type RankedToken } from "./inspect/nextToken";
export { projectionIn } from "./inspect/projection";
export { type SamplerView, samplerView } from "./inspect/sampler";
export type { Surprisal } from "./inspect/surprisal";
export type { Trace, TraceValue } from "./inspect/trace";
export { openTrace, type SavedRun, saveTrace } from "./inspect/traceFile";
export { weightSummary } from "./inspect/weightSummary";
export { describeModel, type ModuleTree } from "./models/describe";
export { knownModelTypes } from "./models/families";
export { isCheckpoint, isTranslation, type Model, type ModelInfo, openModel, readConfig } from "./models/folder";
export { LoadedModel } from "./models/loaded";
export { printModules } from "./models/print";
export { LoadedTranslator } from "./models/translator";
export { decoderOf } from "./nn/config";
export { PRESETS } from "./presets/presets";
export { type PresetInfo, presetInfo, presetNamed, type Setting, type Settings } from "./presets/settings";
export { type DeviceChoice, type DeviceInfo, listDevices } from "./runtime/devices";
export type { Device } from "./runtime/session";
export { DocumentTokens, loadTokenizer, type Tokenizer, type TokenSpan } from "./tokenizers";
export type { EvalReport, StepReport, TrainConfig } from "./train/config";
export { type Evaluation, evaluateModel } from "./train/evaluate";
export { type Excerpt, trainingExcerpt } from "./train/excerpt";
export { type FoundRate, findLearningRate, type RatePoint } from "./train/findLearningRate";
export type { MemoryEstimate } from "./train/memory";
export {
  type Branch,
  branch,
  estimate,
  type NewRun,
  type RunControl,
  resume,
  type TrainEvent,
  type TrainResult,
  train,
} from "./train/run";
export { type CheckpointInfo, checkpointsOf } from "./train/runFolder";
