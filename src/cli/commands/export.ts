import { EngineError, exportModel } from "../../engine";
import type { Command } from "../options";

export const exportTo: Command = {
  usage: "export --model DIR --format hf|onnx|torch --out DIR [--precision float32|int8|int4] [--data PATH…] [--json]",
  values: ["model", "format", "out", "precision"],
  many: ["data"],
  flags: ["json"],
  async run(options) {
    const precision = options.text("precision");
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    process.once("SIGTERM", () => stop.abort());
    const { stderr } = process;
    const write = (line: string) => stderr.isTTY && stderr.write(`\r${line}\x1b[K`);
    const { dir } = await exportModel(options.needed("model"), {
      format: oneOf("format", options.needed("format"), ["hf", "onnx", "torch"]),
      out: options.needed("out"),
      precision:
        precision === undefined ? undefined : oneOf("precision", precision, ["float32", "int8", "int4"] as const),
      data: options.source(),
      signal: stop.signal,
      onProgress: ({ bytes, totalBytes }) => write(`${megabytes(bytes)} of ${megabytes(totalBytes)} MB`),
    })
      .catch((error: unknown) => {
        if (error !== stop.signal.reason) throw error;
        throw new EngineError("canceled", "Stopped; nothing was exported.", { cause: error });
      })
      .finally(() => write(""));
    console.log(options.has("json") ? JSON.stringify({ event: "done", dir }) : dir);
  },
};

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);

function oneOf<W extends string>(name: string, text: string, words: readonly W[]): W {
  const known = words.find((word) => word === text);
  if (known !== undefined) return known;
  throw new EngineError("config", `--${name} takes ${words.join(" or ")}, got "${text}".`);
}
