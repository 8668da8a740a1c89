import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Message, Port } from "../../src/protocol/rpc";

/** The two ends of a channel. Messages are cloned, as between processes, and arrive asynchronously in order. */
export function portPair(): [Port, Port] {
  const { port1, port2 } = new MessageChannel();
  return [end(port1), end(port2)];
}

const end = (port: MessagePort): Port => ({
  post: (message) => port.postMessage(message),
  onMessage: (listener) => {
    port.removeAllListeners("message");
    port.on("message", (message: Message) => listener(message));
    // An open channel must not keep the test process alive.
    port.unref();
  },
});
