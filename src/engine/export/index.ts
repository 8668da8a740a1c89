export { type ExportOptions, exportModel } from "./export";
