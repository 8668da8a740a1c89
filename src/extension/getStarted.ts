import * as vscode from "vscode";

/** Opens the walkthrough, beside the editor if there is one. */
export const openWalkthrough = async ({ extension }: Pick<vscode.ExtensionContext, "extension">): Promise<void> => {
  const isBeside = vscode.window.activeTextEditor !== undefined;
  await vscode.commands.executeCommand("workbench.action.openWalkthrough", `${extension.id}#start`, isBeside);
};

/** Opens the walkthrough in a demo, as VS Code does when a user installs the extension. */
export async function greet(context: vscode.ExtensionContext): Promise<void> {
  if (process.env.DECODER_LAB_WALKTHROUGH) await openWalkthrough(context);
}
