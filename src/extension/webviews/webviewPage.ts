import { randomBytes } from "node:crypto";
import * as vscode from "vscode";
import { isMessage, type Port } from "../../protocol/rpc";
import { ownBuffers } from "./ownBuffers";

/** Loads a bundle of dist/webview into a webview. Only that bundle and its style sheet may load or run. */
export function openPage(
  webview: vscode.Webview,
  extensionUri: vscode.Uri,
  page: "inspector" | "training" | "explorer",
  title: string,
): void {
  const root = vscode.Uri.joinPath(extensionUri, "dist", "webview");
  webview.options = { enableScripts: true, localResourceRoots: [root, vscode.Uri.joinPath(extensionUri, "media")] };
  const file = (name: string) => webview.asWebviewUri(vscode.Uri.joinPath(root, name)).toString();
  const nonce = randomBytes(16).toString("base64");
  const source = webview.cspSource;
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src ${source} 'nonce-${nonce}'`,
    `font-src ${source}`,
    `img-src ${source} blob: data:`,
  ].join("; ");
  webview.html = `<!DOCTYPE html>
<html lang="${vscode.env.language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta property="csp-nonce" content="${nonce}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title.replace(/[&<>]/g, "")}</title>
<link rel="stylesheet" href="${file(`${page}.css`)}">
</head>
<body>
<script nonce="${nonce}" src="${file(`${page}.js`)}"></script>
</body>
</html>`;
}

/** The host's port. It checks the form of messages; `serve` checks their parameters. */
export const webviewPort = (webview: vscode.Webview): Port => ({
  post: (message) => void webview.postMessage(ownBuffers(message)),
  onMessage: (listener) => {
    webview.onDidReceiveMessage((message: unknown) => {
      if (isMessage(message)) listener(message);
    });
  },
});
