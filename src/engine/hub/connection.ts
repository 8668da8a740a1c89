/**
 * Requests to the hub, or to a mirror of it: who may see the token, what is tried again, and what a refusal means.
 *
 * `@huggingface/hub` asks the questions; its requests and our downloads go through `fetch` of a connection.
 */

import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HUB_URL } from "@huggingface/hub";
import type { HubAccess } from "../api/hub";
import { EngineError } from "../errors";

export interface HubOptions extends HubAccess {
  readonly signal?: AbortSignal | undefined;
  /** Shortened by tests. */
  readonly patience?: Partial<Patience> | undefined;
}

/** How long is waited for a server. */
export interface Patience {
  /** How often a request, or a download that does not move on, is tried in all. */
  readonly attempts: number;
  /** Before the second attempt; doubled before each later one. */
  readonly firstWaitMs: number;
  /** A server that asks for a longer pause is taken as a refusal. */
  readonly longestWaitMs: number;
  /** Without a byte for so long, the connection counts as cut. */
  readonly stallMs: number;
}

const PATIENCE: Patience = { attempts: 5, firstWaitMs: 500, longestWaitMs: 60_000, stallMs: 60_000 };

export interface Connection {
  readonly endpoint: string;
  readonly signal: AbortSignal;
  readonly patience: Patience;
  readonly hasToken: boolean;
  /** As the global one, but it answers successes only: anything else is tried again, or thrown as the user is told it. */
  readonly fetch: (url: string | URL | Request, init?: RequestInit) => Promise<Response>;
}

/** `about` is the model that is asked for; without one, refusals speak of the search. */
export async function connect(access: HubOptions, about?: Wanted): Promise<Connection> {
  const endpoint = endpointOf(access.endpoint);
  const token = tokenOf(access.token ?? process.env.HF_TOKEN ?? (await storedToken()));
  const signal = access.signal ?? new AbortController().signal;
  const patience = { ...PATIENCE, ...access.patience };
  const asked = { ...about, endpoint, hasToken: token !== undefined };
  return {
    endpoint,
    signal,
    patience,
    hasToken: asked.hasToken,
    fetch: (input, init = {}) => {
      const url = new URL(input instanceof Request ? input.url : input);
      const headers = new Headers(init.headers);
      headers.set("user-agent", "decoder-lab");
      // The token is for the hub only. Where the hub sends us on to another host, fetch drops it.
      if (token !== undefined && url.origin === new URL(endpoint).origin) {
        headers.set("authorization", `Bearer ${token}`);
      }
      return persist(url, { ...init, headers }, signal, patience, asked);
    },
  };
}

async function persist(
  url: URL,
  init: RequestInit,
  signal: AbortSignal,
  patience: Patience,
  asked: Asked,
): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await once(url, init, signal, patience).catch((error: unknown) => {
      signal.throwIfAborted();
      if (attempt >= patience.attempts) throw new Unreachable(url, error);
      return null;
    });
    if (response?.ok) return response;
    const wait = response && askedPause(response);
    if (response && (!mayPass(response) || attempt >= patience.attempts || (wait ?? 0) > patience.longestWaitMs)) {
      throw await refusal(response, asked);
    }
    await response?.body?.cancel();
    await pause(wait ?? patience.firstWaitMs * 2 ** (attempt - 1), signal);
  }
}

/** One request, given up where no answer begins in time. */
async function once(url: URL, init: RequestInit, signal: AbortSignal, { stallMs }: Patience): Promise<Response> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(new Error("no answer in time")), stallMs);
  try {
    return await fetch(url, { ...init, signal: AbortSignal.any([signal, stalled.signal]) });
  } finally {
    clearTimeout(timer);
  }
}

/** Waits, unless it is canceled: then the reason is thrown. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** Refusals that may be over in a moment. */
const mayPass = ({ status }: Response): boolean => status === 408 || status === 429 || status >= 500;

/** How long the server asks to be left alone: seconds or a date. */
function askedPause({ headers }: Response): number | undefined {
  const after = headers.get("retry-after");
  if (after === null) return undefined;
  const milliseconds = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}

export interface Wanted {
  readonly id: string;
  readonly revision: string;
}

type Asked = Partial<Wanted> & { readonly endpoint: string; readonly hasToken: boolean };

/** What the hub's refusal means for the user. https://huggingface.co/docs/hub/api */
async function refusal(response: Response, asked: Asked): Promise<EngineError> {
  const { status, headers } = response;
  await response.body?.cancel();
  const { id, revision, endpoint, hasToken } = asked;
  const code = headers.get("x-error-code");
  const token = hasToken ? "a token that may read it" : "a token that may read it (HF_TOKEN)";
  if (status === 429) {
    const seconds = Math.ceil((askedPause(response) ?? 0) / 1000);
    const when = seconds > 0 ? `in ${seconds} seconds` : "later";
    return new EngineError("hub", `${endpoint} has had too many requests from here; try again ${when}.`);
  }
  if (status >= 500 || status === 408) {
    return new EngineError(
      "hub",
      `${endpoint} has trouble answering (HTTP ${status}); try again later, or use a mirror.`,
    );
  }
  if (id !== undefined) {
    if (code === "GatedRepo") {
      return new EngineError("hubAccess", `${id} is gated: accept its license at ${endpoint}/${id} and give ${token}.`);
    }
    if (code === "DisabledRepo") {
      return new EngineError("hub", `${id} has been disabled at ${endpoint}; choose another model.`);
    }
    if (code === "RevisionNotFound") {
      return new EngineError(
        "notFound",
        `${id} has no revision ${JSON.stringify(revision)}; leave it out, or choose one of ${endpoint}/${id}/tree/main.`,
      );
    }
    if (code === "EntryNotFound") {
      return new EngineError("notFound", `${endpoint} lists a file of ${id} that it does not have; try again later.`);
    }
    if (code === "RepoNotFound" || status === 404) {
      return new EngineError(
        "notFound",
        `There is no model ${id} at ${endpoint}, or it is private: check the name, or give ${token}.`,
      );
    }
  }
  if (status === 401 && hasToken) {
    return new EngineError(
      "hubAccess",
      `${endpoint} does not know the token; make a new one at ${endpoint}/settings/tokens.`,
    );
  }
  if (status === 401 || status === 403) {
    return new EngineError(
      "hubAccess",
      `${endpoint} does not let us read ${id ?? "its list of models"}; give ${token}.`,
    );
  }
  return new EngineError("hub", `${endpoint} refuses the request (HTTP ${status}); check that it is a hub's address.`);
}

/** A server that could not be asked. */
export class Unreachable extends EngineError {
  constructor(url: URL, error: unknown) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const reason = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
    super(
      "hub",
      `Cannot reach ${url.host} (${reason}); check the network, use a mirror (HF_ENDPOINT), or import from a folder.`,
      { cause: error },
    );
  }
}

/** What the hub's library cannot read is no hub's answer. */
export async function ask<T>(connection: Connection, answer: Promise<T>): Promise<T> {
  return answer.catch((error: unknown) => {
    connection.signal.throwIfAborted();
    if (error instanceof EngineError) throw error;
    throw noHub(connection, error instanceof Error ? error.message : String(error), error);
  });
}

export const noHub = ({ endpoint }: Connection, detail: string, cause?: unknown): EngineError =>
  new EngineError(
    "hub",
    `${endpoint} does not answer as a hub does (${detail}); check the address, and whether a proxy is in between.`,
    { cause },
  );

function endpointOf(given: string | undefined): string {
  const text = given || process.env.HF_ENDPOINT || HUB_URL;
  if (!/^https?:\/\/[^/?#@]+[^?#@]*$/.test(text) || !URL.canParse(text)) {
    throw new EngineError("config", `The endpoint ${JSON.stringify(text)} is no web address; write it as ${HUB_URL}.`);
  }
  return text.replace(/\/+$/, "");
}

function tokenOf(given: string | undefined): string | undefined {
  const token = given?.trim();
  if (!token) return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new EngineError("config", "The token has characters that no token has; copy it again.");
}

/** The token that Python's tools have stored. */
async function storedToken(): Promise<string | undefined> {
  const { HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } = process.env;
  const home = HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface");
  return readFile(HF_TOKEN_PATH ?? join(home, "token"), "utf8").catch(() => undefined);
}
