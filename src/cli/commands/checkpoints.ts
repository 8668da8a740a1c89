import { resolve } from "node:path";
import { checkpointsOf, EngineError } from "../../engine";
import type { Command } from "../options";
import { print } from "../terminal";

export const checkpoints: Command = {
  summary: "List the checkpoints of a training run",
  usage: "checkpoints --model DIR [--json]",
  values: ["model"],
  flags: ["json"],
  async run(options) {
    const dir = resolve(options.needed("model"));
    const found = await checkpointsOf(dir);
    if (options.has("json")) return print(JSON.stringify(found));
    if (found.length === 0) {
      throw new EngineError(
        "checkpoint",
        `${dir} has no checkpoints of a complete model. Choose a model that was trained here without adapters.`,
      );
    }
    const field = (name: string, value: number | null) => (value === null ? "" : `  ${name} ${value.toFixed(4)}`);
    for (const { step, dir: path, loss, valLoss, accuracy } of found) {
      const figures = field("loss", loss) + field("validation loss", valLoss) + field("accuracy", accuracy);
      print(`step ${step}${figures}  ${path}`);
    }
  },
};
