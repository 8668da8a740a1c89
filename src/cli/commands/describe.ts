import { describeModel, type ModuleTree, readConfig } from "../../engine";
import type { Command } from "../options";

export const describe: Command = {
  usage: "describe --model DIR [--json]",
  values: ["model"],
  flags: ["json"],
  async run(options) {
    const tree = describeModel(await readConfig(options.needed("model")));
    if (options.has("json")) return console.log(JSON.stringify(tree));
    console.log(`${print(tree, "")}\n${tree.parameters.toLocaleString("en")} parameters`);
  },
};

/** Indented as PyTorch's print(model), with each module's parameters. */
function print({ name, kind, parameters, children }: ModuleTree, indent: string): string {
  const count = parameters > 0 ? `  # ${parameters.toLocaleString("en")}` : "";
  const line = `${indent}(${name}): ${kind}${children.length > 0 ? " (" : ""}${count}`;
  if (children.length === 0) return line;
  return [line, ...children.map((child) => print(child, `${indent}  `)), `${indent})`].join("\n");
}
