/** The host's side of a webview for a page whose host is in another process: bundled and put before the page's script. */

import type { Message } from "../../src/protocol/rpc";
import { unpacked } from "./parcels";

declare global {
  interface Window {
    /** Serves what the page asks. */
    toHost(message: Message): void;
    /** Takes a message whose large arrays are parcels. */
    fromHost(message: unknown): void;
  }
}

const fetched = async (parcel: string) => (await fetch(parcel)).arrayBuffer();

// Messages arrive in order, also where one waits for its arrays.
let last = Promise.resolve();
window.fromHost = (message) => {
  const ready = unpacked(message, fetched);
  last = last.then(async () => {
    window.dispatchEvent(new MessageEvent("message", { data: await ready }));
  });
};

Object.assign(window, {
  acquireVsCodeApi: () => ({
    postMessage: (message: Message) => window.toHost(message),
    getState: () => JSON.parse(sessionStorage.getItem("state") ?? "null"),
    setState: (state: unknown) => sessionStorage.setItem("state", JSON.stringify(state)),
  }),
});
