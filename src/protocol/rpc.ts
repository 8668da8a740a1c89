/**
 * Typed requests over a message port, for every boundary of the extension.
 *
 * A request has an id, can report progress and be canceled, and always ends: with a result, an error, or a rejection when
 * the other side disconnects. Handlers are a mapped type over the API, so a missing one does not compile.
 */

/** One end of a channel for structured-cloneable messages, delivered in order. */
export interface Port {
  post(message: Message): void;
  /** Replaces the listener; messages are delivered one at a time, in order. */
  onMessage(listener: (message: Message) => void): void;
}

export type Message =
  | { kind: "request"; id: number; method: string; params: unknown }
  | { kind: "cancel"; id: number }
  | { kind: "progress"; id: number; value: unknown }
  | { kind: "result"; id: number; value: unknown }
  | { kind: "error"; id: number; message: string; code: string }
  | { kind: "event"; name: string; value: unknown };

/** Types of a method: parameters, result, and progress if it reports any. */
export interface Method<P = unknown, R = unknown, G = never> {
  params: P;
  result: R;
  progress: G;
}

export type Params<Api, M extends keyof Api> = Api[M] extends Method<infer P, infer _R, infer _G> ? P : never;
export type Result<Api, M extends keyof Api> = Api[M] extends Method<infer _P, infer R, infer _G> ? R : never;
export type Progress<Api, M extends keyof Api> = Api[M] extends Method<infer _P, infer _R, infer G> ? G : never;

export type Handlers<Api> = {
  readonly [M in keyof Api]: Api[M] extends Method<infer P, infer R, infer G>
    ? (params: P, context: { readonly signal: AbortSignal; readonly report: (progress: G) => void }) => R | Promise<R>
    : never;
};

/** Validates the parameters of each method, for a side that is not trusted. Throws on invalid ones. */
export type Checks<Api> = { readonly [M in keyof Api]: (params: unknown) => Params<Api, M> };

/**
 * An error from the other side, or about it. `code` is that of an EngineError, or "bug" for other errors, "gone" when the
 * other side has disconnected, "canceled" when the request was canceled.
 */
export class RemoteError extends Error {
  override readonly name = "RemoteError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const isCanceled = (error: unknown): boolean => error instanceof RemoteError && error.code === "canceled";

export interface Server<Events> {
  send<E extends keyof Events & string>(name: E, value: Events[E]): void;
  /** Aborts running handlers and sends nothing more: the other side has disconnected. */
  close(): void;
}

/** Answers the requests of a port. */
export function serve<Api, Events = Record<never, never>>(
  port: Port,
  handlers: Handlers<Api>,
  checks?: Checks<Api>,
): Server<Events> {
  const running = new Map<number, AbortController>();
  let open = true;
  const post = (message: Message) => {
    if (open) port.post(message);
  };

  const answer = async ({ id, method, params }: Extract<Message, { kind: "request" }>) => {
    const abort = new AbortController();
    running.set(id, abort);
    try {
      const handler = ownMember(handlers, method);
      if (!handler) throw new RemoteError("unknownMethod", `There is no method "${method}" here.`);
      const checked = checks ? checks[method as keyof Api](params) : params;
      const report = (value: unknown) => {
        if (running.get(id) === abort) post({ kind: "progress", id, value });
      };
      // `this` is the handlers object, which can be a class instance.
      const value = await handler.call(handlers, checked, { signal: abort.signal, report });
      post({ kind: "result", id, value });
    } catch (error) {
      post({ kind: "error", id, message: messageOf(error), code: codeOf(error, abort.signal) });
    } finally {
      running.delete(id);
    }
  };

  port.onMessage((message) => {
    if (message.kind === "cancel") running.get(message.id)?.abort();
    else if (message.kind === "request" && !running.has(message.id)) void answer(message);
  });

  return {
    send: (name, value) => post({ kind: "event", name, value }),
    close: () => {
      open = false;
      for (const abort of running.values()) abort.abort();
    },
  };
}

export interface CallOptions<G> {
  /** Asks the other side to stop. The call then ends with a partial result or with "canceled", as the method defines. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: G) => void) | undefined;
}

export interface Client<Api, Events = Record<never, never>> {
  call<M extends keyof Api & string>(
    method: M,
    params: Params<Api, M>,
    options?: CallOptions<Progress<Api, M>>,
  ): Promise<Result<Api, M>>;
  /** Adds a listener to an event and returns a function that removes it. */
  on<E extends keyof Events & string>(name: E, listener: (value: Events[E]) => void): () => void;
  /** Rejects all pending and later calls with this message: the other side has disconnected. */
  close(reason: string): void;
}

/** Calls the methods of the side that serves a port. */
export function connect<Api, Events = Record<never, never>>(port: Port): Client<Api, Events> {
  const pending = new Map<number, Pending>();
  const listeners = new Map<string, Set<(value: never) => void>>();
  let nextId = 1;
  let closed: string | null = null;

  port.onMessage((message) => {
    if (message.kind === "event") {
      for (const listener of listeners.get(message.name) ?? []) listener(message.value as never);
      return;
    }
    // An unknown id is a late answer, or a request, which a client does not serve.
    const request = pending.get(message.id);
    if (!request) return;
    if (message.kind === "progress") request.onProgress?.(message.value as never);
    else if (message.kind === "result") request.resolve(message.value as never);
    else if (message.kind === "error") request.reject(new RemoteError(message.code, message.message));
  });

  return {
    call(method, params, { signal, onProgress } = {}) {
      return new Promise((resolve, reject) => {
        if (closed !== null) return reject(new RemoteError("gone", closed));
        if (signal?.aborted) return reject(new RemoteError("canceled", "Canceled."));

        const id = nextId++;
        const cancel = () => port.post({ kind: "cancel", id });
        const end = () => {
          pending.delete(id);
          signal?.removeEventListener("abort", cancel);
        };
        pending.set(id, {
          resolve: (value) => {
            end();
            resolve(value);
          },
          reject: (error) => {
            end();
            reject(error);
          },
          onProgress,
        });
        signal?.addEventListener("abort", cancel, { once: true });
        try {
          port.post({ kind: "request", id, method, params });
        } catch (error) {
          pending.get(id)?.reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    },

    on(name, listener) {
      const set = listeners.get(name) ?? new Set();
      listeners.set(name, set.add(listener));
      return () => set.delete(listener);
    },

    close(reason) {
      closed ??= reason;
      for (const request of [...pending.values()]) request.reject(new RemoteError("gone", closed));
    },
  };
}

interface Pending {
  // `call` checks the types of result and progress; here requests of all methods are mixed.
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: ((progress: never) => void) | undefined;
}

/** Returns whether an untrusted value has the form of a message. `Checks` validate its content. */
export function isMessage(value: unknown): value is Message {
  if (typeof value !== "object" || value === null || !("kind" in value)) return false;
  if (value.kind === "event") return "name" in value && typeof value.name === "string";
  if (!("id" in value) || !Number.isSafeInteger(value.id)) return false;
  switch (value.kind) {
    case "request":
      return "method" in value && typeof value.method === "string";
    case "error":
      return "message" in value && typeof value.message === "string" && "code" in value;
    case "cancel":
    case "progress":
    case "result":
      return true;
    default:
      return false;
  }
}

type AnyHandler = (params: unknown, context: { signal: AbortSignal; report: (progress: unknown) => void }) => unknown;

/** The handler of a method. The name is untrusted: "constructor" is not a method. */
function ownMember(handlers: object, method: string): AnyHandler | undefined {
  if (method in Object.prototype || !(method in handlers)) return undefined;
  const member: unknown = handlers[method as keyof typeof handlers];
  // Handlers<Api> only has functions of this form.
  return typeof member === "function" ? (member as AnyHandler) : undefined;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

function codeOf(error: unknown, signal: AbortSignal): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return signal.aborted ? "canceled" : "bug";
}
