import { EngineError, LoadedModel } from "../../engine";
import type { Command, Options } from "../options";

export const generate: Command = {
  usage:
    "generate --model DIR (--prompt TEXT | --ids 1,2,3) --max-new-tokens N [--temperature T] [--top-k K] [--top-p P] [--seed N] [--device D] [--json]",
  values: ["model", "prompt", "ids", "max-new-tokens", "temperature", "top-k", "top-p", "seed", "device"],
  flags: ["json"],
  async run(options) {
    const loaded = await LoadedModel.open(options.needed("model"), options.device());
    const sampling = {
      temperature: options.number("temperature", { max: 100 }) ?? 0,
      topK: options.number("top-k", { whole: true }) ?? 0,
      topP: options.number("top-p", { max: 1 }) ?? 1,
      seed: options.number("seed", { whole: true }) ?? 0,
      maxNewTokens: options.count("max-new-tokens") ?? 64,
    };
    const json = options.has("json");
    let written = 0;
    const { ids, text } = await loaded.generate(promptIds(loaded, options), sampling, (token) => {
      if (!json) process.stdout.write(token.text.slice(written));
      written = token.text.length;
    });
    if (json) console.log(JSON.stringify({ ids, text }));
    else process.stdout.write(`${text.slice(written)}\n`);
    await loaded.release();
  },
};

/** The prompt of --prompt or --ids, checked against the vocabulary. */
export function promptIds({ model }: LoadedModel, options: Options): number[] {
  if (!options.has("ids")) return [...model.tokenizer.encodePrompt(options.needed("prompt"))];
  const [ids = []] = options.idRows("ids");
  requireIds(ids, model.cfg.vocabSize);
  return ids;
}

export function requireIds(ids: readonly number[], vocabSize: number): void {
  const wrong = ids.find((id) => id >= vocabSize);
  if (wrong === undefined) return;
  throw new EngineError("tokenizer", `There is no token ${wrong}; this model's ids go from 0 to ${vocabSize - 1}.`);
}
