/**
 * Requests to the Hub or a mirror: access tokens, retries, and error messages for failed requests.
 *
 * The requests of `@huggingface/hub` and our own downloads all use `Connection.fetch`.
 */

import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HUB_URL } from "@huggingface/hub";
import { readRegularText } from "../../files/regular";
import { excerpt, quoted, shown, waitingTime } from "../../text/untrusted";
import type { HubAccess } from "../api/hub";
import { EngineError } from "../errors";

export interface HubOptions extends HubAccess {
  readonly signal?: AbortSignal | undefined;
  /** Shortened in tests. */
  readonly retry?: Partial<RetryPolicy> | undefined;
}

interface RetryPolicy {
  /** Maximum number of attempts for a request, or for a download that makes no progress. */
  readonly attempts: number;
  /** Wait before the second attempt; doubles with each further one. */
  readonly firstWaitMs: number;
  /** If the server asks for a longer wait, the request fails. */
  readonly longestWaitMs: number;
  /** If hardly any data arrives for this long, the connection counts as lost. */
  readonly stallMs: number;
  /** Limit for a question to the API, with retries and all pages of the answer. */
  readonly answerMs: number;
}

const RETRY: RetryPolicy = {
  attempts: 5,
  firstWaitMs: 500,
  longestWaitMs: 60_000,
  stallMs: 30_000,
  answerMs: 90_000,
};

export interface Connection {
  readonly endpoint: string;
  readonly signal: AbortSignal;
  readonly retry: RetryPolicy;
  readonly hasToken: boolean;
  /** Like the global `fetch`, but returns only successful responses: it retries others, or throws an EngineError. */
  readonly fetch: (url: string | URL | Request, init?: RequestInit) => Promise<Response>;
}

/** Opens a connection. Error messages refer to `model`, or to the search if there is none. */
export async function connect(access: HubOptions, model?: HubModel): Promise<Connection> {
  const endpoint = endpointOf(access.endpoint);
  const token = tokenOf(access.token ?? process.env.HF_TOKEN ?? (await storedToken()));
  const signal = access.signal ?? new AbortController().signal;
  const retry = { ...RETRY, ...access.retry };
  const context = { ...model, endpoint, hasToken: token !== undefined };
  return {
    endpoint,
    signal,
    retry,
    hasToken: context.hasToken,
    fetch: (input, init = {}) => {
      const url = new URL(input instanceof Request ? input.url : input);
      const headers = new Headers(init.headers);
      headers.set("user-agent", "decoder-lab");
      // The token is only for the Hub. `fetch` drops it on redirects to another host.
      if (token !== undefined && url.origin === new URL(endpoint).origin) {
        headers.set("authorization", `Bearer ${token}`);
      }
      const all = init.signal ? AbortSignal.any([signal, init.signal]) : signal;
      return fetchWithRetries(url, { ...init, headers }, all, retry, context);
    },
  };
}

async function fetchWithRetries(
  url: URL,
  init: RequestInit,
  signal: AbortSignal,
  retry: RetryPolicy,
  context: RequestContext,
): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    const response = await fetchOnce(url, init, signal, retry).catch((error: unknown) => {
      signal.throwIfAborted();
      if (isRedirectProblem(error)) throw redirectProblem(url, error);
      if (attempt >= retry.attempts) throw new Unreachable(url, error);
      return null;
    });
    if (response?.ok) return response;
    const wait = response && retryAfter(response);
    if (response && (!isTransient(response) || attempt >= retry.attempts || (wait ?? 0) > retry.longestWaitMs)) {
      throw await requestError(response, context);
    }
    await response?.body?.cancel();
    await pause(wait ?? retry.firstWaitMs * 2 ** (attempt - 1), signal);
  }
}

/** Makes one request; fails if no response starts in time. */
async function fetchOnce(
  url: URL,
  init: RequestInit,
  signal: AbortSignal,
  { stallMs }: RetryPolicy,
): Promise<Response> {
  const stalled = new AbortController();
  const timer = setTimeout(() => stalled.abort(new Error("no response in time")), stallMs);
  try {
    return await fetch(url, { ...init, signal: AbortSignal.any([signal, stalled.signal]) });
  } finally {
    clearTimeout(timer);
  }
}

/** Fewer bytes than this in `stallMs` are no progress. */
const MIN_PROGRESS = 1024;

/** Yields the body of a response. Throws if hardly any data arrives for `stallMs`. */
export async function* withinTime(response: Response, stallMs: number): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (!reader) return;
  try {
    let [since, progress] = [performance.now(), 0];
    for (;;) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        const wait = since + stallMs - performance.now();
        timer = setTimeout(() => reject(new Error("no data in time")), Math.max(0, wait));
      });
      const { done, value } = await Promise.race([reader.read(), late]).finally(() => clearTimeout(timer));
      if (done) return;
      progress += value.length;
      if (progress >= MIN_PROGRESS) [since, progress] = [performance.now(), 0];
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** Waits; throws the reason if canceled. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** Returns true for errors that a retry may resolve. */
const isTransient = ({ status }: Response): boolean => status === 408 || status === 429 || status >= 500;

/** The wait that the server requests, in milliseconds. The header has seconds or a date. */
function retryAfter({ headers }: Response): number | undefined {
  const after = headers.get("retry-after");
  if (after === null) return undefined;
  const milliseconds = /^\d+$/.test(after) ? Number(after) * 1000 : Date.parse(after) - Date.now();
  return Number.isNaN(milliseconds) ? undefined : Math.max(0, milliseconds);
}

export interface HubModel {
  readonly id: string;
  readonly revision: string;
}

type RequestContext = Partial<HubModel> & { readonly endpoint: string; readonly hasToken: boolean };

/** Explains a failed request to the user. https://huggingface.co/docs/hub/api */
async function requestError(response: Response, context: RequestContext): Promise<EngineError> {
  const { status, headers } = response;
  await response.body?.cancel();
  const { id, revision, endpoint, hasToken } = context;
  const code = headers.get("x-error-code");
  const token = hasToken ? "an access token with permission to read it" : "an access token (HF_TOKEN)";
  if (status === 429) {
    const wait = waitingTime(retryAfter(response) ?? 0);
    const when = wait === null ? "later" : `in ${wait}`;
    return new EngineError("hub", `Too many requests to ${endpoint}. Try again ${when}.`);
  }
  if (status >= 500 || status === 408) {
    return new EngineError("hub", `${endpoint} is not responding (HTTP ${status}). Try again later or use a mirror.`);
  }
  if (id !== undefined) {
    if (code === "GatedRepo") {
      return new EngineError(
        "hubAccess",
        `${id} is a gated model. Accept its license at ${endpoint}/${id} and provide ${token}.`,
      );
    }
    if (code === "DisabledRepo") {
      return new EngineError("hub", `${id} has been disabled at ${endpoint}. Choose another model.`);
    }
    if (code === "RevisionNotFound") {
      return new EngineError(
        "notFound",
        `${id} has no revision ${shown(revision)}. Omit it, or choose one listed at ${endpoint}/${id}/tree/main.`,
      );
    }
    if (code === "EntryNotFound") {
      return new EngineError("notFound", `${endpoint} lists a file of ${id} that does not exist. Try again later.`);
    }
    if (code === "RepoNotFound" || status === 404) {
      return new EngineError(
        "notFound",
        `${endpoint} has no model ${id}, or it is private. Check the name or provide ${token}.`,
      );
    }
  }
  if (status === 401 && hasToken) {
    return new EngineError(
      "hubAccess",
      `${endpoint} rejected the access token. Create a new one at ${endpoint}/settings/tokens.`,
    );
  }
  if (status === 401 || status === 403) {
    return new EngineError(
      "hubAccess",
      `${endpoint} denied access to ${id ?? "its list of models"}. Provide ${token}.`,
    );
  }
  return new EngineError(
    "hub",
    `${endpoint} rejected the request (HTTP ${status}). Check that it is the address of a Hugging Face hub.`,
  );
}

const isRedirectProblem = (error: unknown): boolean =>
  error instanceof TypeError && /redirect|scheme/i.test(error.cause instanceof Error ? error.cause.message : "");

const redirectProblem = ({ host }: URL, error: unknown): EngineError =>
  new EngineError(
    "hub",
    `${host} redirects the request in a circle or to a place that is not on the web. Check the address and your proxy settings.`,
    { cause: error },
  );

/** Words for the codes of network errors. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOTFOUND: "unknown host",
  EAI_AGAIN: "name service not available",
  ETIMEDOUT: "time-out",
  ENETUNREACH: "no network",
  EHOSTUNREACH: "no route",
  UND_ERR_SOCKET: "connection closed",
  UND_ERR_CONNECT_TIMEOUT: "time-out",
  UND_ERR_HEADERS_TIMEOUT: "time-out",
  UND_ERR_BODY_TIMEOUT: "time-out",
  UND_ERR_HEADERS_OVERFLOW: "invalid HTTP",
};

/** The server could not be reached. */
export class Unreachable extends EngineError {
  constructor(url: URL, error: unknown) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const { code = "", message = "" } = cause as NodeJS.ErrnoException;
    const isNotHttp = /^HPE_/.test(code) || message.includes("HTTP/1.1 protocol");
    const reason = isNotHttp ? "invalid HTTP" : (REASONS[code] ?? excerpt(code || message, 60));
    super(
      "hub",
      `Cannot reach ${url.host} (${reason}). Check the network, use a mirror (HF_ENDPOINT), or import from a folder.`,
      { cause: error },
    );
  }
}

/** Reports responses that `@huggingface/hub` cannot parse. */
export async function checkResponse<T>(connection: Connection, response: Promise<T>): Promise<T> {
  return response.catch((error: unknown) => {
    connection.signal.throwIfAborted();
    if (error instanceof EngineError) throw error;
    // The message of the error has words of the library, or of the server.
    throw invalidResponse(connection, error instanceof SyntaxError ? "no valid JSON" : "unexpected content", error);
  });
}

export const invalidResponse = ({ endpoint }: Connection, detail: string, cause?: unknown): EngineError =>
  new EngineError(
    "hub",
    `${endpoint} does not respond like a Hugging Face hub (${detail}). Check the address and your proxy settings.`,
    { cause },
  );

function endpointOf(given: string | undefined): string {
  const text = given || process.env.HF_ENDPOINT || HUB_URL;
  if (!/^https?:\/\/[^/?#@]+[^?#@]*$/.test(text) || !URL.canParse(text)) {
    throw new EngineError("config", `The endpoint ${quoted(text)} is not a valid URL. Example: ${HUB_URL}.`);
  }
  return text.replace(/\/+$/, "");
}

function tokenOf(given: string | undefined): string | undefined {
  const token = given?.trim();
  if (!token) return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new EngineError(
    "config",
    "That does not look like a Hugging Face token. Copy it again from your account settings.",
  );
}

const MAX_TOKEN_BYTES = 10_000;

/** The token stored by Hugging Face's Python tools. */
async function storedToken(): Promise<string | undefined> {
  const { HF_TOKEN_PATH, HF_HOME, XDG_CACHE_HOME } = process.env;
  const home = HF_HOME ?? join(XDG_CACHE_HOME ?? join(homedir(), ".cache"), "huggingface");
  return readRegularText(HF_TOKEN_PATH ?? join(home, "token"), MAX_TOKEN_BYTES).catch(() => undefined);
}
