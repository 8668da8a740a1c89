export {
  ADAPTER_FILES,
  appendJsonLines,
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
export { readGguf } from "./gguf";
export { checkGguf, convertGguf } from "./ggufConvert";
export {
  type Bits,
  type Choose,
  dequantize,
  quantizeFolder,
  quantizeMatrix,
} from "./quantize";
export {
  readHeader,
  readTensor,
  readTensors,
  type Tensor,
  type TensorToWrite,
  writeSafetensors,
} from "./safetensors";
export {
  checkHeader,
  hasStored,
  openStored,
  readStored,
  readStoredBytes,
  type StoredTensor,
  type StoredTensors,
} from "./stored";
