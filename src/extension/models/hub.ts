/** How the engine reaches the hub: the settings, and the token from the editor's own store of secrets. */

import type * as vscode from "vscode";
import type { HubAccess } from "../../protocol/engineApi";
import { setting } from "../settings";

const TOKEN = "huggingFaceToken";

export class Hub {
  readonly #secrets: vscode.SecretStorage;

  constructor(secrets: vscode.SecretStorage) {
    this.#secrets = secrets;
  }

  /** Goes with each request, so that the engine keeps no token. */
  async access(): Promise<HubAccess> {
    return {
      token: await this.#secrets.get(TOKEN),
      endpoint: setting("hub.endpoint").trim() || undefined,
      offline: setting("hub.offline"),
    };
  }

  /** An empty token is none. */
  async setToken(token: string): Promise<void> {
    if (token === "") await this.#secrets.delete(TOKEN);
    else await this.#secrets.store(TOKEN, token);
  }
}
