/** Values of a trace by name, including those that are computed on demand. */

import type { TraceTensor, ValueInfo } from "../api/trace";
import { EngineError } from "../errors";
import type { DecoderConfig } from "../nn/config";
import type { Attention } from "./attention";
import type { Trace } from "./trace";

/** Names and shapes of a trace's values, with the scores and patterns of self-attention that `tensorIn` computes. */
export const valuesIn = (trace: Trace, nHeads: number): ValueInfo[] =>
  [...trace].flatMap(([name, { shape }]) => {
    // A translator's sentences are short, so its patterns are in the trace.
    if (!name.endsWith(".attn.v") || trace.has(name.replace(/v$/, "pattern"))) return [{ name, shape }];
    const T = shape[2] as number;
    const computed = (kind: string) => ({ name: name.replace(/v$/, kind), shape: [1, nHeads, T, T] });
    return [{ name, shape }, computed("scores"), computed("pattern")];
  });

/** One value; for values by head, those of one query head, and the keys and values that this head reads. */
export async function tensorIn(
  trace: Trace,
  cfg: DecoderConfig,
  attention: Attention,
  name: string,
  head = 0,
): Promise<TraceTensor> {
  const value = trace.get(name);
  const [, layer, kind] = /^blocks\.(\d+)\.attn\.(scores|pattern)$/.exec(name) ?? [];
  if (!value && layer !== undefined) {
    const computed = await attention.head(cfg, trace, Number(layer), head);
    return { name, ...computed[kind as "scores" | "pattern"] };
  }
  if (!value) throw new EngineError("notFound", `This trace has no value "${name}". Inspect the text again.`);
  const { shape, data } = value;
  if (shape.length < 4) return { name, ...value };
  const [, heads, T, K] = shape as [number, number, number, number];
  if (head >= cfg.nHeads) throw new EngineError("notFound", `${name} has ${cfg.nHeads} heads, not ${head + 1}.`);
  const start = Math.floor((head * heads) / cfg.nHeads) * T * K;
  return { name, shape: [1, T, K], data: data.slice(start, start + T * K) };
}
