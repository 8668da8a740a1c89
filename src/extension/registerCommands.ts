import * as vscode from "vscode";
import { isCanceled } from "../protocol/rpc";
import type { Commands } from "./contributions";
import { errorText } from "./errorText";
import { l10n } from "./l10n";

/** Registers every command. An error of a command is shown to the user once. */
export const registerCommands = (commands: Commands, log: vscode.LogOutputChannel): vscode.Disposable =>
  vscode.Disposable.from(
    ...Object.entries(commands).map(([id, command]) => {
      // VS Code passes on what the menu or the caller gave; `Commands` says what that is.
      const run = command as (...args: unknown[]) => Promise<void>;
      return vscode.commands.registerCommand(id, (...args: unknown[]) => reportErrors(id, () => run(...args), log));
    }),
  );

/** Runs an action of the user and shows its error, if any. A cancellation is not an error. */
export async function reportErrors(
  action: string,
  run: () => Promise<void>,
  log: vscode.LogOutputChannel,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof vscode.CancellationError || isCanceled(error)) return;
    const message = errorText(error);
    log.error(`${action}: ${message}`, ...(error instanceof Error && error.stack ? [error.stack] : []));
    void showError(message, log);
  }
}

async function showError(message: string, log: vscode.LogOutputChannel): Promise<void> {
  const showLog = l10n.t("Show Log");
  if ((await vscode.window.showErrorMessage(message, showLog)) === showLog) log.show();
}
