import { evaluateModel } from "../../engine";
import type { Command } from "../options";
import { print } from "../terminal";

export const evaluate: Command = {
  summary: "Compute the loss, perplexity and accuracy of a model",
  usage: "eval --model PATH [--data PATH…] [--device D] [--json]",
  values: ["model", "device"],
  many: ["data"],
  flags: ["json"],
  readsGguf: true,
  async run(options) {
    const result = await evaluateModel(options.needed("model"), options.source(), options.device());
    if (options.has("json")) return print(JSON.stringify(result));
    const { loss, perplexity, tokens, accuracy } = result;
    print(`loss ${loss.toFixed(4)}  perplexity ${perplexity.toFixed(3)}  over ${tokens.toLocaleString("en")} tokens`);
    if (accuracy !== undefined) print(`accuracy ${accuracy.toFixed(4)}`);
  },
};
