/** What the inspector's views share: the trace that is looked at, its tensors, and what is selected in all of them. */

import type { FoundTokens, TraceInfo, TraceTensor } from "../src/protocol/engineApi";
import type { InspectedSource } from "../src/protocol/webviewApi";
import type { Save } from "./parts/dataBar";
import type { Section } from "./parts/section";
import type { Store } from "./store";

/** One token, layer and head for the whole page; indices of the trace that is shown. */
export interface Selection {
  readonly token: number;
  readonly layer: number;
  readonly head: number;
}

/** A trace with a cache of the tensors that were asked for. */
export interface Inspection {
  readonly trace: TraceInfo;
  readonly source: InspectedSource;
  readonly has: (name: string) => boolean;
  /** Of attention values, those of a head of queries. */
  readonly tensor: (name: string, head?: number) => Promise<TraceTensor>;
  /** Tokens of the vocabulary by id or text, with their ranks after the last token. */
  readonly find: (query: string, count: number) => Promise<FoundTokens>;
}

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
}

/** Whoever keeps the trace. */
export interface TraceHost {
  readonly tensor: (params: { trace: number; name: string; head?: number }) => Promise<TraceTensor>;
  readonly findTokens: (params: { trace: number; query: string; count: number }) => Promise<FoundTokens>;
}

/** Wraps a trace; a tensor is asked for once, and again after an error. */
export function createInspection(trace: TraceInfo, source: InspectedSource, host: TraceHost): Inspection {
  const names = new Set(trace.values.map(({ name }) => name));
  const asked = new Map<string, Promise<TraceTensor>>();
  return {
    trace,
    source,
    has: (name) => names.has(name),
    tensor(name, head) {
      const key = `${name}#${head ?? ""}`;
      let answer = asked.get(key);
      if (!answer) {
        answer = host.tensor({ trace: trace.trace, name, ...(head !== undefined && { head }) });
        asked.set(key, answer);
        answer.catch(() => asked.delete(key));
      }
      return answer;
    },
    find: (query, count) => host.findTokens({ trace: trace.trace, query, count }),
  };
}

/** The matrix of a tensor whose leading dimensions are 1, as [rows, cols]. */
export function matrixOf(tensor: TraceTensor): { rows: number; cols: number; values: Float32Array } {
  const cols = tensor.shape.at(-1) ?? 1;
  const rows = tensor.shape.at(-2) ?? 1;
  if (rows * cols !== tensor.data.length) {
    throw new Error(`${tensor.name}: a matrix of ${rows} × ${cols} was expected, got ${tensor.data.length} values.`);
  }
  return { rows, cols, values: tensor.data };
}
