import * as v from "valibot";
import type { Checks, Client, Handlers } from "../../protocol/rpc";
import type { TraceQuestions } from "../../protocol/webviewApi";
import { fields, finite, folder, index, list, text, upTo } from "../webviews/schemas";

/** Tokens that a search returns, or that are returned for a position. */
const count = upTo(100);
/** Rows and columns of a thumbnail. */
const size = upTo(512);
const name = text(200);
const query = text(200);
/** Positions of a trace, or tokens of a branch. */
const MAX_TOKENS = 65_536;

const stack = v.optional(v.picklist(["encoder", "decoder"]));
const inLayer = { stack, layer: index };
const head = v.object({ kind: v.picklist(["head", "crossHead"]), ...inLayer, head: index });

const part = v.variant("kind", [
  head,
  v.object({ kind: v.picklist(["attention", "cross", "mlp", "layer"]), ...inLayer }),
]);

const patchedValue = v.variant("kind", [
  head,
  v.object({ kind: v.picklist(["attnOut", "crossOut", "mlpOut", "residPre", "residPost"]), ...inLayer }),
]);

const intervention = v.variant("kind", [
  v.object({ kind: v.literal("scale"), part, factor: finite }),
  v.object({
    kind: v.literal("patch"),
    value: patchedValue,
    position: index,
    from: v.object({ trace: index, position: index }),
  }),
]);

const nonNegative = v.pipe(
  finite,
  v.transform((value) => Math.max(0, value)),
);

/** Checks of the requests about traces. */
export const traceChecks: Checks<TraceQuestions> = {
  traceTensor: fields({ trace: index, name, head: v.optional(index) }),
  findTokens: fields({ trace: index, query, count, position: v.optional(index) }),
  describe: fields({ dir: folder }),
  tokenize: fields({ dir: folder, text: text(200_000) }),
  checkpoints: fields({ dir: folder }),
  releaseTrace: fields({ trace: index }),
  intervene: fields({ trace: index, interventions: list(intervention, 256) }),
  lens: fields({ trace: index, positions: v.tuple([index, index]), count, token: v.optional(index) }),
  expectations: fields({ trace: index }),
  sampler: fields({
    trace: index,
    position: index,
    count: upTo(200),
    temperature: nonNegative,
    topK: index,
    topP: finite,
    minP: finite,
    ids: v.optional(list(index, 100)),
  }),
  attribution: fields({ trace: index, position: index, token: index, against: v.optional(index) }),
  overview: fields({ trace: index, position: index }),
  attentionGrid: fields({ trace: index, size, kind: v.optional(v.picklist(["self", "encoder", "cross"])) }),
  neighbors: fields({
    trace: index,
    of: v.variant("kind", [
      v.object({ kind: v.literal("token"), id: index, stack }),
      v.object({ kind: v.literal("value"), name, position: index }),
    ]),
    among: v.picklist(["embeddings", "head"]),
    count,
  }),
  projection: fields({ trace: index, name, ids: list(index, 10_000) }),
  vocabularyTokens: fields({ trace: index, query, count, stack }),
  weightSummary: fields({ dir: folder, name, size }),
  surprisal: fields({ dir: folder, text: text(8_000_000), from: v.optional(index), alternatives: upTo(20) }),
  scorePrompt: fields({ dir: folder, text: text(20_000), ids: list(index, 100) }),
  generationTrace: fields({
    dir: folder,
    prompt: v.union([text(200_000), list(index, MAX_TOKENS)]),
    maxNewTokens: upTo(4096),
    count,
    temperature: v.optional(finite),
    topK: v.optional(index),
    topP: v.optional(finite),
    minP: v.optional(finite),
    repetitionPenalty: v.optional(finite),
    seed: v.optional(index),
  }),
  compareTraces: fields({ a: index, b: index }),
  compareWeights: fields({ a: folder, b: folder }),
};

/** Handlers that forward each request to the method of the same name, after `authorize` has accepted its parameters. */
export function forwardTo(
  target: Pick<Client<TraceQuestions>, "call">,
  authorize: (params: object) => void = () => undefined,
) {
  const forward =
    (method: keyof TraceQuestions) =>
    (params: object, { signal, report }: Context) => {
      authorize(params);
      return target.call(method, params as never, { signal, onProgress: report });
    };
  const methods = Object.keys(traceChecks) as (keyof TraceQuestions)[];
  // Each handler has the parameters, the result and the progress of its method.
  return Object.fromEntries(methods.map((method) => [method, forward(method)])) as unknown as Handlers<TraceQuestions>;
}

interface Context {
  readonly signal: AbortSignal;
  readonly report: (progress: unknown) => void;
}
