import * as vscode from "vscode";
import { typedText } from "../explore/editorText";
import type { ExplorerPanel } from "../explore/explorerPanel";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import { promptTokensRead, type ShownCompletion } from "./shownCompletion";

/** Opens the Explorer with the last completion that was shown: what the model read, and each step that it took. */
export function whyThisCompletion(
  lab: LabServices,
  completions: { readonly shown: ShownCompletion | undefined },
  explorer: ExplorerPanel,
) {
  return async (): Promise<void> => {
    const made = completions.shown;
    if (!made) {
      void vscode.window.showInformationMessage(
        l10n.t("No completion was shown yet. Write in an editor until the model goes on with your text."),
      );
      return;
    }
    const { dir, prompt, temperature = 0, topK = 0, topP = 1, seed = 0 } = made.params;
    if (!lab.models.models.some((model) => model.dir === dir && model.problem === null)) {
      throw new Error(l10n.t("The model that wrote the completion is not there any more; choose another."));
    }
    const spans = await lab.engine.call("tokenize", { dir, text: prompt });
    const { ids, start } = promptTokensRead(spans, made.result.promptTokens);
    await lab.models.activate(dir);
    const text = prompt.slice(start);
    const name = vscode.Uri.parse(made.place.uri).path.split("/").at(-1) ?? "";
    explorer.show(
      {
        source: {
          ...typedText(text),
          label: l10n.t("{0}, completion", name),
          completion: {
            prompt: ids,
            ids: made.result.ids,
            shown: made.text,
            sampling: { temperature, topK, topP, seed },
          },
        },
        location: locationOf(made, text),
      },
      "generation",
    );
  };
}

/** Where the text is in its document, if it is still there. */
function locationOf({ place }: ShownCompletion, text: string): { uri: vscode.Uri; start: number } | null {
  const document = vscode.workspace.textDocuments.find(({ uri }) => uri.toString() === place.uri);
  const start = place.offset - text.length;
  if (!document || start < 0) return null;
  const range = new vscode.Range(document.positionAt(start), document.positionAt(place.offset));
  return document.getText(range) === text ? { uri: document.uri, start } : null;
}
