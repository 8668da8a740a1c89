export {
  ADAPTER_FILES,
  appendJsonLines,
  type Checkpoint,
  type LatestCheckpoint,
  latestCheckpoint,
  listCheckpoints,
  MODEL_FILES,
  OPTIMIZER_FILE,
  plainFileName,
  pruneCheckpoints,
  publish,
  REPORTS_FILE,
  readJson,
  readJsonLines,
  writeCheckpoint,
} from "./checkpoint";
export { codeOf, makeFolder, readError, storageError, writeFileWhole } from "./files";
export { type Gguf, type GgufTensor, readGguf } from "./gguf";
export { convertGguf } from "./ggufConvert";
export {
  type Bits,
  BLOCK,
  type Choose,
  dequantize,
  QUANTIZATION_FILE,
  type QuantizationReport,
  type Quantized,
  type QuantizeOptions,
  quantizeFolder,
  quantizeMatrix,
  relativeError,
} from "./quantize";
export {
  type DType,
  readHeader,
  readTensor,
  readTensors,
  type SafetensorsHeader,
  type Tensor,
  type TensorInfo,
  type TensorToWrite,
  writeSafetensors,
} from "./safetensors";
export {
  hasStored,
  openStored,
  readStored,
  readStoredBytes,
  type StoredDType,
  type StoredTensor,
  type StoredTensors,
} from "./stored";
