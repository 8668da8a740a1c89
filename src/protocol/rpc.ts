/**
 * Typed requests over a message port, for every boundary of the extension.
 *
 * A request has an id, may report progress, may be cancelled, and always ends: with a result, an error, or a
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

export type Handlers<Api> = {
  readonly [M in keyof Api]: Api[M] extends Method<infer P, infer R, infer G>
    ? (params: P, context: { readonly signal: AbortSignal; readonly report: (progress: G) => void }) => R | Promise<R>
    : never;
};
