import type * as vscode from "vscode";
import type { HubAccess } from "../../protocol/engineApi";
import { setting } from "../settings";

const TOKEN = "huggingFaceToken";

/** Access to Hugging Face: the settings, and the token from the editor's secret storage. */
export class Hub {
  readonly #secrets: vscode.SecretStorage;

  constructor(secrets: vscode.SecretStorage) {
    this.#secrets = secrets;
  }

  /** Sent with each request, so that the engine does not store the token. */
  async access(): Promise<HubAccess> {
    return {
      token: await this.#secrets.get(TOKEN),
      endpoint: setting("hub.endpoint").trim() || undefined,
      offline: setting("hub.offline"),
    };
  }

  /** Stores a token; an empty one deletes it. */
  async setToken(token: string): Promise<void> {
    if (token === "") await this.#secrets.delete(TOKEN);
    else await this.#secrets.store(TOKEN, token);
  }
}
