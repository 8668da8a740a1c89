/** `inspect --save` and `--open`: traces as files that open without their model. */

import { EngineError, isTranslation, LoadedModel, LoadedTranslator, openTrace, saveTrace } from "../../engine";
import type { Options } from "../options";

/** Runs a model over one text, and writes the run. */
export async function saveInspection(options: Options): Promise<void> {
  const path = options.needed("save");
  const [dir, text, device] = [options.needed("model"), options.needed("prompt"), options.device()];
  if (options.list("scale").length > 0) {
    throw new EngineError("config", "--save is of a run as it is; leave --scale out.");
  }
  const loaded = await ((await isTranslation(dir)) ? LoadedTranslator : LoadedModel).open(dir, device);
  const start = performance.now();
  try {
    const inspection = await loaded.inspect(text);
    const { trace, tokens } = inspection;
    await saveTrace(path, loaded.summary(inspection, [], performance.now() - start), trace);
    console.log(`${trace.size} values of ${tokens.length} tokens: ${path}`);
  } finally {
    await loaded.release();
  }
}

/** Says what is in a file. */
export async function tellTraceFile(options: Options): Promise<void> {
  const { summary, trace } = await openTrace(options.needed("open"));
  const values = [...trace].map(([name, { shape }]) => ({ name, shape }));
  const { model, tokens, nextToken, interventions, device } = summary;
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
