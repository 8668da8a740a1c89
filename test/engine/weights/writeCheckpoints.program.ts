/**
 * Writes, publishes and prunes checkpoints until it is killed. Every number in a checkpoint is its step, so that a reader
 * can check its consistency. Prints each step after its checkpoint is written.
 */

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pruneCheckpoints, publish, writeCheckpoint, writeSafetensors } from "../../../src/engine/weights";

const [dir = "", first = "1"] = process.argv.slice(2);

for (let step = Number(first); ; step++) {
  const tensor = { shape: [50_000], dtype: "F32", data: new Float32Array(50_000).fill(step) } as const;
  const path = await writeCheckpoint(dir, step, async (folder) => {
    for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "training.json"]) {
      await writeFile(join(folder, name), JSON.stringify({ step }));
    }
    await writeSafetensors(join(folder, "model.safetensors"), new Map([["w", tensor]]));
    await writeSafetensors(join(folder, "optimizer.safetensors"), new Map([["m", tensor]]));
  });
  console.log(step);
  await publish(dir, { path });
  await pruneCheckpoints(dir, { newest: 2, most: 2 });
}
