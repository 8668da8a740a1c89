/** `inspect --save` and `--open`: trace files, which open without their model. */

import { EngineError, loadModel, openTrace, requireWritableFile, saveTrace } from "../../engine";
import { excerpt, quoted } from "../../text/untrusted";
import type { Options } from "../options";
import { print } from "../terminal";

/** Records the trace of a text and saves it. */
export async function saveTraceFile(options: Options): Promise<void> {
  const path = options.needed("save");
  const [dir, text, device] = [options.needed("model"), options.needed("prompt"), options.device()];
  if (options.list("scale").length > 0) {
    throw new EngineError("config", "--save does not support interventions. Omit --scale.");
  }
  await requireWritableFile(path);
  const loaded = await loadModel(dir, device);
  const start = performance.now();
  try {
    const inspection = await loaded.inspect(text);
    const { trace, tokens } = inspection;
    await saveTrace(path, loaded.summary(inspection, [], performance.now() - start), trace);
    print(`${trace.size} values of ${tokens.length} tokens: ${path}`);
  } finally {
    await loaded.release();
  }
}

/** Prints the content of a trace file. */
export async function printTraceFile(options: Options): Promise<void> {
  const { summary, trace } = await openTrace(options.needed("open"));
  const values = [...trace].map(([name, { shape }]) => ({ name, shape }));
  const { model, tokens, nextToken, interventions, device } = summary;
  if (options.has("json")) {
    const ids = tokens.map(({ id, token }) => ({ id, token }));
    return print(JSON.stringify({ model: model.name, device, tokens: ids, values, nextToken, interventions }));
  }
  print(`${excerpt(model.name)} (${excerpt(model.family)}) over ${tokens.length} tokens on ${device}`);
  print(tokens.map(({ token }) => quoted(token)).join(" "));
  for (const { name, shape } of values) print(`${name} [${shape.join(", ")}]`);
}
