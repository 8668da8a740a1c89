import * as vscode from "vscode";
import { count, deviceName } from "../format";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "./modelFolders";

/** Asks the user for one of the models that pass `filter`, with a mark at `current`; undefined when dismissed. */
export async function pickModel(
  lab: LabServices,
  title: string,
  filter: (model: Model) => boolean,
  current = lab.models.active,
): Promise<Model | undefined> {
  await lab.models.refresh();
  const models = lab.models.models.filter(filter);
  if (models.length === 0) throw new Error(l10n.t("No suitable model. Train or import one first."));
  const items = models.map((model) => ({
    label: `${model.dir === current?.dir ? "$(pass-filled) " : ""}${model.name}`,
    description: [
      model.parameters === null ? "" : count(model.parameters),
      model.precision ?? "",
      model.loss === null ? "" : l10n.t("loss {0}", (model.valLoss ?? model.loss).toFixed(2)),
      model.device ? deviceName(model.device) : "",
    ]
      .filter(Boolean)
      .join(" · "),
    model,
  }));
  return (await vscode.window.showQuickPick(items, { title, matchOnDescription: true }))?.model;
}
