import { resolve } from "node:path";
import { EngineError, type ImportProgress, importModel } from "../../engine";
import type { Command } from "../options";

export const importSource: Command = {
  usage: "import SOURCE --out DIR [--quantize int8|int4] [--revision R] [--endpoint URL] [--offline] [--json]",
  positional: "source",
  values: ["out", "quantize", "revision", "endpoint"],
  flags: ["offline", "json"],
  async run(options) {
    const source = options.needed("source");
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    process.once("SIGTERM", () => stop.abort());
    const show = options.has("json") ? showJson() : showLine();
    const { dir } = await importModel(source, {
      out: resolve(options.needed("out")),
      quantize: quantization(options.text("quantize")),
      revision: options.text("revision"),
      endpoint: options.text("endpoint"),
      offline: options.has("offline"),
      signal: stop.signal,
      onProgress: show.progress,
    })
      .catch((error: unknown) => {
        if (error !== stop.signal.reason) throw error;
        throw new EngineError(
          "canceled",
          "Stopped; what was downloaded is in the cache, and the next import goes on with it.",
          { cause: error },
        );
      })
      .finally(show.end);
    console.log(options.has("json") ? JSON.stringify({ event: "done", dir }) : dir);
  },
};

interface Display {
  readonly progress: (progress: ImportProgress) => void;
  readonly end: () => void;
}

/** A line a second, and each phase's last. */
function showJson(): Display {
  let told = 0;
  return {
    progress: (progress) => {
      const now = performance.now();
      if (now - told < 1000 && progress.bytes < progress.totalBytes) return;
      told = now;
      console.log(JSON.stringify({ event: "progress", ...progress }));
    },
    end: () => {},
  };
}

/** One line that is written over, in a terminal only. */
function showLine(): Display {
  const { stderr } = process;
  const write = (line: string) => stderr.isTTY && stderr.write(`\r${line.slice(0, stderr.columns - 1)}\x1b[K`);
  return {
    progress: ({ phase, file, bytes, totalBytes, bytesPerSecond, secondsLeft }) => {
      const size = (n: number) => `${(n / 1e6).toFixed(1)} MB`;
      const speed = bytesPerSecond > 0 ? `  ${size(bytesPerSecond)}/s` : "";
      const left = secondsLeft === null ? "" : `  ${Math.ceil(secondsLeft)} s left`;
      write(totalBytes === 0 ? `${phase} …` : `${phase} ${file}  ${size(bytes)} of ${size(totalBytes)}${speed}${left}`);
    },
    end: () => write(""),
  };
}

function quantization(text: string | undefined): "int8" | "int4" | undefined {
  if (text === undefined || text === "int8" || text === "int4") return text;
  throw new EngineError("config", `--quantize takes int8 or int4, got "${text}".`);
}
