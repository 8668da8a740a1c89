/** The host's side of a webview for a page whose host is in another process: bundled and put before the page's script. */

import type { Message } from "../../src/protocol/rpc";

declare global {
  interface Window {
    /** Serves what the page asks. */
    toHost(message: Message): void;
    fromHost(message: Message): void;
  }
}

window.fromHost = (message) => void window.dispatchEvent(new MessageEvent("message", { data: message }));

Object.assign(window, {
  acquireVsCodeApi: () => ({
    postMessage: (message: Message) => window.toHost(message),
    getState: () => JSON.parse(sessionStorage.getItem("state") ?? "null"),
    setState: (state: unknown) => sessionStorage.setItem("state", JSON.stringify(state)),
  }),
});
