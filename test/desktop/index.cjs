// Runs inside a desktop VS Code with the staged package, and checks that the engine also works under Electron.

const assert = require("node:assert/strict");
const vscode = require("vscode");

exports.run = async () => {
  const extension = vscode.extensions.getExtension("decoder-lab.decoder-lab");
  assert.ok(extension, "the extension is installed");
  await extension.activate();

  const document = await vscode.workspace.openTextDocument({ content: "One day, Tim found a kite.\n" });
  await vscode.window.showTextDocument(document);
  const hovers = await vscode.commands.executeCommand(
    "vscode.executeHoverProvider",
    document.uri,
    new vscode.Position(0, 4),
  );
  const text = hovers.flatMap((hover) => hover.contents.map((content) => content.value)).join("\n");
  assert.match(text, /id \*\*\d+\*\*/, "the bundled model's tokenizer answers a hover");
};
