import * as vscode from "vscode";
import { l10n } from "../l10n";
import type { TokenPlace } from "../surprisal/surprisalLens";
import { textAround } from "./editorText";
import type { ExplorerPanel } from "./explorerPanel";

/** Opens the Explorer with the text that leads to a token, and the token chosen. */
export function exploreToken(explorer: ExplorerPanel) {
  return async (place?: TokenPlace): Promise<void> => {
    const document = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === place?.uri);
    if (!place || !document) throw new Error(l10n.t("The text of this token is not open any more; open it again."));
    explorer.show(textAround(document, place.from, place.to, place.offset));
  };
}
