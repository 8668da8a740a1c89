import { resolve } from "node:path";
import { type ImportProgress, importModel, openModel } from "../../engine";
import { byteSize, excerpt } from "../../text/untrusted";
import { cancelable } from "../interrupt";
import type { Command } from "../options";
import { print } from "../terminal";

export const importSource: Command = {
  summary: "Import a model from Hugging Face, a folder or a GGUF file",
  usage: "import SOURCE --out DIR [--quantize int8|int4] [--revision R] [--endpoint URL] [--offline] [--json]",
  positional: "source",
  values: ["out", "quantize", "revision", "endpoint"],
  flags: ["offline", "json"],
  async run(options) {
    const source = options.needed("source");
    const settings = {
      out: resolve(options.needed("out")),
      quantize: options.choice("quantize", ["int8", "int4"]),
      revision: options.text("revision"),
      endpoint: options.text("endpoint"),
      offline: options.has("offline"),
    };
    const { onProgress, end } = options.has("json") ? jsonDisplay() : lineDisplay();
    const stopped = "Stopped. The next import continues with the files in the cache.";
    const { dir } = await cancelable(stopped, (signal) =>
      importModel(source, { ...settings, signal, onProgress }),
    ).finally(end);
    const { notes = [] } = (await openModel(dir)).info;
    if (options.has("json")) return print(JSON.stringify({ event: "done", dir, ...(notes.length > 0 && { notes }) }));
    for (const note of notes) console.error(note);
    print(dir);
  },
};

interface Display {
  readonly onProgress: (progress: ImportProgress) => void;
  readonly end: () => void;
}

/** Prints one line per second, and the last of each phase. */
function jsonDisplay(): Display {
  let printed = 0;
  return {
    onProgress: (progress) => {
      const now = performance.now();
      if (now - printed < 1000 && progress.bytes < progress.totalBytes) return;
      printed = now;
      print(JSON.stringify({ event: "progress", ...progress }));
    },
    end: () => {},
  };
}

/** Updates one line, only in a terminal. */
function lineDisplay(): Display {
  const { stderr } = process;
  const write = (line: string) => stderr.isTTY && stderr.write(`\r${line.slice(0, stderr.columns - 1)}\x1b[K`);
  return {
    onProgress: ({ phase, file, bytes, totalBytes, bytesPerSecond, secondsLeft }) => {
      const speed = bytesPerSecond > 0 ? `  ${byteSize(bytesPerSecond)}/s` : "";
      const left = secondsLeft === null ? "" : `  ${Math.ceil(secondsLeft)} s left`;
      write(
        totalBytes === 0
          ? `${phase} …`
          : `${phase} ${excerpt(file)}  ${byteSize(bytes)} of ${byteSize(totalBytes)}${speed}${left}`,
      );
    },
    end: () => write(""),
  };
}
