/** The named sets of prompts of a workspace. docs/decisions/2026-12-01-prompt-sets.md says why they are in its state. */

import * as vscode from "vscode";
import { readPrompts } from "../../files/promptSet";
import type { Handlers } from "../../protocol/rpc";
import type { ExplorerHost, PromptSet } from "../../protocol/webviewApi";
import { l10n } from "../l10n";
import { withSet } from "./promptSets";

const KEY = "decoderLab.promptSets";

type State = Pick<vscode.Memento, "get" | "update">;
type PromptHandlers = Pick<
  Handlers<ExplorerHost>,
  "promptSets" | "savePromptSet" | "deletePromptSet" | "importPrompts"
>;

export const promptSetHandlers = (state: State): PromptHandlers => ({
  promptSets: () => setsIn(state),
  savePromptSet: async (set) => {
    await state.update(KEY, withSet(setsIn(state), set));
    return null;
  },
  deletePromptSet: async ({ name }) => {
    const yes = l10n.t("Delete");
    const question = l10n.t("Delete the prompt set “{0}” of this workspace?", name);
    if ((await vscode.window.showWarningMessage(question, { modal: true }, yes)) !== yes) return false;
    await state.update(
      KEY,
      setsIn(state).filter((set) => set.name !== name),
    );
    return true;
  },
  importPrompts: async () => {
    const [file] =
      (await vscode.window.showOpenDialog({
        title: l10n.t("Import Prompts"),
        filters: { [l10n.t("CSV or JSONL")]: ["csv", "jsonl", "ndjson"] },
      })) ?? [];
    return file ? readPrompts(file.fsPath) : null;
  },
});

const setsIn = (state: State): readonly PromptSet[] => state.get<readonly PromptSet[]>(KEY, []);
