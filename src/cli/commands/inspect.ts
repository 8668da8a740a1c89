import { EngineError, LoadedModel } from "../../engine";
import { writeSafetensors } from "../../engine/weights";
import type { Command } from "../options";
import { promptRows } from "./generate";

export const inspect: Command = {
  usage: 'inspect --model DIR (--prompt TEXT | --ids "1,2,3;4,5") --out FILE.safetensors [--device D]',
  values: ["model", "prompt", "ids", "out", "device"],
  async run(options) {
    const out = options.needed("out");
    const loaded = await LoadedModel.open(options.needed("model"), options.device());
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
    const tensors = [...trace].map(
      ([name, value]) => [name, { ...value, shape: [...value.shape], dtype: "F32" as const }] as const,
    );
    await writeSafetensors(out, new Map(tensors), { model: loaded.model.info.name, device: loaded.weights.device });
    console.log(
      `${trace.size} values of ${rows.length} × ${Math.max(...rows.map((row) => row.length))} tokens: ${out}`,
    );
    await loaded.release();
  },
};
