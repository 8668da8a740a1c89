export type { RetryPolicy } from "./connection";
export { type ImportOptions, importModel, SOURCE_FILE } from "./import";
export type { OnProgress } from "./progress";
export { searchHub } from "./search";
export { parseSource, type Source } from "./source";
