/** Writes a model's weights as safetensors in float32: one file, or shards with an index. */

import { join } from "node:path";
import { writeFileWhole } from "../weights";
import { writeSafetensorsInParts } from "../weights/safetensors";
import { bytesOf, type Outgoing } from "./values";

/** The shard size of Hugging Face's own tools. */
const MOST_SHARD_BYTES = 5e9;

/** Writes the weights. `onBytes` receives the size of each piece written; it may throw to stop. */
export async function writeWeights(
  dir: string,
  tensors: readonly Outgoing[],
  onBytes: (bytes: number) => Promise<void> | undefined,
  mostBytes = MOST_SHARD_BYTES,
): Promise<void> {
  const shards = shardsOf(tensors, mostBytes);
  const nameOf = (i: number) =>
    shards.length === 1
      ? "model.safetensors"
      : `model-${String(i + 1).padStart(5, "0")}-of-${String(shards.length).padStart(5, "0")}.safetensors`;
  for (const [i, shard] of shards.entries()) {
    await writeSafetensorsInParts(
      join(dir, nameOf(i)),
      new Map(shard.map((tensor) => [tensor.name, tensor])),
      async (write) => {
        for (const tensor of shard) {
          let offset = 0;
          for await (const piece of tensor.pieces()) {
            await write(tensor.name, offset, piece);
            offset += piece.length;
            await onBytes(piece.length);
          }
        }
      },
      { format: "pt" },
    );
  }
  if (shards.length === 1) return;
  const index = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0) },
    weight_map: Object.fromEntries(shards.flatMap((shard, i) => shard.map(({ name }) => [name, nameOf(i)]))),
  };
  await writeFileWhole(join(dir, "model.safetensors.index.json"), `${JSON.stringify(index, null, 2)}\n`);
}

/** Splits tensors in order, as many per shard as fit; a larger tensor gets a shard of its own. */
function shardsOf(tensors: readonly Outgoing[], mostBytes: number): readonly (readonly Outgoing[])[] {
  const shards: Outgoing[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    bytes += bytesOf(tensor);
    if (bytes > mostBytes && (shards.at(-1) as Outgoing[]).length > 0) {
      shards.push([]);
      bytes = bytesOf(tensor);
    }
    shards.at(-1)?.push(tensor);
  }
  return shards;
}
