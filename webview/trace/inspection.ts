/** State that the views of a trace share: the trace, its tensors, and the selection. */

import type { FoundTokens, ModuleTree, TraceInfo, TraceTensor } from "../../src/protocol/engineApi";
import type { Client, Params, Progress, Result } from "../../src/protocol/rpc";
import type { Intervention } from "../../src/protocol/traceApi";
import type { InspectedSource, PromptSet, TraceQuestions } from "../../src/protocol/webviewApi";
import type { Store } from "../base/store";
import type { Save } from "../parts/dataBar";
import type { ReadExplanations } from "../parts/explanation";
import type { Section } from "../parts/section";
import type { Shading } from "./attention/layout";
import type { InterventionHistory } from "./interventionHistory";

/** Selected token, layer and head of the page, as indices of the trace. */
export interface Selection {
  readonly token: number;
  readonly layer: number;
  readonly head: number;
  /** Trace name of the value whose numbers are shown. */
  readonly value?: string;
  /** A translator's source token; `token` is one of the translation. */
  readonly sourceToken?: number;
}

/** A translator's selected source token; the first one until another is selected. */
export const sourceTokenOf = ({ sourceToken = 0 }: Selection, { source }: Pick<TraceInfo, "source">): number =>
  Math.max(0, Math.min(sourceToken, (source?.tokens.length ?? 0) - 1));

/** A trace with a cache of its tensors. */
export interface Inspection {
  readonly trace: TraceInfo;
  readonly source: InspectedSource;
  readonly has: (name: string) => boolean;
  /** Fetches a tensor; `head` is a query head, for values of attention. */
  readonly tensor: (name: string, head?: number) => Promise<TraceTensor>;
  /** Searches the vocabulary by id or text; ranks are those after a position, by default the last. */
  readonly find: (query: string, count: number, position?: number) => Promise<FoundTokens>;
  /** The model's modules, as PyTorch prints them. */
  readonly modules: () => Promise<ModuleTree>;

  /** Asks the engine about the trace or its model. Answers are cached: see src/protocol/traceApi.ts. */
  readonly ask: <M extends keyof TraceQuestions>(method: M, params: Own<M>) => Promise<Result<TraceQuestions, M>>;
  /** Not cached, because dragging a slider sends many requests. */
  readonly sampler: (params: Own<"sampler">) => Promise<Result<TraceQuestions, "sampler">>;
  /** Tokenizes a text with the trace's model or another one of `ExplorerTools.models()`. */
  readonly tokenize: (text: string, dir?: string) => Promise<Result<TraceQuestions, "tokenize">>;
  /** Checkpoints of the training run of this or another model, which `ExplorerTools.alongside` can trace. */
  readonly checkpoints: (dir?: string) => Promise<Result<TraceQuestions, "checkpoints">>;
  /** Not cached, because each prompt of a set is scored once. */
  readonly scorePrompt: (
    params: Own<"scorePrompt">,
    signal: AbortSignal,
  ) => Promise<Result<TraceQuestions, "scorePrompt">>;
  /** Not cached, because it reports its steps. */
  readonly generationTrace: (
    params: Own<"generationTrace">,
    report?: (step: Progress<TraceQuestions, "generationTrace">) => void,
    signal?: AbortSignal,
  ) => Promise<Result<TraceQuestions, "generationTrace">>;
  /** A new trace of the text with interventions, whose `base` is this one; it uses memory until it is released. */
  readonly intervened: (interventions: readonly Intervention[]) => Promise<Inspection>;
  readonly compareTraces: (other: number) => Promise<Result<TraceQuestions, "compareTraces">>;
  readonly compareWeights: (otherDir: string) => Promise<Result<TraceQuestions, "compareWeights">>;
  /** The trace without interventions; null for a trace that has none. */
  readonly base: Inspection | null;
}

/** Parameters of a question without the trace and the model, which the inspection adds. */
type Own<M extends keyof TraceQuestions> = Omit<Params<TraceQuestions, M>, "trace" | "dir">;

export interface View {
  readonly section: Section;
  /** True if the view fetches tensors: it then loads only while it is open. */
  readonly asksTensors: boolean;
  /** Shows another trace; the selection is already one of that trace. */
  readonly show: (inspection: Inspection) => void;
}

/** Dependencies of a view. */
export interface ViewContext {
  readonly selection: Store<Selection>;
  readonly save: Save;
  /** Creates a section that remembers whether it is folded. */
  readonly section: (title: string) => Section;
  /** Tools of the Model Explorer; the side panel has none. */
  readonly explorer?: ExplorerTools;
}

export interface ExplorerTools {
  /** Opens another view by its id in webview/explorer/registry.ts. */
  readonly open: (view: string) => void;
  /** Runs another text as if the user had typed it. */
  readonly run: (text: string) => void;
  /** State of the view of this name that survives hiding and reloading the panel, in the view's own format. */
  readonly memory: Store<{ readonly generation: string; readonly prompts: string } & ReadExplanations>;
  /** The named sets of prompts that the host keeps. */
  readonly promptSets: PromptSets;
  /** Active interventions and their undo history: the page traces the text with them and shows that trace in every view. */
  readonly interventions: Store<InterventionHistory>;
  /** The state of the forward pass with the active interventions. */
  readonly intervening: Store<{ readonly state: "computing" | "done" | "failed" }>;
  /** Models that can be used, the active one first. */
  readonly models: () => Promise<readonly { readonly dir: string; readonly name: string }[]>;
  /** Runs another text or model, to compare with or to patch from. The trace uses memory until it is released. */
  readonly alongside: (dir: string, text: string) => Promise<Inspection>;
  readonly release: (inspection: Inspection) => void;
  /** Shading of the editor's text by the selected token's attention. */
  readonly shading: Store<Shading>;
}

interface PromptSets {
  readonly list: () => Promise<readonly PromptSet[]>;
  /** Saves a set, in place of the one with its name. */
  readonly save: (set: PromptSet) => Promise<null>;
  /** Resolves to false if the user keeps the set. */
  readonly remove: (name: string) => Promise<boolean>;
  /** Reads the prompts of a file that the user chooses; null if the user chooses none. */
  readonly import: () => Promise<readonly string[] | null>;
}

/** The host that keeps the trace. */
export type TraceHost = Pick<Client<TraceQuestions>, "call">;

/** Size of the page's tensor cache: patterns of two dozen heads at 1,024 tokens. */
const TENSOR_BYTES = 96 * 2 ** 20;

/** Wraps a trace. Answers are cached, tensors up to a limit; a failed request is sent again when needed. */
export function createInspection(
  trace: TraceInfo,
  source: InspectedSource,
  host: TraceHost,
  base: Inspection | null = null,
): Inspection {
  const names = new Set(trace.values.map(({ name }) => name));
  const answers = new Map<string, Promise<unknown>>();
  /** Bytes of the cached tensors, the one requested longest ago first. */
  const held = new Map<string, number>();
  const hold = (key: string, bytes: number) => {
    held.delete(key);
    held.set(key, bytes);
    let sum = [...held.values()].reduce((total, size) => total + size, 0);
    for (const [oldest, size] of held) {
      if (sum <= TENSOR_BYTES || oldest === key) break;
      held.delete(oldest);
      answers.delete(oldest);
      sum -= size;
    }
  };
  const once = <M extends keyof TraceQuestions & string>(
    method: M,
    params: Params<TraceQuestions, M>,
  ): Promise<Result<TraceQuestions, M>> => {
    const key = keyOf(method, params);
    let answer = answers.get(key);
    if (!answer) {
      answer = host.call(method, params);
      answers.set(key, answer);
      answer.catch(() => answers.delete(key));
    }
    // The key starts with the method, so its answer is of that method's type.
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
    scorePrompt: (params, signal) => host.call("scorePrompt", { ...params, dir }, { signal }),
    generationTrace: (params, report, signal) =>
      host.call("generationTrace", { ...params, dir }, { signal, onProgress: report }),
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
    throw new Error(`${tensor.name}: expected a matrix of ${rows} × ${cols}, got ${tensor.data.length} values.`);
  }
  return { rows, cols, values: tensor.data };
}
