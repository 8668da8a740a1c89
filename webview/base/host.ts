/** The page's end of the channel to the extension host, and what the page remembers across being hidden. */

import { type Client, connect, isMessage, type Message, type Port } from "../../src/protocol/rpc";

interface VsCodeApi {
  postMessage(message: unknown): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

// VS Code hands it out once per page.
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

/** What was remembered, field by field where its type is still the one of `defaults`. */
export function remembered<T extends Record<string, string | number | boolean>>(defaults: T): T {
  const saved = vscode.getState();
  if (typeof saved !== "object" || saved === null) return defaults;
  const known = Object.entries(saved).filter(([key, value]) => typeof value === typeof defaults[key]);
  return { ...defaults, ...Object.fromEntries(known) };
}

export const remember = (state: Record<string, string | number | boolean>): void => vscode.setState(state);
