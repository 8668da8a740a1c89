/** Runs an exported model with onnxruntime alone, independent of this project. */

import { InferenceSession, Tensor } from "onnxruntime-node";

type Rows = readonly (readonly number[])[];

/** The side of padding in a batch of unequal rows. */
export type Side = "left" | "right";

export class ExportedModel {
  private constructor(readonly session: InferenceSession) {}

  static async open(file: string): Promise<ExportedModel> {
    return new ExportedModel(await InferenceSession.create(file, { logSeverityLevel: 3 }));
  }

  /** Logits [B, T, V] of rows padded with id 0. */
  async logits(rows: Rows, side: Side): Promise<Float32Array> {
    const { ids, mask } = padded(rows, side);
    return (await this.#run(ids, mask, null)).logits?.data as Float32Array;
  }

  /** Greedy completions of a batch of prompts, token by token with the KV cache. */
  async greedy(prompts: Rows, count: number, side: Side): Promise<number[][]> {
    let { ids, mask }: { ids: Rows; mask: Rows } = padded(prompts, side);
    const next: number[][] = prompts.map(() => []);
    let past: Past | null = null;
    let lastColumn = prompts.map((prompt) => (side === "left" ? (ids[0] as number[]).length : prompt.length) - 1);
    for (let i = 0; i < count; i++) {
      const outputs = await this.#run(ids, mask, past);
      const best = bestAt(outputs.logits as Tensor, lastColumn);
      best.forEach((id, b) => {
        next[b]?.push(id);
      });
      past = outputs;
      ids = best.map((id) => [id]);
      mask = mask.map((row) => [...row, 1]);
      lastColumn = best.map(() => 0);
    }
    return next;
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  async #run(ids: Rows, mask: Rows, past: Past | null): Promise<Past> {
    const B = ids.length;
    const T = (ids[0] as number[]).length;
    const feeds: Record<string, Tensor> = { input_ids: int64(ids), attention_mask: int64(mask) };
    if (this.session.inputNames.includes("position_ids")) {
      feeds.position_ids = int64(mask.map((row) => positionsOf(row).slice(-T)));
    }
    for (const meta of this.session.inputMetadata) {
      const name = /^past_key_values\.(.*)$/.exec(meta.name)?.[1];
      if (name === undefined || !meta.isTensor) continue;
      const [, heads, , width] = meta.shape as readonly [string, number, string, number];
      feeds[meta.name] = past?.[`present.${name}`] ?? new Tensor("float32", new Float32Array(0), [B, heads, 0, width]);
    }
    return this.session.run(feeds);
  }
}

type Past = Readonly<Record<string, Tensor>>;

/** Positions as in transformers: padding has position 1. */
function positionsOf(mask: readonly number[]): number[] {
  let position = -1;
  return mask.map((bit) => (bit === 1 ? ++position : 1));
}

function padded(rows: Rows, side: Side): { ids: number[][]; mask: number[][] } {
  const T = Math.max(...rows.map((row) => row.length));
  const pad = (row: readonly number[], filler: number[]) =>
    side === "left" ? [...filler, ...row] : [...row, ...filler];
  return {
    ids: rows.map((row) => pad(row, Array(T - row.length).fill(0))),
    mask: rows.map((row) => pad(Array(row.length).fill(1), Array(T - row.length).fill(0))),
  };
}

function bestAt({ data, dims }: Tensor, columns: readonly number[]): number[] {
  const [, T, V] = dims as [number, number, number];
  return columns.map((column, b) => {
    const row = (data as Float32Array).subarray((b * T + column) * V, (b * T + column + 1) * V);
    return row.indexOf(Math.max(...row));
  });
}

const int64 = (rows: Rows): Tensor =>
  new Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, (rows[0] as number[]).length]);
