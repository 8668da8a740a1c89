import { EngineError, isTranslation, LoadedModel, LoadedTranslator } from "../../engine";
import { toJson } from "../json";
import type { Command, Options } from "../options";
import { print, printable } from "../terminal";

export const generate: Command = {
  summary: "Generate text, or translate",
  usage:
    'generate --model PATH (--prompt TEXT | --ids "1,2,3;4,5") [--max-new-tokens N] [--temperature T] [--top-k K] [--top-p P] [--min-p P] [--repetition-penalty R] [--seed N] [--samples N] [--stop TEXT…] [--device D] [--json [--trace]]',
  values: [
    "model",
    "prompt",
    "ids",
    "max-new-tokens",
    "temperature",
    "top-k",
    "top-p",
    "min-p",
    "repetition-penalty",
    "seed",
    "samples",
    "device",
  ],
  many: ["stop"],
  flags: ["json", "trace"],
  readsGguf: true,
  async run(options) {
    // Options are checked before files.
    const [dir, device] = [options.needed("model"), options.device()];
    if (await isTranslation(dir)) return translate(options);
    const loaded = await LoadedModel.open(dir, device);
    try {
      const settings = settingsOf(options);
      const rows = promptRows(loaded, options);
      if (options.has("trace")) await writeSteps(loaded, rows, settings, options);
      else if (rows.length > 1) await writeRows(loaded, rows, settings, options);
      else await writeSamples(loaded, rows[0] as number[], settings, options);
    } finally {
      await loaded.release();
    }
  },
};

/** Prints the most likely translation of each sentence. */
async function translate(options: Options): Promise<void> {
  const loaded = await LoadedTranslator.open(options.needed("model"), options.device());
  try {
    const maxNewTokens = options.count("max-new-tokens");
    const rows = [];
    for (const source of sourceRows(loaded, options)) rows.push(await loaded.translate(source, maxNewTokens));
    if (!options.has("json")) return print(rows.map(({ text }) => text).join("\n"));
    print(JSON.stringify(rows.length === 1 ? rows[0] : { rows }));
  } finally {
    await loaded.release();
  }
}

/** The sentence of --prompt, or the rows of --ids, which include BOS and EOS. */
export const sourceRows = (loaded: LoadedTranslator, options: Options): number[][] =>
  options.has("ids") ? options.idRows("ids") : [loaded.sourceIds(options.needed("prompt"))];

const settingsOf = (options: Options) => ({
  temperature: options.number("temperature", { max: 100 }) ?? 0,
  topK: options.number("top-k", { whole: true }) ?? 0,
  topP: options.number("top-p", { max: 1 }) ?? 1,
  minP: options.number("min-p", { max: 1 }) ?? 0,
  repetitionPenalty: options.number("repetition-penalty", { min: 0.01, max: 100 }) ?? 1,
  seed: options.number("seed", { whole: true }) ?? 0,
  maxNewTokens: options.count("max-new-tokens") ?? 64,
});

type Settings = ReturnType<typeof settingsOf>;

/** Prints samples for one prompt, with consecutive seeds. */
async function writeSamples(loaded: LoadedModel, prompt: number[], settings: Settings, options: Options) {
  const json = options.has("json");
  const count = options.count("samples") ?? 1;
  const stop = options.list("stop");
  const samples: { ids: readonly number[]; text: string }[] = [];
  for (let i = 0; i < count; i++) {
    let printed = 0;
    const { ids, text } = await loaded.generate(prompt, { ...settings, seed: settings.seed + i, stop }, (token) => {
      if (!json) process.stdout.write(printable(token.text.slice(printed)));
      printed = token.text.length;
    });
    if (!json) process.stdout.write(`${printable(text.slice(printed))}\n`);
    samples.push({ ids, text });
  }
  if (json) print(JSON.stringify(count === 1 ? samples[0] : { samples }));
}

/** Prints every step of one sample with its most likely tokens. */
async function writeSteps(loaded: LoadedModel, [prompt, ...others]: number[][], settings: Settings, options: Options) {
  if (!options.has("json") || others.length > 0 || !prompt) {
    throw new EngineError("config", "--trace needs --json and a single prompt or row of ids.");
  }
  // Passing the text instead of its ids includes the source range of each token.
  print(
    toJson(
      await loaded.generationTrace(options.has("ids") ? prompt : options.needed("prompt"), {
        ...settings,
        count: STEP_TOKENS,
      }),
    ),
  );
}

const STEP_TOKENS = 10;

/** Prints completions of several prompts, computed as a batch. */
async function writeRows(loaded: LoadedModel, prompts: number[][], settings: Settings, options: Options) {
  if (options.has("samples")) throw new EngineError("config", "--samples needs a single prompt or row of ids.");
  const rows = await loaded.generateBatch(prompts, { ...settings, stop: options.list("stop") });
  print(options.has("json") ? JSON.stringify({ rows }) : rows.map(({ text }) => text).join("\n"));
}

/** The prompt of --prompt, or the rows of --ids, checked against the vocabulary. */
export function promptRows({ model }: LoadedModel, options: Options): number[][] {
  if (!options.has("ids")) return [[...model.tokenizer.encodePrompt(options.needed("prompt"))]];
  const rows = options.idRows("ids");
  for (const row of rows) requireIds(row, model.cfg.vocabSize);
  return rows;
}

function requireIds(ids: readonly number[], vocabSize: number): void {
  const wrong = ids.find((id) => id >= vocabSize);
  if (wrong === undefined) return;
  throw new EngineError("tokenizer", `There is no token ${wrong}. The ids of this model are 0 to ${vocabSize - 1}.`);
}
