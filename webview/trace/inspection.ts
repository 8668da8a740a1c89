/** What the inspector's views share: the trace that is looked at, its tensors, and what is selected in all of them. */

import type { FoundTokens, ModuleTree, TraceInfo, TraceTensor } from "../../src/protocol/engineApi";
import type { Client, Params, Progress, Result } from "../../src/protocol/rpc";
import type { Intervention } from "../../src/protocol/traceApi";
import type { InspectedSource, TraceQuestions } from "../../src/protocol/webviewApi";
import type { Store } from "../base/store";
import type { Save } from "../parts/dataBar";
import type { Section } from "../parts/section";
import type { Shading } from "./attention/layout";

/** One token, layer and head for the whole page; indices of the trace that is shown. */
export interface Selection {
  readonly token: number;
  readonly layer: number;
  readonly head: number;
  /** The value of the run whose numbers are shown, by its trace name. */
  readonly value?: string;
  /** Of a translator, a token of what it reads; `token` is of what it writes. */
  readonly sourceToken?: number;
}

/** Of a translator, the chosen token of what it reads: the first until another is chosen, in every view. */
export const sourceTokenOf = ({ sourceToken = 0 }: Selection, { source }: Pick<TraceInfo, "source">): number =>
  Math.max(0, Math.min(sourceToken, (source?.tokens.length ?? 0) - 1));

/** A trace with a cache of the tensors that were asked for. */
export interface Inspection {
  readonly trace: TraceInfo;
  readonly source: InspectedSource;
  readonly has: (name: string) => boolean;
  /** Of attention values, those of a head of queries. */
  readonly tensor: (name: string, head?: number) => Promise<TraceTensor>;
  /** Tokens of the vocabulary by id or text, with their ranks after a position: the last, if none is given. */
  readonly find: (query: string, count: number, position?: number) => Promise<FoundTokens>;
  /** The modules of its model, as PyTorch prints them. */
  readonly modules: () => Promise<ModuleTree>;

  /** Asks the engine about the trace or its model. Answers are cached: see src/protocol/traceApi.ts. */
  readonly ask: <M extends keyof TraceQuestions>(method: M, params: Own<M>) => Promise<Result<TraceQuestions, M>>;
  /** Not cached, because dragging a slider sends many requests. */
  readonly sampler: (params: Own<"sampler">) => Promise<Result<TraceQuestions, "sampler">>;
  /** Tokens of a text, by its model or another of `ExplorerTools.models()`. */
  readonly tokenize: (text: string, dir?: string) => Promise<Result<TraceQuestions, "tokenize">>;
  /** Of a model's run, its own where no other is named; each can be run by `ExplorerTools.alongside`. */
  readonly checkpoints: (dir?: string) => Promise<Result<TraceQuestions, "checkpoints">>;
  /** Not kept: each run of it reports its steps. */
  readonly generationTrace: (
    params: Own<"generationTrace">,
    report?: (step: Progress<TraceQuestions, "generationTrace">) => void,
    signal?: AbortSignal,
  ) => Promise<Result<TraceQuestions, "generationTrace">>;
  /** A new trace of the same text each time; it uses memory until it is released. */
  readonly intervene: (params: Own<"intervene">) => Promise<TraceInfo>;
  /** The same, to be asked about like any other run; this one is its `base`. */
  readonly intervened: (interventions: readonly Intervention[]) => Promise<Inspection>;
  readonly compareTraces: (other: number) => Promise<Result<TraceQuestions, "compareTraces">>;
  readonly compareWeights: (otherDir: string) => Promise<Result<TraceQuestions, "compareWeights">>;
  /** The run without the interventions of this one; null where nothing was changed. */
  readonly base: Inspection | null;
}

/** The params of a question but for the trace or the model, which are those of the inspection. */
type Own<M extends keyof TraceQuestions> = Omit<Params<TraceQuestions, M>, "trace" | "dir">;

export interface View {
  readonly section: Section;
  /** Whether it asks for tensors, so that it is left alone while it is folded: looking costs what is looked at. */
  readonly asksTensors: boolean;
  /** Another trace; the selection is already one of its own. */
  readonly show: (inspection: Inspection) => void;
}

/** What a view is made with. */
export interface ViewContext {
  readonly selection: Store<Selection>;
  readonly save: Save;
  /** Makes a section that remembers whether it is folded. */
  readonly section: (title: string) => Section;
  /** What a view can do in the Explorer beyond showing a trace; the side panel has none of it. */
  readonly explorer?: ExplorerTools;
}

export interface ExplorerTools {
  /** Shows another view, by its id in views/registry.ts. */
  readonly open: (view: string) => void;
  /** Runs another text, as if it had been typed. */
  readonly run: (text: string) => void;
  /** Kept while the panel is hidden, and over a reload: what was generated, in the view's own words. */
  readonly memory: Store<{ readonly generation: string }>;
  /** In force in every view: the shell runs the text again with them and shows that run, whose `base` is the first. */
  readonly interventions: Store<{ readonly list: readonly Intervention[] }>;
  /** The models that can be run, the active one first. */
  readonly models: () => Promise<readonly { readonly dir: string; readonly name: string }[]>;
  /** A run of another text or model, to compare with or to patch from. It takes memory: release it when it is not needed. */
  readonly alongside: (dir: string, text: string) => Promise<Inspection>;
  readonly release: (inspection: Inspection) => void;
  /** Whether the text in the editor is shaded by what the selected token looks at, and how. */
  readonly shading: Store<Shading>;
}

/** Whoever keeps the trace. */
export type TraceHost = Pick<Client<TraceQuestions>, "call">;

/** Tensors of a run that are kept in the page: two dozen heads' patterns of 1,024 tokens. */
const TENSOR_BYTES = 96 * 2 ** 20;

/** Wraps a trace; what was asked is kept, tensors as far as they fit, and asked again after an error. */
export function createInspection(
  trace: TraceInfo,
  source: InspectedSource,
  host: TraceHost,
  base: Inspection | null = null,
): Inspection {
  const names = new Set(trace.values.map(({ name }) => name));
  const asked = new Map<string, Promise<unknown>>();
  /** Answers that hold a tensor, the one asked for longest ago first, and what they take. */
  const held = new Map<string, number>();
  const hold = (key: string, bytes: number) => {
    held.delete(key);
    held.set(key, bytes);
    let sum = [...held.values()].reduce((total, size) => total + size, 0);
    for (const [oldest, size] of held) {
      if (sum <= TENSOR_BYTES || oldest === key) break;
      held.delete(oldest);
      asked.delete(oldest);
      sum -= size;
    }
  };
  const once = <M extends keyof TraceQuestions & string>(
    method: M,
    params: Params<TraceQuestions, M>,
  ): Promise<Result<TraceQuestions, M>> => {
    const key = keyOf(method, params);
    let answer = asked.get(key);
    if (!answer) {
      answer = host.call(method, params);
      asked.set(key, answer);
      answer.catch(() => asked.delete(key));
    }
    // The key begins with the method, so what is kept under it is an answer of that method.
    return answer as Promise<Result<TraceQuestions, M>>;
  };
  const tensor = (name: string, head?: number) => {
    const params = { ...of, name, ...(head !== undefined && { head }) };
    const answer = once("traceTensor", params);
    answer.then(({ data }) => hold(keyOf("traceTensor", params), data.byteLength)).catch(() => undefined);
    return answer;
  };
  const { dir } = trace.model;
  const of = { trace: trace.trace };
  const inspection: Inspection = {
    trace,
    source,
    base,
    has: (name) => names.has(name),
    tensor,
    find: (query, count, position) =>
      host.call("findTokens", { ...of, query, count, ...(position !== undefined && { position }) }),
    modules: () => once("describe", { dir }),
    ask: (method, params) => once(method, { ...params, ...of, dir } as Params<TraceQuestions, typeof method>),
    sampler: (params) => host.call("sampler", { ...params, ...of }),
    tokenize: (text, of = dir) => once("tokenize", { dir: of, text }),
    checkpoints: (of = dir) => once("checkpoints", { dir: of }),
    generationTrace: (params, report, signal) =>
      host.call("generationTrace", { ...params, dir }, { signal, onProgress: report }),
    intervene: (params) => host.call("intervene", { ...params, ...of }),
    intervened: async (interventions) =>
      createInspection(await host.call("intervene", { ...of, interventions }), source, host, inspection),
    compareTraces: (other) => once("compareTraces", { a: trace.trace, b: other }),
    compareWeights: (otherDir) => once("compareWeights", { a: dir, b: otherDir }),
  };
  return inspection;
}

const keyOf = (method: string, params: unknown): string => `${method} ${JSON.stringify(params)}`;

/** The matrix of a tensor whose leading dimensions are 1, as [rows, cols]. */
export function matrixOf(tensor: TraceTensor): { rows: number; cols: number; values: Float32Array } {
  const cols = tensor.shape.at(-1) ?? 1;
  const rows = tensor.shape.at(-2) ?? 1;
  if (rows * cols !== tensor.data.length) {
    throw new Error(`${tensor.name}: a matrix of ${rows} × ${cols} was expected, got ${tensor.data.length} values.`);
  }
  return { rows, cols, values: tensor.data };
}
