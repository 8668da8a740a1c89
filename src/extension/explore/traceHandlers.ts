/** Forwards the requests of pages about traces to the engine, for models in the Models view only. */

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

/** Rejects folders other than those of listed models and their checkpoints: a page must not read anything else. */
export function requireKnown({ models }: Pick<LabServices, "models">, dir: string): void {
  // A trace from a file does not contain the folder of its model.
  if (dir === "") {
    throw new Error(
      l10n.t("A trace file does not contain the model that this needs. Type the text above to run the active model."),
    );
  }
  if (
    !isModelOrCheckpoint(
      dir,
      models.models.map((model) => model.dir),
    )
  ) {
    throw new Error(l10n.t("This model no longer exists. Choose another one."));
  }
}

/** The model folders in a request: `dir`, or `a` and `b` of a comparison. */
const foldersIn = (params: object): string[] =>
  Object.entries(params).flatMap(([name, value]) =>
    ["dir", "a", "b"].includes(name) && typeof value === "string" ? [value] : [],
  );
