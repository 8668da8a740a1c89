/** `inspect --save` and `--open`: traces as files that open without their model. */

import {
  EngineError,
  isTranslation,
  LoadedModel,
  LoadedTranslator,
  nextToken,
  openTrace,
  saveTrace,
} from "../../engine";
import type { Options } from "../options";

/** Runs a model over one text, and writes the run. */
export async function saveInspection(options: Options): Promise<void> {
  const path = options.needed("save");
  const [dir, text, device] = [options.needed("model"), options.needed("prompt"), options.device()];
  if (options.list("scale").length > 0) {
    throw new EngineError("config", "--save is of a run as it is; leave --scale out.");
  }
  const loaded = await ((await isTranslation(dir)) ? LoadedTranslator : LoadedModel).open(dir, device);
  const began = performance.now();
  try {
    const { trace, nextToken: probabilities, ...told } = await loaded.inspect(text);
    const { info: model, cfg: config } = loaded.model;
    const tokenizer = loaded instanceof LoadedTranslator ? loaded.model.target : loaded.model.tokenizer;
    const run = {
      ...told,
      model,
      config,
      nextToken: nextToken(probabilities, tokenizer, TOKENS_TOLD),
      interventions: [],
      device: loaded.weights.device,
      milliseconds: performance.now() - began,
    };
    await saveTrace(path, run, trace);
    console.log(`${trace.size} values of ${told.tokens.length} tokens: ${path}`);
  } finally {
    await loaded.release();
  }
}

const TOKENS_TOLD = 100;

/** Says what is in a file. */
export async function tellTraceFile(options: Options): Promise<void> {
  const { run, trace } = await openTrace(options.needed("open"));
  const values = [...trace].map(([name, { shape }]) => ({ name, shape }));
  const { model, tokens, nextToken, interventions, device } = run;
  if (options.has("json")) {
    const written = tokens.map(({ id, token }) => ({ id, token }));
    return console.log(
      JSON.stringify({ model: model.name, device, tokens: written, values, nextToken, interventions }),
    );
  }
  console.log(`${model.name} (${model.family}) over ${tokens.length} tokens on ${device}`);
  console.log(tokens.map(({ token }) => JSON.stringify(token)).join(" "));
  for (const { name, shape } of values) console.log(`${name} [${shape.join(", ")}]`);
}
