/** The commands that open the Model Explorer or the Layer Inspector. */

import * as vscode from "vscode";
import type { Commands, TokenLocation } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { textAround } from "./editorText";
import type { ExplorerPanel } from "./explorerPanel";
import type { InspectorView } from "./inspectorView";

export const exploreCommands = ({ models }: LabServices, explorer: ExplorerPanel, inspector: InspectorView) =>
  ({
    "decoderLab.inspectSelection": () => inspector.reveal(),
    "decoderLab.exploreInspected": async () => explorer.show(inspector.text),
    // The Models view passes a model; an editor's title bar passes the URI of its document.
    "decoderLab.openExplorer": async (given?: object) => {
      if (given && "dir" in given && typeof given.dir === "string") await models.activate(given.dir);
      explorer.show();
    },
    "decoderLab.exploreTokens": async () => explorer.show(null, "tokens"),
    "decoderLab.exploreNextToken": async () => explorer.show(null, "nextToken"),
    "decoderLab.exploreAttention": async () => explorer.show(null, "attention"),
    "decoderLab.exploreToken": async (token) => explorer.show(textOfToken(token)),
    "decoderLab.toggleAttentionShading": async () => explorer.toggleShading(),
  }) satisfies Partial<Commands>;

/** The text up to a token, with the token selected. */
function textOfToken(token?: TokenLocation) {
  const document = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === token?.uri);
  if (!token || !document) throw new Error(l10n.t("The document of this token was closed. Open it again."));
  return textAround(document, token.from, token.to, token.offset);
}
