/** What pages may ask about traces, checked: see `checks.ts`. */

import type { Checks, Client, Handlers } from "../../protocol/rpc";
import type {
  GenerationParams,
  Intervention,
  LensOptions,
  NeighborsOptions,
  Part,
  PatchedValue,
  SamplerParams,
} from "../../protocol/traceApi";
import type { TraceQuestions } from "../../protocol/webviewApi";
import { choice, fields, finite, index, LONGEST_PATH, list, optional, text, whole } from "../webviews/messageFields";

/** Of the tokens that a search finds, and of those told of each place. */
const MOST_TOLD = 100;
const MOST_INTERVENTIONS = 256;
/** Rows and columns of a small picture. */
const LARGEST_PICTURE = 512;
/** Of a trace's positions and of a branch's tokens. */
const MOST_TOKENS = 65_536;
/** Characters of a text that is scored. */
const LONGEST_SCORED = 8_000_000;

const trace = (params: unknown) => ({ trace: index(params, "trace") });
const dir = (params: unknown) => ({ dir: text(params, "dir", LONGEST_PATH) });
const name = (params: unknown) => ({ name: text(params, "name", 200) });
const count = (params: unknown) => ({ count: Math.min(index(params, "count"), MOST_TOLD) });
const size = (params: unknown) => ({ size: Math.min(index(params, "size"), LARGEST_PICTURE) });

const sampler = (params: unknown): SamplerParams => ({
  ...trace(params),
  position: index(params, "position"),
  count: Math.min(index(params, "count"), 200),
  temperature: Math.max(0, finite(params, "temperature")),
  topK: index(params, "topK"),
  topP: finite(params, "topP"),
  minP: finite(params, "minP"),
  ...optional(params, "ids", (sent, field) => list(sent, field, MOST_TOLD, whole)),
});

function lens(params: unknown): { trace: number } & LensOptions {
  const [first, end] = list(params, "positions", 2, whole);
  if (first === undefined || end === undefined) throw new Error("The view sent positions without a first and an end.");
  return { ...trace(params), positions: [first, end], ...count(params), ...optional(params, "token", index) };
}

const STACKS = ["encoder", "decoder"] as const;

const stack = (value: unknown) => optional(value, "stack", (of, field) => choice(of, field, STACKS));

const layered = (value: unknown) => ({ layer: index(value, "layer"), ...stack(value) });

function part(value: unknown): Part {
  const kind = choice(value, "kind", ["head", "crossHead", "attention", "cross", "mlp", "layer"]);
  const isHead = kind === "head" || kind === "crossHead";
  return isHead ? { kind, ...layered(value), head: index(value, "head") } : { kind, ...layered(value) };
}

function patched(value: unknown): PatchedValue {
  const kinds = ["head", "crossHead", "attnOut", "crossOut", "mlpOut", "residPre", "residPost"] as const;
  const kind = choice(value, "kind", kinds);
  const isHead = kind === "head" || kind === "crossHead";
  return isHead ? { kind, ...layered(value), head: index(value, "head") } : { kind, ...layered(value) };
}

function intervention(value: unknown): Intervention {
  const kind = choice(value, "kind", ["scale", "patch"]);
  if (kind === "scale") return { kind, part: part(fields(value).part), factor: finite(value, "factor") };
  const { from } = fields(value);
  return {
    kind,
    value: patched(fields(value).value),
    position: index(value, "position"),
    from: { ...trace(from), position: index(from, "position") },
  };
}

function neighbors(params: unknown): { trace: number } & NeighborsOptions {
  const { of } = fields(params);
  const kind = choice(of, "kind", ["token", "value"]);
  return {
    ...trace(params),
    of:
      kind === "token"
        ? { kind, id: index(of, "id"), ...stack(of) }
        : { kind, ...name(of), position: index(of, "position") },
    among: choice(params, "among", ["embeddings", "head"]),
    ...count(params),
  };
}

function generation(params: unknown): GenerationParams {
  const { prompt } = fields(params);
  return {
    ...dir(params),
    prompt: typeof prompt === "string" ? text(params, "prompt", 200_000) : list(params, "prompt", MOST_TOKENS, whole),
    maxNewTokens: Math.min(index(params, "maxNewTokens"), 4096),
    ...count(params),
    ...optional(params, "temperature", finite),
    ...optional(params, "topK", index),
    ...optional(params, "topP", finite),
    ...optional(params, "minP", finite),
    ...optional(params, "repetitionPenalty", finite),
    ...optional(params, "seed", index),
  };
}

const ATTENTION_KINDS = ["self", "encoder", "cross"] as const;

/** Hands each question on to who answers the same one: the engine, under the same name. */
export function forwardTo(
  answerer: Pick<Client<TraceQuestions>, "call">,
  may: (params: object) => void = () => undefined,
) {
  const passed =
    (method: keyof TraceQuestions) =>
    (params: object, { signal, report }: Context) => {
      may(params);
      return answerer.call(method, params as never, { signal, onProgress: report });
    };
  const methods = Object.keys(traceChecks) as (keyof TraceQuestions)[];
  // Each handler has the params, the answer and the progress of the method that it is named after.
  return Object.fromEntries(methods.map((method) => [method, passed(method)])) as unknown as Handlers<TraceQuestions>;
}

interface Context {
  readonly signal: AbortSignal;
  readonly report: (progress: unknown) => void;
}

export const traceChecks: Checks<TraceQuestions> = {
  traceTensor: (params) => ({ ...trace(params), ...name(params), ...optional(params, "head", index) }),
  findTokens: (params) => ({
    ...trace(params),
    query: text(params, "query", 200),
    ...count(params),
    ...optional(params, "position", index),
  }),
  describe: dir,
  tokenize: (params) => ({ ...dir(params), text: text(params, "text", 200_000) }),
  checkpoints: dir,
  releaseTrace: trace,
  intervene: (params) => ({
    ...trace(params),
    interventions: list(params, "interventions", MOST_INTERVENTIONS, intervention),
  }),
  lens,
  expectations: trace,
  sampler,
  attribution: (params) => ({
    ...trace(params),
    position: index(params, "position"),
    token: index(params, "token"),
    ...optional(params, "against", index),
  }),
  attentionGrid: (params) => ({
    ...trace(params),
    ...size(params),
    ...optional(params, "kind", (all, field) => choice(all, field, ATTENTION_KINDS)),
  }),
  neighbors,
  projection: (params) => ({ ...trace(params), ...name(params), ids: list(params, "ids", 10_000, whole) }),
  vocabularyTokens: (params) => ({
    ...trace(params),
    query: text(params, "query", 200),
    ...count(params),
    ...stack(params),
  }),
  weightSummary: (params) => ({ ...dir(params), ...name(params), ...size(params) }),
  surprisal: (params) => ({
    ...dir(params),
    text: text(params, "text", LONGEST_SCORED),
    ...optional(params, "from", index),
    alternatives: Math.min(index(params, "alternatives"), 20),
  }),
  generationTrace: generation,
  compareTraces: (params) => ({ a: index(params, "a"), b: index(params, "b") }),
  compareWeights: (params) => ({ a: text(params, "a", LONGEST_PATH), b: text(params, "b", LONGEST_PATH) }),
};
