/** The engine's answers about traces, for pages: passed through, for models that the Models view has. */

import type { EngineApi } from "../../protocol/engineApi";
import type { Handlers } from "../../protocol/rpc";
import type { TraceQuestions } from "../../protocol/webviewApi";
import { l10n } from "../l10n";
import type { Lab } from "../lab";
import { isKnown } from "./modelFolders";

/** Questions that the engine answers under the same name. */
type Passed = Exclude<keyof TraceQuestions, "tensor">;

export function traceAnswers(lab: Lab): Handlers<TraceQuestions> {
  const { engine } = lab;
  const passed = <M extends Passed>(method: M): Handlers<TraceQuestions>[M] => {
    const ask = (params: object, { signal, report }: Context) => {
      for (const dir of foldersIn(params)) requireKnown(lab, dir);
      return engine.call<keyof EngineApi>(method as keyof EngineApi, params as never, { signal, onProgress: report });
    };
    // The engine's method of this name has these params, this answer and this progress; `passed` is for all of them.
    return ask as unknown as Handlers<TraceQuestions>[M];
  };
  return {
    tensor: (params) => engine.call("traceTensor", params),
    findTokens: passed("findTokens"),
    describe: passed("describe"),
    tokenize: passed("tokenize"),
    checkpoints: passed("checkpoints"),
    releaseTrace: passed("releaseTrace"),
    intervene: passed("intervene"),
    lens: passed("lens"),
    expectations: passed("expectations"),
    sampler: passed("sampler"),
    attribution: passed("attribution"),
    attentionGrid: passed("attentionGrid"),
    neighbours: passed("neighbours"),
    projection: passed("projection"),
    weightSummary: passed("weightSummary"),
    surprisal: passed("surprisal"),
    generationTrace: passed("generationTrace"),
    compareTraces: passed("compareTraces"),
    compareWeights: passed("compareWeights"),
  };
}

/** Refuses a folder that is no model of the Models view and no checkpoint of one: a page may not read any other. */
export function requireKnown({ models }: Pick<Lab, "models">, dir: string): void {
  // A run that was opened from a file does not say where its model is.
  if (dir === "") {
    throw new Error(
      l10n.t("This run is from a file, and this needs its model. Type the text above to run it with the active model."),
    );
  }
  if (
    !isKnown(
      dir,
      models.models.map((model) => model.dir),
    )
  ) {
    throw new Error(l10n.t("The view asked about a model that is not there any more; choose another."));
  }
}

interface Context {
  readonly signal: AbortSignal;
  readonly report: (progress: unknown) => void;
}

/** The model folders that a question names: `dir`, or `a` and `b` where they are compared. */
const foldersIn = (params: object): string[] =>
  Object.entries(params).flatMap(([name, value]) =>
    ["dir", "a", "b"].includes(name) && typeof value === "string" ? [value] : [],
  );
