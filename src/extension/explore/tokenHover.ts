import * as vscode from "vscode";
import { isCanceled } from "../../protocol/rpc";
import { isEnabledFor } from "../complete/eligibility";
import { contains, type ShownCompletion } from "../complete/shownCompletion";
import { errorTextForLog } from "../errorText";
import { l10n } from "../l10n";
import type { LabServices } from "../labServices";
import type { Model } from "../models/modelFolders";
import { setting } from "../settings";
import { hoverText } from "./hoverText";

/** Documents that people read or write, local or remote; not outputs or the input boxes of other views. */
export const textSchemes = [
  "file",
  "untitled",
  "vscode-remote",
  "vscode-vfs",
  "vscode-notebook-cell",
  "vscode-userdata",
  "git",
];

/** True if the token hover is enabled for a document and a model. */
export const hasTokenHover = (document: vscode.TextDocument, { readsCode }: Model): boolean =>
  setting("hover.enabled", document) &&
  isEnabledFor(setting("hover.languages", document), document.languageId, readsCode);

/**
 * Shows the token under the pointer. The engine caches the tokens of each document version, so the text is sent once
 * per version.
 */
export class TokenHover implements vscode.HoverProvider, vscode.Disposable {
  readonly #lab: LabServices;
  readonly #completions: { readonly shown: ShownCompletion | undefined };
  /** URIs of the documents that the engine caches. */
  readonly #sent = new Set<string>();
  readonly #subscription: vscode.Disposable;

  constructor(lab: LabServices, completions: { readonly shown: ShownCompletion | undefined }) {
    this.#lab = lab;
    this.#completions = completions;
    this.#subscription = vscode.workspace.onDidCloseTextDocument(({ uri }) => this.#close(uri.toString()));
  }

  async provideHover(
    document: vscode.TextDocument,
    position: vscode.Position,
    token: vscode.CancellationToken,
  ): Promise<vscode.Hover | undefined> {
    const model = this.#lab.models.active;
    if (!model || !hasTokenHover(document, model)) return undefined;
    try {
      const offset = document.offsetAt(position);
      const found = await this.#tokenAt(document, model.dir, offset);
      if (found.kind !== "token" || token.isCancellationRequested) return undefined;
      const range = new vscode.Range(document.positionAt(found.span.start), document.positionAt(found.span.end));
      const text = document.getText(range);
      const { start, end } = range;
      const markdown = new vscode.MarkdownString(
        hoverText({ span: found.span, index: found.index, text, start, end, model: model.name }),
      );
      const { shown } = this.#completions;
      const link = shown && contains(shown, document.uri.toString(), offset) ? [whyLink()] : [];
      return new vscode.Hover([markdown, ...link], range);
    } catch (error) {
      // VS Code requests hovers all the time, so errors go to the log only.
      if (!isCanceled(error)) this.#lab.log.warn(`hover: ${errorTextForLog(error)}`);
      return undefined;
    }
  }

  dispose(): void {
    this.#subscription.dispose();
  }

  async #tokenAt(document: vscode.TextDocument, dir: string, offset: number) {
    const { engine } = this.#lab;
    const uri = document.uri.toString();
    const params = { dir, uri, version: document.version, offset };
    const found = await engine.call("tokenAt", params);
    if (found.kind !== "needText") return found;
    this.#sent.add(uri);
    const again = await engine.call("tokenAt", { ...params, text: document.getText() });
    if (again.kind === "needText") throw new Error(l10n.t("The engine did not store the document."));
    return again;
  }

  #close(uri: string): void {
    if (this.#sent.delete(uri)) this.#lab.engine.call("closeDocument", { uri }).catch(() => undefined);
  }
}

/** A link from a completion to its generation steps. */
function whyLink(): vscode.MarkdownString {
  const link = new vscode.MarkdownString(`[${l10n.t("Why this completion?")}](command:decoderLab.whyThisCompletion)`);
  link.isTrusted = { enabledCommands: ["decoderLab.whyThisCompletion"] };
  return link;
}
