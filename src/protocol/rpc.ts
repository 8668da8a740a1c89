/**
 * Typed requests over a message port, for every boundary of the extension.
 *
 * A request has an id, may report progress, may be canceled, and always ends: with a result, an error, or a
 * rejection when the other side goes. Handlers are a mapped type over the API, so leaving one out does not compile.
 */

/** One end of a channel that carries structured-cloneable messages in order. */
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

/** A method: what it takes, what it answers and, if it reports any, what its progress looks like. */
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

/** Parses the params of each method: throws on what is not as it must be. For a side that is not trusted. */
export type Checks<Api> = { readonly [M in keyof Api]: (params: unknown) => Params<Api, M> };

/**
 * An error from the other side, or about it. `code` is the EngineError's code where there is one, else "bug";
 * "gone" when the other side is not there, "canceled" when the request was canceled.
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
  /** The other side is gone: aborts what is running and answers nothing more. */
  close(): void;
}

/** Answers the requests that come through a port. */
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
      // `this` stays the handlers object, so that they may be a class.
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
  /** Asks the other side to stop; the call then ends as the method says, with what there is or with "canceled". */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: G) => void) | undefined;
}

export interface Client<Api, Events = Record<never, never>> {
  call<M extends keyof Api & string>(
    method: M,
    params: Params<Api, M>,
    options?: CallOptions<Progress<Api, M>>,
  ): Promise<Result<Api, M>>;
  /** Listens to what the other side tells; the answer stops listening. */
  on<E extends keyof Events & string>(name: E, listener: (value: Events[E]) => void): () => void;
  /** The other side is gone: rejects all that is pending, and every call from now on, with this sentence. */
  close(reason: string): void;
}

/** Asks the side that serves the port. */
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
    // An id that is not pending is an answer that came too late, or a request, which a client does not serve.
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
  // The types of a method's result and progress are checked at `call`; here they are all kinds at once.
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: ((progress: never) => void) | undefined;
}

/** Whether a value that came from outside has the form of a message. What it carries is checked by `Checks`. */
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

/** A handler by the name that was asked for, which may be any string: "constructor" is not a method. */
function ownMember(handlers: object, method: string): AnyHandler | undefined {
  if (method in Object.prototype || !(method in handlers)) return undefined;
  const member: unknown = handlers[method as keyof typeof handlers];
  // Handlers<Api> has functions of this form only.
  return typeof member === "function" ? (member as AnyHandler) : undefined;
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

function codeOf(error: unknown, signal: AbortSignal): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return signal.aborted ? "canceled" : "bug";
}
