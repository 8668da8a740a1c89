/** The engine's answers about traces, for pages: passed through, for models that the Models view has. */

import type { Handlers } from "../../protocol/rpc";
import type { TraceQuestions } from "../../protocol/webviewApi";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { isModelOrCheckpoint } from "../models/modelFolders";
import { forwardTo } from "./traceChecks";

export const traceHandlers = (lab: LabServices): Handlers<TraceQuestions> =>
  forwardTo(lab.engine, (params) => {
    for (const dir of foldersIn(params)) requireKnown(lab, dir);
  });

/** Refuses a folder that is no model of the Models view and no checkpoint of one: a page may not read any other. */
export function requireKnown({ models }: Pick<LabServices, "models">, dir: string): void {
  // A run that was opened from a file does not say where its model is.
  if (dir === "") {
    throw new Error(
      l10n.t("This run is from a file, and this needs its model. Type the text above to run it with the active model."),
    );
  }
  if (
    !isModelOrCheckpoint(
      dir,
      models.models.map((model) => model.dir),
    )
  ) {
    throw new Error(l10n.t("The view asked about a model that is not there any more; choose another."));
  }
}

/** The model folders that a question names: `dir`, or `a` and `b` where they are compared. */
const foldersIn = (params: object): string[] =>
  Object.entries(params).flatMap(([name, value]) =>
    ["dir", "a", "b"].includes(name) && typeof value === "string" ? [value] : [],
  );
