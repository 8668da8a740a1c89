/** Measures how much the faster products of generation change a quantized model. */

import { totalmem } from "node:os";
import { Tracer } from "../inspect/tracer";
import { openModel } from "../models/folder";
import { MEMORY_SHARE, memoryOf } from "../models/loaded";
import { SAMPLE_TEXT } from "../models/sample";
import { mapWeights } from "../runtime/weights";
import { UNKNOWN } from "../tokenizers";
import type { OnProgress } from "./progress";

/** Maximum numbers in the logits of the sample. */
const MAX_LOGITS = 1 << 24;

/**
 * A note on the difference for a sample text. Null for a model without quantized matrices, without a tokenizer that knows
 * the text, or too large for this machine.
 */
export async function generationNote(dir: string, signal: AbortSignal, onProgress: OnProgress): Promise<string | null> {
  const model = await openModel(dir);
  const { cfg, tokenizer } = model;
  const isQuantized = [...model.weights.values()].some((tensor) => "bits" in tensor);
  if (!isQuantized || memoryOf(model) > MEMORY_SHARE * totalmem()) return null;
  if (tokenizer.kind === "none" || tokenizer.spans(SAMPLE_TEXT).some(({ id }) => id === UNKNOWN)) return null;
  const ids = tokenizer.encodePrompt(SAMPLE_TEXT).slice(0, Math.min(cfg.nCtx, Math.floor(MAX_LOGITS / cfg.vocabSize)));
  if (ids.length < 2 || ids.some((id) => id >= cfg.vocabSize)) return null;

  onProgress({ phase: "measure", file: "", bytes: 0, totalBytes: 0, bytesPerSecond: 0, secondsLeft: null });
  const weights = await mapWeights(cfg, model.weights, "cpu");
  const logitsWith = async (exact: boolean): Promise<Float32Array> => {
    signal.throwIfAborted();
    const tracer = new Tracer(cfg, weights, { exact });
    const trace = await tracer.trace([ids], "whole", (name) => name === "logits").finally(() => tracer.release());
    return trace.get("logits")?.data ?? new Float32Array();
  };
  try {
    const cost = costOf(await logitsWith(true), await logitsWith(false), ids, cfg.vocabSize);
    const [exact, fast] = [cost.exact, cost.fast].map((perplexity) => perplexity.toPrecision(4));
    return `Generation rounds the inputs of products with quantized weights to 8 bits, unlike traces. For ${ids.length} tokens of a sample, its next-token distributions differ by ${cost.bits.toPrecision(2)} bits on average (KL divergence), and the perplexity is ${fast} instead of ${exact}.`;
  } finally {
    await weights.release();
  }
}

interface Cost {
  /** Mean KL divergence from the exact distribution. */
  readonly bits: number;
  /** Perplexities. */
  readonly exact: number;
  readonly fast: number;
}

/** Compares two sets of logits [T, V]. */
export function costOf(exact: Float32Array, fast: Float32Array, ids: readonly number[], V: number): Cost {
  const positions = ids.length - 1;
  let [nats, exactLoss, fastLoss] = [0, 0, 0];
  for (let t = 0; t < positions; t++) {
    const [p, q] = [exact, fast].map((logits) => logProbabilities(logits.subarray(t * V, (t + 1) * V)));
    if (!p || !q) continue;
    nats += p.reduce((sum, own, i) => sum + Math.exp(own) * (own - (q[i] as number)), 0);
    exactLoss -= p[ids[t + 1] as number] as number;
    fastLoss -= q[ids[t + 1] as number] as number;
  }
  return {
    bits: Math.max(0, nats / positions / Math.LN2),
    exact: Math.exp(exactLoss / positions),
    fast: Math.exp(fastLoss / positions),
  };
}

function logProbabilities(logits: Float32Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const norm = most + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - most), 0));
  return Float64Array.from(logits, (x) => x - norm);
}
