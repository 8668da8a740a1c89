import { expect, test } from "vitest";
import { Scorer } from "../../../src/engine/inspect/scoring";
import type { TraceValue } from "../../../src/engine/inspect/trace";
import { Tracer } from "../../../src/engine/inspect/tracer";
import { modernConfig, someIds, tinyConfig, tinyModel } from "../../helpers/tinyModel";

for (const [name, cfg] of [
  ["GPT-2's way", tinyConfig],
  ["today's", modernConfig],
] as const) {
  test(`the loss of a batch is the cross-entropy of its logits: ${name}`, async () => {
    const { weights } = await tinyModel(cfg);
    const rows = [someIds(9, cfg.vocabSize), someIds(9, cfg.vocabSize, 8)];
    const logits = (await new Tracer(cfg, weights).trace(rows)).get("logits") as TraceValue; // [2, 9, V]
    const [T, V] = [8, cfg.vocabSize];
    const losses = rows.flatMap((row, b) =>
      Array.from({ length: T }, (_, t) => {
        const scores = logits.data.subarray((b * 9 + t) * V, (b * 9 + t + 1) * V);
        const total = scores.reduce((sum, x) => sum + Math.exp(x), 0);
        return Math.log(total) - (scores[row[t + 1] as number] as number);
      }),
    );
    const column = (from: number) => Int32Array.from({ length: T * 2 }, (_, i) => rows[i % 2]?.[from + (i >> 1)] ?? 0);
    const scorer = new Scorer(cfg, weights, 2);
    const batch = { ids: column(0), labels: column(1), labelWeights: new Float32Array(2 * T).fill(1 / (2 * T)) };
    const mean = losses.reduce((sum, x) => sum + x, 0) / losses.length;
    expect(await scorer.loss(batch)).toBeCloseTo(mean, 5);
    await scorer.release();
  });
}
