import * as vscode from "vscode";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";

/**
 * Says that a new model is ready, and offers to complete text with it or to look inside. Returns the chosen action if it is
 * another one.
 */
export async function offerModel(
  { models }: LabServices,
  message: string,
  dir: string,
  ...others: readonly string[]
): Promise<string | undefined> {
  await models.refresh();
  const isActive = models.active?.dir === dir;
  const [use, explore] = [l10n.t("Use for Completions"), l10n.t("Open Explorer")];
  const chosen = await vscode.window.showInformationMessage(message, ...(isActive ? [] : [use]), explore, ...others);
  if (chosen === use) await models.activate(dir);
  else if (chosen === explore) await vscode.commands.executeCommand("decoderLab.openExplorer", { dir });
  else return chosen;
  return undefined;
}
