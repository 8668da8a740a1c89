import { basename, resolve } from "node:path";
import { train } from "../../engine";
import type { Command } from "../options";
import { watchRun } from "../watchRun";

export const trainModel: Command = {
  usage:
    "train (--preset NAME | --from MODEL) [--data PATH…] --out DIR [--name NAME] [--steps N] [--seed N] [--device D] [--set key=value…] [--json]",
  values: ["preset", "from", "out", "name", "steps", "seed", "device"],
  many: ["data", "set"],
  flags: ["json"],
  async run(options) {
    const out = resolve(options.needed("out"));
    const steps = options.count("steps");
    const seed = options.number("seed", { whole: true });
    const data = options.source();
    const from = options.text("from");
    const run = {
      preset: options.text("preset") ?? (from === undefined ? options.needed("preset") : "finetune"),
      ...(from !== undefined && { from: resolve(from) }),
      out,
      name: options.text("name") ?? basename(out),
      device: options.device(),
      set: {
        ...options.settings(),
        ...(steps !== undefined && { "train.steps": steps }),
        ...(seed !== undefined && { "train.seed": seed }),
      },
      ...(data && { data }),
    };
    await watchRun(options.has("json"), (control) => train(run, control));
  },
};
