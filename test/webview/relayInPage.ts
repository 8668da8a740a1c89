/** Relays a page's messages to a host in another process. It is bundled and runs before the page's own script. */

import type { Message } from "../../src/protocol/rpc";
import { unpacked } from "./parcels";

declare global {
  interface Window {
    /** Sends a message of the page to its host. */
    toHost(message: Message): void;
    /** Delivers a message whose large arrays are parcels. */
    fromHost(message: unknown): void;
  }
}

const fetched = async (parcel: string) => (await fetch(parcel)).arrayBuffer();

// Messages are delivered in order, even if one of them waits for its arrays.
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
