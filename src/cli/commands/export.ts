import { type ExportProgress, exportModel } from "../../engine";
import { byteSize } from "../../text/untrusted";
import { cancelable } from "../interrupt";
import type { Command } from "../options";
import { print } from "../terminal";

export const exportTo: Command = {
  summary: "Export a model to Hugging Face, ONNX or a PyTorch project",
  usage: "export --model PATH --format hf|onnx|torch --out DIR [--precision float32|int8|int4] [--data PATH…] [--json]",
  values: ["model", "format", "out", "precision"],
  many: ["data"],
  flags: ["json"],
  readsGguf: true,
  async run(options) {
    const model = options.needed("model");
    options.needed("format");
    const settings = {
      format: options.choice("format", ["hf", "onnx", "torch"]) as "hf" | "onnx" | "torch",
      out: options.needed("out"),
      precision: options.choice("precision", ["float32", "int8", "int4"]),
      data: options.source(),
    };
    const { stderr } = process;
    const write = (line: string) => stderr.isTTY && stderr.write(`\r${line}\x1b[K`);
    const onProgress = ({ bytes, totalBytes }: ExportProgress) =>
      write(`${byteSize(bytes)} of ${byteSize(totalBytes)}`);
    const { dir } = await cancelable("Stopped. Nothing was exported.", (signal) =>
      exportModel(model, { ...settings, signal, onProgress }),
    ).finally(() => write(""));
    print(options.has("json") ? JSON.stringify({ event: "done", dir }) : dir);
  },
};
