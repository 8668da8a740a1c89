/** What the engine computes from a tiny trace when a page asks: real numbers of that trace, from the engine's own functions. */

import type { Handlers } from "../../src/protocol/rpc";
import type { TraceQuestions } from "../../src/protocol/webviewApi";
import type { TinyTrace } from "./tinyTrace";

/** The handlers of a page's questions about the trace that is shown now. */
export function tinyAnswers(shown: () => TinyTrace): Handlers<TraceQuestions> {
  const unanswered = (method: string) => (): never => {
    throw new Error(`The tests' page does not answer ${method}.`);
  };
  return {
    tensor: ({ name, head }) => shown().tensor(name, head),
    findTokens: ({ query, count }) => shown().find(query, count),
    releaseTrace: () => null,
    describe: unanswered("describe"),
    intervene: unanswered("intervene"),
    lens: unanswered("lens"),
    attribution: unanswered("attribution"),
    attentionGrid: unanswered("attentionGrid"),
    neighbours: unanswered("neighbours"),
    projection: unanswered("projection"),
    weightSummary: unanswered("weightSummary"),
    surprisal: unanswered("surprisal"),
    generationTrace: unanswered("generationTrace"),
    compareTraces: unanswered("compareTraces"),
    compareWeights: unanswered("compareWeights"),
  };
}
