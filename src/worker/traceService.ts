/** Answers requests about traces and what is computed from them. */

import { isDeepStrictEqual } from "node:util";
import {
  type AnyLoaded,
  Attention,
  comparedStack,
  compareTraces,
  compareWeights,
  decoderOf,
  EngineError,
  findTokens,
  type Inspection,
  type Intervention,
  type LoadedModel,
  matchingIds,
  neighborsOf,
  openTrace,
  overviewOf,
  projectionIn,
  type SavedTrace,
  type ScoredTokens,
  samplerView,
  saveTrace,
  softmax,
  TOKENS_KEPT,
  type Trace,
  type TraceIntervention,
  tensorIn,
  valuesIn,
  weightSummary,
} from "../engine";
import type { Handlers } from "../protocol/rpc";
import type { TraceApi, TraceInfo } from "../protocol/traceApi";
import { type KeptTrace, Traces } from "./traces";

/** Loaded models by their folders. */
export interface OpenModels {
  /** A decoder; fails for a translator. */
  open(dir: string): Promise<LoadedModel>;
  /** A model of either kind. */
  openAny(dir: string): Promise<AnyLoaded>;
}

export function traceService(models: OpenModels): Handlers<TraceApi> {
  const traces = new Traces();
  const attention = new Attention();
  const keep = (
    loaded: AnyLoaded,
    inspection: Inspection,
    interventions: readonly Intervention[],
    start: number,
  ): TraceInfo => {
    const { trace } = inspection;
    const summary = loaded.summary(inspection, interventions, performance.now() - start);
    return infoOf(traces.keep({ loaded, inspection, interventions, summary, trace }), summary, trace);
  };

  /** A trace's model, loaded again if it was unloaded. */
  const modelOf = async ({ loaded }: KeptTrace): Promise<AnyLoaded> => {
    const opened = await models.openAny(loaded.model.info.dir);
    if (opened === loaded || isDeepStrictEqual(opened.model.info, loaded.model.info)) return opened;
    throw new EngineError("notFound", "The model has changed since this trace. Inspect the text again.");
  };

  /** The latest logits are cached, because a slider requests those of one position many times. */
  let cached: { readonly trace: number; readonly position: number; readonly logits: Promise<Float32Array> } | undefined;
  const logitsAfter = (trace: number, position: number): Promise<Float32Array> => {
    const kept = traces.get(trace);
    if (cached?.trace === trace && cached.position === position) return cached.logits;
    const logits = modelOf(kept).then((loaded) => loaded.logitsAfter(kept.trace, position));
    const entry = { trace, position, logits };
    cached = entry;
    logits.catch(() => {
      if (cached === entry) cached = undefined;
    });
    return logits;
  };

  return {
    inspect: async ({ dir, text, maxTokens }, { signal }) => {
      const loaded = await models.openAny(dir);
      const start = performance.now();
      return keep(loaded, await loaded.inspect(text, { maxTokens, signal }), [], start);
    },
    traceTensor: ({ trace: id, name, head }) => {
      const { summary, trace } = traces.values(id);
      return tensorIn(trace, decoderOf(summary.config), attention, name, head);
    },
    findTokens: async ({ trace, query, count, position }) => {
      const { loaded, inspection } = traces.get(trace);
      const isLast = position === undefined || position === inspection.tokens.length - 1;
      const probabilities = isLast ? inspection.nextToken : softmax(await logitsAfter(trace, position));
      return findTokens(query, probabilities, loaded.vocabulary, loaded.writer, count);
    },
    releaseTrace: ({ trace }) => traces.release(trace),

    intervene: async ({ trace: id, interventions }) => {
      const kept = traces.get(id);
      const start = performance.now();
      const loaded = await modelOf(kept);
      const changes = interventions.map((each) => withTrace(each, traces));
      return keep(loaded, await loaded.intervene(kept.inspection, changes), interventions, start);
    },
    lens: async ({ trace: id, count, ...options }, { signal }) => {
      const kept = traces.get(id);
      const loaded = await modelOf(kept);
      const reading = await loaded.lens(kept.trace, { ...options, count: Math.min(count, MAX_LENS_TOKENS), signal });
      return { ...reading, tokens: textsOf(reading.ids, loaded.vocabulary) };
    },
    expectations: async ({ trace: id }, { signal }) => {
      const kept = traces.get(id);
      return (await modelOf(kept)).expectations(kept.trace, signal);
    },
    sampler: async ({ trace: id, position, count, ids, ...settings }) => {
      const { loaded } = traces.get(id);
      const logits = await logitsAfter(id, position);
      return samplerView(logits, settings, loaded.writer, { count: Math.min(count, MAX_SAMPLER_TOKENS), ids });
    },
    attribution: async ({ trace: id, ...options }) => {
      const kept = traces.get(id);
      return (await modelOf(kept)).attribution(kept.trace, options, kept.interventions);
    },

    generationTrace: async ({ dir, prompt, count, ...sampling }, { signal, report }) => {
      const loaded = await models.open(dir);
      const options = { ...sampling, count: Math.min(count, TOKENS_KEPT), signal };
      const { reason, ...traced } = await loaded.generationTrace(prompt, options, report);
      // There are no stop strings.
      return { ...traced, reason: reason === "stop" ? "length" : reason };
    },
    overview: ({ trace: id, position }, { signal }) => {
      const { summary, trace } = traces.values(id);
      return overviewOf(summary.config, trace, position, signal);
    },
    attentionGrid: ({ trace: id, size, kind }, { signal }) => {
      const { summary, trace } = traces.values(id);
      return attention.grid(summary.config, trace, { size, kind, signal });
    },
    neighbors: async ({ trace: id, of, among, count }, { signal }) => {
      const kept = traces.get(id);
      const loaded = await modelOf(kept);
      const options = { of, among, count: Math.min(count, TOKENS_KEPT), signal };
      const nearest = await neighborsOf(loaded.model, kept.trace, options);
      const vocabulary = loaded.vocabularyOf(comparedStack(of));
      return { nearest: nearest.map((each) => ({ ...each, token: vocabulary[each.id] as string })) };
    },
    projection: async ({ trace: id, name, ids }, { signal }) => {
      if (ids.length === 0) return projectionIn(traces.values(id).trace, name, null, signal);
      const kept = traces.get(id);
      return projectionIn(kept.trace, name, { ids, model: (await modelOf(kept)).model }, signal);
    },
    vocabularyTokens: ({ trace, query, count, stack }) => {
      const vocabulary = traces.get(trace).loaded.vocabularyOf(stack);
      const ids = matchingIds(query, vocabulary).slice(0, Math.min(count, TOKENS_KEPT));
      return ids.map((id) => ({ id, token: vocabulary[id] as string }));
    },
    weightSummary: ({ dir, name, size }, { signal }) => weightSummary(dir, name, size, signal),

    surprisal: async ({ dir, text, from, alternatives }, { signal, report }) => {
      const loaded = await models.open(dir);
      const count = Math.min(alternatives, MAX_ALTERNATIVES);
      const withTexts = (scored: ScoredTokens) => surprisalOf(scored, loaded.vocabulary);
      const options = { from, alternatives: count, signal, report: (piece: ScoredTokens) => report(withTexts(piece)) };
      return withTexts(await loaded.surprisal(text, options));
    },

    scorePrompt: async ({ dir, text, ids }, { signal }) =>
      (await models.openAny(dir)).scorePrompt(text, ids, { signal }),

    compareTraces: async ({ a, b }, { signal }) => {
      const compared = async (kept: KeptTrace) => (await modelOf(kept)).compared(kept.trace);
      return compareTraces(await compared(traces.get(a)), await compared(traces.get(b)), signal);
    },
    compareWeights: ({ a, b }, { signal }) => compareWeights(a, b, signal),

    saveTrace: async ({ trace: id, path }) => {
      const { summary, trace } = traces.values(id);
      await saveTrace(path, summary, trace);
      return null;
    },
    openTrace: async ({ path }) => {
      const opened = await openTrace(path);
      return { ...infoOf(traces.open(opened), opened.summary, opened.trace), opened: true };
    },
  };
}

const infoOf = (id: number, { config, ...summary }: SavedTrace, trace: Trace): TraceInfo => ({
  ...summary,
  trace: id,
  values: valuesIn(trace, decoderOf(config).nHeads),
});

/** The intervention with the trace that a patch reads. */
const withTrace = (each: Intervention, traces: Traces): TraceIntervention =>
  each.kind === "scale" ? each : { ...each, from: { ...each.from, trace: traces.get(each.from.trace).trace } };

const MAX_SAMPLER_TOKENS = 200;
const MAX_LENS_TOKENS = 50;
const MAX_ALTERNATIVES = 20;

const surprisalOf = ({ ids, probabilities, ...scores }: ScoredTokens, vocabulary: readonly string[]) => ({
  ...scores,
  alternatives: { count: ids.length / Math.max(1, scores.tokens.length), ids, probabilities },
  texts: textsOf(ids, vocabulary),
});

const textsOf = (ids: Iterable<number>, vocabulary: readonly string[]): Record<number, string> =>
  Object.fromEntries([...new Set(ids)].map((id) => [id, vocabulary[id] as string]));
