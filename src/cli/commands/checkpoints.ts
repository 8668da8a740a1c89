import { resolve } from "node:path";
import { checkpointsOf, EngineError } from "../../engine";
import type { Command } from "../options";

export const checkpoints: Command = {
  usage: "checkpoints --model DIR [--json]",
  values: ["model"],
  flags: ["json"],
  async run(options) {
    const dir = resolve(options.needed("model"));
    const found = await checkpointsOf(dir);
    if (options.has("json")) return console.log(JSON.stringify(found));
    if (found.length === 0) {
      throw new EngineError(
        "checkpoint",
        `${dir} has kept no checkpoints of a whole model; choose a model that was trained here, and not by adapters.`,
      );
    }
    const told = (name: string, value: number | null) => (value === null ? "" : `  ${name} ${value.toFixed(4)}`);
    for (const { step, dir: path, loss, valLoss, accuracy } of found) {
      const figures = told("loss", loss) + told("validation loss", valLoss) + told("accuracy", accuracy);
      console.log(`step ${step}${figures}  ${path}`);
    }
  },
};
