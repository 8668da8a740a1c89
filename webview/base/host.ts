/** The page's side of the channel to the extension host, and the state that it keeps while hidden. */

import { type Client, connect, isMessage, type Message, type Port } from "../../src/protocol/rpc";

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

// Can be called once per page.
const vscode = acquireVsCodeApi();

const port: Port = {
  post: (message) => vscode.postMessage(message),
  onMessage(listener: (message: Message) => void) {
    window.addEventListener("message", ({ data }) => {
      if (isMessage(data)) listener(data);
    });
  },
};

export const connectHost = <Api, Events>(): Client<Api, Events> => connect<Api, Events>(port);

/** Returns the saved state; a field that is missing or has another type has its default. */
export function remembered<T extends Record<string, string | number | boolean>>(defaults: T): T {
  const saved = vscode.getState();
  if (typeof saved !== "object" || saved === null) return defaults;
  const known = Object.entries(saved).filter(([key, value]) => typeof value === typeof defaults[key]);
  return { ...defaults, ...Object.fromEntries(known) };
}

export const remember = (state: Record<string, string | number | boolean>): void => vscode.setState(state);
