import { resolve } from "node:path";
import { resume } from "../../engine";
import { restartWithHugePages } from "../hugePages";
import type { Command } from "../options";
import { watchRun } from "../watchRun";

export const resumeTraining: Command = {
  summary: "Resume a training run from its last checkpoint",
  usage: "resume --model DIR [--steps N] [--device D] [--json]",
  values: ["model", "steps", "device"],
  flags: ["json"],
  async run(options) {
    restartWithHugePages();
    const dir = resolve(options.needed("model"));
    const device = options.has("device") ? options.device() : undefined;
    const steps = options.count("steps");
    await watchRun(options.has("json"), (control) => resume(dir, { steps, device }, control));
  },
};
