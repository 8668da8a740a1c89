export { type ExportOptions, type ExportProgress, exportModel } from "./export";
