import * as vscode from "vscode";
import { isCanceled } from "../protocol/rpc";
import type { Commands } from "./contributions";
import { l10n } from "./l10n";

/** Registers a command. What it throws is shown to the user once. */
export function registerCommand<Id extends keyof Commands>(
  id: Id,
  run: Commands[Id],
  log: vscode.LogOutputChannel,
): vscode.Disposable {
  // VS Code passes what the menu or the caller gave; `Commands` says what that is.
  const command = run as (...args: unknown[]) => Promise<void>;
  return vscode.commands.registerCommand(id, (...args: unknown[]) => showingErrors(id, () => command(...args), log));
}

/** Runs what a user asked for. What it throws is shown once; canceling is not an error. */
export async function showingErrors(
  what: string,
  run: () => Promise<void>,
  log: vscode.LogOutputChannel,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (error instanceof vscode.CancellationError || isCanceled(error)) return;
    const message = error instanceof Error ? error.message : String(error);
    log.error(`${what}: ${message}`, ...(error instanceof Error && error.stack ? [error.stack] : []));
    void showProblem(message, log);
  }
}

/** An error with a way to its details. */
async function showProblem(message: string, log: vscode.LogOutputChannel): Promise<void> {
  const showLog = l10n.t("Show Log");
  if ((await vscode.window.showErrorMessage(message, showLog)) === showLog) log.show();
}
