import * as vscode from "vscode";
import { isCancelled } from "../../protocol/rpc";
import type { Commands } from "../contributions";
import { l10n } from "../l10n";

/** Registers a command. What it throws is shown to the user once, here; cancelling is not an error. */
export function registerCommand<Id extends keyof Commands>(
  id: Id,
  run: Commands[Id],
  log: vscode.LogOutputChannel,
): vscode.Disposable {
  return vscode.commands.registerCommand(id, async (...args: unknown[]) => {
    try {
      // VS Code passes what the menu or the caller gave; `Commands` says what that is.
      await (run as (...args: unknown[]) => Promise<void>)(...args);
    } catch (error) {
      if (error instanceof vscode.CancellationError || isCancelled(error)) return;
      const message = error instanceof Error ? error.message : String(error);
      log.error(`${id}: ${message}`, ...(error instanceof Error && error.stack ? [error.stack] : []));
      void showProblem(message, log);
    }
  });
}

/** An error with a way to its details. */
export async function showProblem(message: string, log: vscode.LogOutputChannel): Promise<void> {
  const showLog = l10n.t("Show Log");
  if ((await vscode.window.showErrorMessage(message, showLog)) === showLog) log.show();
}
