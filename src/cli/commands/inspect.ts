import { EngineError, isTranslation, LoadedModel, LoadedTranslator, type Trace } from "../../engine";
import { writeSafetensors } from "../../engine/weights";
import type { Command, Options } from "../options";
import { promptRows, sourceRows } from "./generate";

export const inspect: Command = {
  usage: 'inspect --model DIR (--prompt TEXT | --ids "1,2,3;4,5") --out FILE.safetensors [--device D]',
  values: ["model", "prompt", "ids", "out", "device"],
  async run(options) {
    const out = options.needed("out");
    const [dir, device] = [options.needed("model"), options.device()];
    if (await isTranslation(dir)) return inspectTranslations(out, options);
    const loaded = await LoadedModel.open(dir, device);
    const { cfg } = loaded.model;
    const given = promptRows(loaded, options);
    const rows = options.has("ids") ? given : given.map((row) => row.slice(-cfg.nCtx));
    for (const row of rows) {
      if (row.length > cfg.nCtx) {
        throw new EngineError(
          "config",
          `A row has ${row.length} tokens and the model's context ${cfg.nCtx}; give fewer ids.`,
        );
      }
    }
    const trace = await loaded.trace(rows);
    await write(out, trace, loaded);
    console.log(
      `${trace.size} values of ${rows.length} × ${Math.max(...rows.map((row) => row.length))} tokens: ${out}`,
    );
    await loaded.release();
  },
};

/** Of a translator: both stacks, over sentences and the translations that it gives them. */
async function inspectTranslations(out: string, options: Options): Promise<void> {
  const loaded = await LoadedTranslator.open(options.needed("model"), options.device());
  const rows = sourceRows(loaded, options);
  const trace = await loaded.trace(rows);
  await write(out, trace, loaded);
  const lengths = ["enc.ids", "ids"].map((name) => trace.get(name)?.shape[1]);
  console.log(`${trace.size} values of ${rows.length} × ${lengths.join(" and ")} tokens: ${out}`);
  await loaded.release();
}

function write(out: string, trace: Trace, { model, weights }: LoadedModel | LoadedTranslator): Promise<void> {
  const tensors = [...trace].map(
    ([name, value]) => [name, { ...value, shape: [...value.shape], dtype: "F32" as const }] as const,
  );
  return writeSafetensors(out, new Map(tensors), { model: model.info.name, device: weights.device });
}
