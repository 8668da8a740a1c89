export { type ImportOptions, importModel } from "./import";
export { searchHub } from "./search";
export { parseSource, type Source } from "./source";
