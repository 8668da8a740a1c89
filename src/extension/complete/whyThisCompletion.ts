import * as vscode from "vscode";
import { typedText } from "../explore/editorText";
import type { ExplorerPanels } from "../explore/explorerPanels";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { isUsable } from "../models/modelFolders";
import { promptTokensRead, type ShownCompletion } from "./shownCompletion";

/** Opens the Model Explorer with the last completion: its prompt and each generation step. */
export function whyThisCompletion(
  lab: LabServices,
  completions: { readonly shown: ShownCompletion | undefined },
  explorers: ExplorerPanels,
) {
  return async (): Promise<void> => {
    const { shown } = completions;
    if (!shown) {
      void vscode.window.showInformationMessage(
        l10n.t("No completion has been shown yet. Type in an editor until ghost text appears."),
      );
      return;
    }
    const { dir, prompt, temperature = 0, topK = 0, topP = 1, seed = 0 } = shown.params;
    if (!lab.models.models.some((model) => model.dir === dir && isUsable(model))) {
      throw new Error(l10n.t("The model of this completion no longer exists. Choose another one and try again."));
    }
    const spans = await lab.engine.call("tokenize", { dir, text: prompt });
    const { ids, start } = promptTokensRead(spans, shown.result.promptTokens);
    const text = prompt.slice(start);
    const name = vscode.Uri.parse(shown.context.uri).path.split("/").at(-1) ?? "";
    explorers.show(
      {
        source: {
          ...typedText(text),
          label: l10n.t("{0}, completion", name),
          completion: {
            prompt: ids,
            ids: shown.result.ids,
            shown: shown.text,
            sampling: { temperature, topK, topP, seed },
          },
        },
        location: locate(shown, text),
      },
      { dir, view: "generation" },
    );
  };
}

/** The location of the prompt in its document; null if the document was closed or changed there. */
function locate({ context }: ShownCompletion, text: string): { uri: vscode.Uri; start: number } | null {
  const document = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === context.uri);
  const start = context.offset - text.length;
  if (!document || start < 0) return null;
  const range = new vscode.Range(document.positionAt(start), document.positionAt(context.offset));
  return document.getText(range) === text ? { uri: document.uri, start } : null;
}
