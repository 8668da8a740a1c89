import * as vscode from "vscode";

const GREETED = "greeted";

/** Opens the walkthrough, beside the editor if there is one. */
export const openWalkthrough = async ({ extension }: Pick<vscode.ExtensionContext, "extension">): Promise<void> => {
  const isBeside = vscode.window.activeTextEditor !== undefined;
  await vscode.commands.executeCommand("workbench.action.openWalkthrough", `${extension.id}#start`, isBeside);
};

/** Opens the walkthrough once per installation, where the user lets VS Code do so for extensions that it installs. */
export async function greet(context: vscode.ExtensionContext): Promise<void> {
  const walkthroughs = vscode.workspace.getConfiguration("workbench.welcomePage.walkthroughs");
  if (context.globalState.get(GREETED) || !walkthroughs.get("openOnInstall")) return;
  await context.globalState.update(GREETED, true);
  await openWalkthrough(context);
}
