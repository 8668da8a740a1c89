export type { HubAccess, Patience } from "./connection";
export { type ImportOptions, importModel, SOURCE_FILE } from "./import";
export type { ImportProgress, OnProgress } from "./progress";
export { type FoundModel, searchHub } from "./search";
export { parseSource, type Source } from "./source";
