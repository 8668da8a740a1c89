/** What is asked about runs that were kept: traces, and what is computed from them. */

import { isDeepStrictEqual } from "node:util";
import {
  Attention,
  comparedStack,
  compareTraces,
  compareWeights,
  decoderOf,
  EngineError,
  findTokens,
  type Intervention,
  type LoadedModel,
  LoadedTranslator,
  matchingIds,
  neighborsOf,
  nextToken,
  openTrace,
  projectionIn,
  type SavedRun,
  type ScoredTokens,
  type StackName,
  samplerView,
  saveTrace,
  softmax,
  type Tokenizer,
  type TokenSpan,
  type Trace,
  type TraceIntervention,
  weightSummary,
} from "../engine";
import type { Handlers } from "../protocol/rpc";
import type { TraceApi, TraceInfo, TraceTensor } from "../protocol/traceApi";

/** Models by their folders, opened once. */
export interface OpenModels {
  /** A decoder; a translator is refused in a sentence. */
  open(dir: string): Promise<LoadedModel>;
  /** A model of either kind. */
  openAny(dir: string): Promise<AnyLoaded>;
}

export type AnyLoaded = LoadedModel | LoadedTranslator;

export function traceService(models: OpenModels): Handlers<TraceApi> {
  const traces = new Traces();
  const attention = new Attention();
  const keep = (kept: Omit<KeptTrace, "run">, told: Told, began: number): TraceInfo => {
    const { loaded, trace, probabilities, tokens, interventions } = kept;
    const { info: model, cfg: config } = loaded.model;
    const run = {
      ...told,
      model,
      config,
      tokens,
      interventions,
      nextToken: nextToken(probabilities, writerOf(loaded), TOKENS_TOLD),
      device: loaded.weights.device,
      milliseconds: performance.now() - began,
    };
    return traceInfo(traces.keep({ ...kept, run }), run, trace);
  };

  /** A trace's model, opened again where it was let go of. */
  const modelOf = async ({ loaded }: KeptTrace): Promise<AnyLoaded> => {
    const opened = await models.openAny(loaded.model.info.dir);
    if (opened === loaded || isDeepStrictEqual(opened.model.info, loaded.model.info)) return opened;
    throw new EngineError("notFound", "The model has changed since this run; inspect the text again.");
  };

  /** Sliders ask about one position many times. */
  let lately: { readonly trace: number; readonly position: number; readonly logits: Promise<Float32Array> } | undefined;
  const logitsAfter = (trace: number, position: number): Promise<Float32Array> => {
    const kept = traces.get(trace);
    if (lately?.trace === trace && lately.position === position) return lately.logits;
    const logits = modelOf(kept).then((loaded) => loaded.logitsAfter(kept.trace, position));
    const asked = { trace, position, logits };
    lately = asked;
    logits.catch(() => {
      if (lately === asked) lately = undefined;
    });
    return logits;
  };

  return {
    inspect: async ({ dir, text, maxTokens }, { signal }) => {
      const loaded = await models.openAny(dir);
      const began = performance.now();
      const {
        trace,
        nextToken: probabilities,
        ...told
      } = loaded instanceof LoadedTranslator
        ? await loaded.inspect(text, signal)
        : await loaded.inspect(text, maxTokens);
      return keep({ loaded, trace, probabilities, tokens: told.tokens, interventions: [] }, told, began);
    },
    traceTensor: ({ trace, name, head }) => traceTensor(traces.values(trace), attention, name, head),
    findTokens: async ({ trace, query, count, position }) => {
      const kept = traces.get(trace);
      const { loaded } = kept;
      const isLast = position === undefined || position === kept.tokens.length - 1;
      const probabilities = isLast ? kept.probabilities : softmax(await logitsAfter(trace, position));
      return findTokens(query, probabilities, loaded.vocabulary, writerOf(loaded), count);
    },
    releaseTrace: ({ trace }) => traces.release(trace),

    intervene: async ({ trace: id, interventions }) => {
      const kept = traces.get(id);
      const began = performance.now();
      const loaded = await modelOf(kept);
      const changes = interventions.map((each) => withTrace(each, traces));
      // A translator's run has a source.
      const source = kept.run.source as NonNullable<SavedRun["source"]>;
      const {
        trace,
        nextToken: probabilities,
        ...told
      } = loaded instanceof LoadedTranslator
        ? await loaded.intervene({ ...kept, source }, changes)
        : await loaded.intervene(kept, changes);
      return keep({ loaded, trace, probabilities, tokens: told.tokens, interventions }, told, began);
    },
    lens: async ({ trace: id, count, ...asked }, { signal }) => {
      const kept = traces.get(id);
      const loaded = await modelOf(kept);
      const view = await loaded.lens(kept.trace, { ...asked, count: Math.min(count, LENS_TOKENS_TOLD), signal });
      return { ...view, tokens: textsOf(view.ids, loaded.vocabulary) };
    },
    expectations: async ({ trace: id }, { signal }) => {
      const kept = traces.get(id);
      return (await modelOf(kept)).expectations(kept.trace, signal);
    },
    sampler: async ({ trace: id, position, count, ids, ...settings }) => {
      const { loaded } = traces.get(id);
      const logits = await logitsAfter(id, position);
      return samplerView(logits, settings, writerOf(loaded), { count: Math.min(count, SAMPLER_TOKENS_TOLD), ids });
    },
    attribution: async ({ trace: id, ...asked }) => {
      const kept = traces.get(id);
      return (await modelOf(kept)).attribution(kept.trace, asked, kept.interventions);
    },

    generationTrace: async ({ dir, prompt, count, ...asked }, { signal, report }) => {
      const loaded = await models.open(dir);
      const options = { ...asked, count: Math.min(count, TOKENS_TOLD), signal };
      const { reason, ...traced } = await loaded.generationTrace(prompt, options, report);
      // It ends before no string.
      return { ...traced, reason: reason === "stop" ? "length" : reason };
    },
    attentionGrid: ({ trace: id, size, kind }, { signal }) => {
      const { run, trace } = traces.values(id);
      return attention.grid(run.config, trace, { size, kind, signal });
    },
    neighbors: async ({ trace: id, of, among, count }, { signal }) => {
      const kept = traces.get(id);
      const loaded = await modelOf(kept);
      const options = { of, among, count: Math.min(count, TOKENS_TOLD), signal };
      const nearest = await neighborsOf(loaded.model, kept.trace, options);
      const vocabulary = vocabularyOf(loaded, comparedStack(of));
      return { nearest: nearest.map((each) => ({ ...each, token: vocabulary[each.id] as string })) };
    },
    projection: async ({ trace: id, name, ids }, { signal }) => {
      if (ids.length === 0) return projectionIn(traces.values(id).trace, name, null, signal);
      const kept = traces.get(id);
      return projectionIn(kept.trace, name, { ids, model: (await modelOf(kept)).model }, signal);
    },
    vocabularyTokens: ({ trace, query, count, stack }) => {
      const vocabulary = vocabularyOf(traces.get(trace).loaded, stack);
      const ids = matchingIds(query, vocabulary).slice(0, Math.min(count, TOKENS_TOLD));
      return ids.map((id) => ({ id, token: vocabulary[id] as string }));
    },
    saveTrace: async ({ trace: id, path }) => {
      const { run, trace } = traces.values(id);
      await saveTrace(path, run, trace);
      return null;
    },
    openTrace: async ({ path }) => {
      const opened = await openTrace(path);
      return { ...traceInfo(traces.open(opened), opened.run, opened.trace), opened: true };
    },

    compareTraces: async ({ a, b }, { signal }) => {
      const run = async (kept: KeptTrace) => {
        const loaded = await modelOf(kept);
        const { model, vocabulary } = loaded;
        const logProbabilities = (rows: Float32Array) => loaded.logProbabilities(rows);
        return { trace: kept.trace, cfg: decoderOf(model.cfg), vocabulary, logProbabilities };
      };
      return compareTraces(await run(traces.get(a)), await run(traces.get(b)), signal);
    },
    compareWeights: ({ a, b }, { signal }) => compareWeights(a, b, signal),
    weightSummary: ({ dir, name, size }, { signal }) => weightSummary(dir, name, size, signal),

    surprisal: async ({ dir, text, from, alternatives }, { signal, report }) => {
      const loaded = await models.open(dir);
      const count = Math.min(alternatives, ALTERNATIVES_TOLD);
      const options = { from, alternatives: count, signal, report: (piece: ScoredTokens) => report(told(piece)) };
      const told = (piece: ScoredTokens) => surprisalTold(piece, loaded.vocabulary);
      return told(await loaded.surprisal(text, options));
    },
  };
}

/** The tokenizer of what a model writes. */
const writerOf = (loaded: AnyLoaded): Tokenizer =>
  loaded instanceof LoadedTranslator ? loaded.model.target : loaded.model.tokenizer;

/** The texts of the tokens that a stack reads, the decoder where neither is named. */
const vocabularyOf = (loaded: AnyLoaded, stack?: StackName): readonly string[] =>
  stack === "encoder" && loaded instanceof LoadedTranslator ? loaded.sourceVocabulary : loaded.vocabulary;

/** What is told of a run beside what is computed from its trace. */
type Told = Pick<SavedRun, "residualNorms" | "source">;

function traceInfo(id: number, { config, ...told }: SavedRun, trace: Trace): TraceInfo {
  return { ...told, trace: id, values: traceValues(trace, decoderOf(config).nHeads) };
}

/** A run that its model is not needed for. */
interface KeptValues {
  readonly run: SavedRun;
  readonly trace: Trace;
}

interface KeptTrace extends KeptValues {
  /** May have been released: its tokenizer and configuration are still good. */
  readonly loaded: AnyLoaded;
  /** Of the token after the last, [V]. */
  readonly probabilities: Float32Array;
  readonly tokens: readonly TokenSpan[];
  /** How the run was changed. */
  readonly interventions: readonly Intervention[];
}

/** With the trace itself that a patch is from. */
const withTrace = (each: Intervention, traces: Traces): TraceIntervention =>
  each.kind === "scale" ? each : { ...each, from: { ...each.from, trace: traces.get(each.from.trace).trace } };

/** Traces that a view may still ask about. */
class Traces {
  readonly #kept = new Map<number, KeptTrace>();
  readonly #opened = new Map<number, KeptValues>();
  #count = 0;

  keep(trace: KeptTrace): number {
    const id = ++this.#count;
    this.#kept.set(id, trace);
    const newest = [...this.#kept].reverse();
    let bytes = 0;
    newest.forEach(([each, kept], i) => {
      bytes += bytesOf(kept.trace);
      if (i >= TRACES_KEPT && (bytes > TRACE_BYTES || i >= SMALL_TRACES_KEPT)) this.#kept.delete(each);
    });
    return id;
  }

  /** Of a model's run or of a file. */
  values(id: number): KeptValues {
    return this.#opened.get(id) ?? this.get(id);
  }

  /** Keeps what was read from a file. */
  open(trace: KeptValues): number {
    const id = ++this.#count;
    this.#opened.set(id, trace);
    for (const oldest of [...this.#opened.keys()].slice(0, -TRACES_KEPT)) this.#opened.delete(oldest);
    return id;
  }

  get(id: number): KeptTrace {
    if (this.#opened.has(id)) {
      throw new EngineError(
        "notFound",
        "This run is from a file, and this needs its model. Type the text above to run it with the active model.",
      );
    }
    const trace = this.#kept.get(id);
    if (!trace) throw new EngineError("notFound", "These values are no longer kept; inspect the text again.");
    return trace;
  }

  release(id: number): null {
    this.#kept.delete(id);
    this.#opened.delete(id);
    return null;
  }
}

/** Of any size, and as many more as fit: whoever goes through a run's checkpoints comes back to them. */
const TRACES_KEPT = 4;
const SMALL_TRACES_KEPT = 32;
const TRACE_BYTES = 256 * 2 ** 20;

/** What goes into a block is what came out of the one before: those share their numbers. */
const bytesOf = (trace: Trace): number =>
  [...new Set([...trace.values()].map(({ data }) => data))].reduce((sum, { byteLength }) => sum + byteLength, 0);

/** Of the tokens that a sampler draws from; any other is asked about by its id. */
const SAMPLER_TOKENS_TOLD = 200;

/** Of each place that the lens reads. */
const LENS_TOKENS_TOLD = 50;

/** Of each token of a text that is scored. */
const ALTERNATIVES_TOLD = 20;

const surprisalTold = ({ ids, probabilities, ...rest }: ScoredTokens, vocabulary: readonly string[]) => ({
  ...rest,
  alternatives: { count: ids.length / Math.max(1, rest.tokens.length), ids, probabilities },
  texts: textsOf(ids, vocabulary),
});

const textsOf = (ids: Iterable<number>, vocabulary: readonly string[]): Record<number, string> =>
  Object.fromEntries([...new Set(ids)].map((id) => [id, vocabulary[id] as string]));

/** Of the most likely next tokens; any other is found by `findTokens`. */
const TOKENS_TOLD = 100;

/** The values of a trace with those that are computed when they are asked for. */
function traceValues(trace: Trace, nHeads: number): { name: string; shape: readonly number[] }[] {
  return [...trace].flatMap(([name, { shape }]) => {
    const value = { name, shape };
    // A translator's sentences are short: their patterns are in the trace.
    if (!name.endsWith(".attn.v") || trace.has(name.replace(/v$/, "pattern"))) return [value];
    const T = shape[2] as number;
    const attention = (kind: string) => ({ name: name.replace(/v$/, kind), shape: [1, nHeads, T, T] });
    return [value, attention("scores"), attention("pattern")];
  });
}

/** One value of a trace; of those by head, the head asked for. */
async function traceTensor(
  { run, trace }: KeptValues,
  attention: Attention,
  name: string,
  head = 0,
): Promise<TraceTensor> {
  const cfg = decoderOf(run.config);
  const value = trace.get(name);
  const byHead = /^blocks\.(\d+)\.attn\.(scores|pattern)$/.exec(name);
  if (!value && byHead) {
    const made = await attention.head(cfg, trace, Number(byHead[1]), head);
    return { name, ...made[byHead[2] as "scores" | "pattern"] };
  }
  if (!value) throw new EngineError("notFound", `This run has no value "${name}"; inspect the text again.`);
  const { shape, data } = value;
  if (shape.length < 4) return { name, ...value };
  const [, heads, T, K] = shape as [number, number, number, number];
  if (head >= cfg.nHeads) throw new EngineError("notFound", `${name} has ${cfg.nHeads} heads, not ${head + 1}.`);
  // Of keys and values, those that the head of queries reads.
  const at = Math.floor((head * heads) / cfg.nHeads) * T * K;
  return { name, shape: [1, T, K], data: data.slice(at, at + T * K) };
}
