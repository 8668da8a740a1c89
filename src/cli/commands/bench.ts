import { benchTraining } from "../bench/training";
import type { Command } from "../options";

export const bench: Command = {
  usage: "bench [--only T1,T2,T3] [--seconds N] [--json]",
  values: ["only", "seconds"],
  flags: ["json"],
  async run(options) {
    const only = options.text("only")?.split(",");
    await benchTraining({
      only,
      seconds: options.number("seconds", { min: 1, max: 3600 }) ?? 10,
      json: options.has("json"),
    });
  },
};
