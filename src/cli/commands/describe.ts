import { describeModel, printModules } from "../../engine";
import type { Command } from "../options";
import { print } from "../terminal";

export const describe: Command = {
  summary: "Print the modules and parameters of a model",
  usage: "describe --model PATH [--json]",
  values: ["model"],
  flags: ["json"],
  readsGguf: true,
  async run(options) {
    const tree = await describeModel(options.needed("model"));
    if (options.has("json")) return print(JSON.stringify(tree));
    print(printModules(tree));
  },
};
