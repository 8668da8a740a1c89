/** What is asked about runs that were kept: traces, and what is computed from them. */

import { attentionOf, EngineError, findTokens, type LoadedModel, nextToken, type Trace } from "../engine";
import type { EngineApi, TraceTensor } from "../protocol/engineApi";
import type { Handlers } from "../protocol/rpc";

/** Models by their folders, opened once. */
export interface OpenModels {
  open(dir: string): Promise<LoadedModel>;
}

type TraceMethod = "inspect" | "traceTensor" | "findTokens" | "releaseTrace";

export function traceService(models: OpenModels): Pick<Handlers<EngineApi>, TraceMethod> {
  const traces = new Traces();

  return {
    inspect: async ({ dir, text, maxTokens }) => {
      const loaded = await models.open(dir);
      const began = performance.now();
      const { tokens, trace, nextToken: probabilities, residualNorms } = await loaded.inspect(text, maxTokens);
      return {
        trace: traces.keep({ loaded, trace, probabilities }),
        model: loaded.model.info,
        tokens,
        values: traceValues(trace, loaded.model.cfg.nHeads),
        residualNorms,
        nextToken: nextToken(probabilities, loaded.model.tokenizer, TOKENS_TOLD),
        device: loaded.weights.device,
        milliseconds: performance.now() - began,
      };
    },
    traceTensor: ({ trace, name, head }) => traceTensor(traces.get(trace), name, head),
    findTokens: ({ trace, query, count }) => {
      const { loaded, probabilities } = traces.get(trace);
      return findTokens(query, probabilities, loaded.vocabulary, loaded.model.tokenizer, count);
    },
    releaseTrace: ({ trace }) => traces.release(trace),
  };
}

interface KeptTrace {
  /** May have been released: its tokenizer and configuration are still good. */
  readonly loaded: LoadedModel;
  readonly trace: Trace;
  /** Of the token after the last, [V]. */
  readonly probabilities: Float32Array;
}

/** Traces that a view may still ask about. */
class Traces {
  readonly #kept = new Map<number, KeptTrace>();
  #count = 0;

  keep(trace: KeptTrace): number {
    const id = ++this.#count;
    this.#kept.set(id, trace);
    for (const oldest of [...this.#kept.keys()].slice(0, -TRACES_KEPT)) this.#kept.delete(oldest);
    return id;
  }

  get(id: number): KeptTrace {
    const trace = this.#kept.get(id);
    if (!trace) throw new EngineError("notFound", "These values are no longer kept; inspect the text again.");
    return trace;
  }

  release(id: number): null {
    this.#kept.delete(id);
    return null;
  }
}

const TRACES_KEPT = 4;
/** Of the most likely next tokens; any other is found by `findTokens`. */
const TOKENS_TOLD = 100;

/** The values of a trace with those that are computed when they are asked for. */
function traceValues(trace: Trace, nHeads: number): { name: string; shape: readonly number[] }[] {
  return [...trace].flatMap(([name, { shape }]) => {
    const value = { name, shape };
    if (!name.endsWith(".attn.v")) return [value];
    const T = shape[2] as number;
    const attention = (kind: string) => ({ name: name.replace(/v$/, kind), shape: [1, nHeads, T, T] });
    return [value, attention("scores"), attention("pattern")];
  });
}

/** One value of a trace; of those by head, the head asked for. */
function traceTensor({ loaded, trace }: KeptTrace, name: string, head = 0): TraceTensor {
  const { cfg } = loaded.model;
  const attention = /^blocks\.(\d+)\.attn\.(scores|pattern)$/.exec(name);
  if (attention) {
    const { [attention[2] as "scores" | "pattern"]: value } = attentionOf(cfg, trace, Number(attention[1]), head);
    return { name, ...value };
  }
  const value = trace.get(name);
  if (!value) throw new EngineError("notFound", `This run has no value "${name}"; inspect the text again.`);
  const { shape, data } = value;
  if (!/\.attn\.[qkvz]$/.test(name)) return { name, ...value };
  const [, heads, T, K] = shape as [number, number, number, number];
  if (head >= cfg.nHeads) throw new EngineError("notFound", `${name} has ${cfg.nHeads} heads, not ${head + 1}.`);
  // Of keys and values, those that the head of queries reads.
  const at = Math.floor((head * heads) / cfg.nHeads) * T * K;
  return { name, shape: [1, T, K], data: data.slice(at, at + T * K) };
}
