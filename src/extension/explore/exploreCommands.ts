/** The commands that open the Model Explorer or the Layer Inspector. */

import * as vscode from "vscode";
import type { Commands, TokenLocation } from "../contributions";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { isUsable } from "../models/modelFolders";
import { textAround } from "./editorText";
import type { ExplorerPanels } from "./explorerPanels";
import type { InspectorView } from "./inspectorView";

export const exploreCommands = ({ models }: LabServices, explorers: ExplorerPanels, inspector: InspectorView) =>
  ({
    "decoderLab.inspectSelection": () => inspector.reveal(),
    "decoderLab.exploreInspected": async () => explorers.show(inspector.text),
    // The Models view passes a model; an editor's title bar passes the URI of its document.
    "decoderLab.openExplorer": async (given?: object) => {
      const dir = given && "dir" in given && typeof given.dir === "string" ? given.dir : undefined;
      explorers.show(null, { dir });
    },
    "decoderLab.exploreCheckpoints": async () => {
      await models.refresh();
      const trained = models.models.find((model) => !model.bundled && model.source === null && isUsable(model));
      if (!trained) throw new Error(l10n.t("No model was trained on this machine yet. Train one first."));
      explorers.show(null, { dir: trained.dir });
    },
    "decoderLab.newExplorer": async () => explorers.openAnother(),
    "decoderLab.exploreTokens": async () => explorers.show(null, { view: "tokens" }),
    "decoderLab.exploreNextToken": async () => explorers.show(null, { view: "nextToken" }),
    "decoderLab.exploreAttention": async () => explorers.show(null, { view: "attention" }),
    "decoderLab.exploreToken": async (token) => explorers.show(textOfToken(token)),
    "decoderLab.toggleAttentionShading": async () => explorers.toggleShading(),
  }) satisfies Partial<Commands>;

/** The text up to a token, with the token selected. */
function textOfToken(token?: TokenLocation) {
  const document = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === token?.uri);
  if (!token || !document) throw new Error(l10n.t("The document of this token was closed. Open it again."));
  return textAround(document, token.from, token.to, token.offset);
}
