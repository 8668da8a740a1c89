import { describe, expect, test, vi } from "vitest";
import { EngineError } from "../../src/engine/errors";
import {
  type Checks,
  connect,
  type Handlers,
  isMessage,
  type Message,
  type Method,
  RemoteError,
  serve,
} from "../../src/protocol/rpc";
import { portPair } from "../helpers/portPair";

interface Api {
  double: Method<{ x: number }, number>;
  values: Method<{ n: number }, Float32Array>;
  count: Method<{ to: number }, string, number>;
  fail: Method<{ how: "engine" | "bug" }, null>;
  wait: Method<Record<string, never>, string>;
}
interface Events {
  tick: number;
}

/** `wait` ends only when it is canceled; `count` reports each number before its result. */
const handlers: Handlers<Api> = {
  double: ({ x }) => x * 2,
  values: ({ n }) => Float32Array.from({ length: n }, (_, i) => i / 2),
  count: async ({ to }, { report }) => {
    for (let i = 1; i <= to; i++) report(i);
    return "counted";
  },
  fail: ({ how }) => {
    if (how === "engine") throw new EngineError("data", "story.txt: no text in it. Choose another file.");
    throw new TypeError("x is not a function");
  },
  wait: (_, { signal }) =>
    new Promise((resolve) => signal.addEventListener("abort", () => resolve("stopped half way"), { once: true })),
};

function start(checks?: Checks<Api>) {
  const [ours, theirs] = portPair();
  return { server: serve<Api, Events>(theirs, handlers, checks), client: connect<Api, Events>(ours) };
}

describe("a call", () => {
  test("is answered by the handler of its method", async () => {
    const { client } = start();
    expect(await Promise.all([client.call("double", { x: 4 }), client.call("double", { x: 5 })])).toEqual([8, 10]);
  });

  test("carries typed arrays as typed arrays", async () => {
    const { client } = start();
    expect(await client.call("values", { n: 3 })).toEqual(new Float32Array([0, 0.5, 1]));
  });

  test("reports progress in order, before its result", async () => {
    const { client } = start();
    const seen: unknown[] = [];
    seen.push(await client.call("count", { to: 3 }, { onProgress: (n) => seen.push(n) }));
    expect(seen).toEqual([1, 2, 3, "counted"]);
  });

  test("keeps an engine error's message and code", async () => {
    const { client } = start();
    const error = await client.call("fail", { how: "engine" }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({ code: "data", message: "story.txt: no text in it. Choose another file." });
  });

  test("that hits a bug is rejected with its message", async () => {
    const { client } = start();
    await expect(client.call("fail", { how: "bug" })).rejects.toMatchObject({
      code: "bug",
      message: "x is not a function",
    });
  });
});

describe("canceling", () => {
  test("reaches the handler and keeps its result", async () => {
    const { client } = start();
    const abort = new AbortController();
    const answer = client.call("wait", {}, { signal: abort.signal });
    setTimeout(() => abort.abort(), 5);
    expect(await answer).toBe("stopped half way");
  });

  test("before the call sends nothing", async () => {
    const [ours, theirs] = portPair();
    const received = vi.fn();
    theirs.onMessage(received);
    const client = connect<Api>(ours);
    await expect(client.call("double", { x: 1 }, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "canceled",
    });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(received).not.toHaveBeenCalled();
  });
});

describe("when the other side disconnects", () => {
  test("all pending calls and all later ones are rejected with the reason", async () => {
    const { client } = start();
    const pending = [client.call("wait", {}), client.call("wait", {})];
    client.close("The engine stopped.");
    for (const call of [...pending, client.call("double", { x: 1 })]) {
      await expect(call).rejects.toMatchObject({ code: "gone", message: "The engine stopped." });
    }
  });

  test("the server aborts running handlers and sends nothing more", async () => {
    const [ours, theirs] = portPair();
    const late = vi.fn();
    let [waiting, aborted] = [false, false];
    const server = serve<Api>(theirs, {
      ...handlers,
      wait: (_, { signal }) =>
        new Promise((resolve) => {
          waiting = true;
          signal.addEventListener("abort", () => {
            aborted = true;
            resolve("late");
          });
        }),
    });
    ours.onMessage(late);
    ours.post({ kind: "request", id: 1, method: "wait", params: {} });
    await vi.waitFor(() => expect(waiting).toBe(true));
    server.close();
    await vi.waitFor(() => expect(aborted).toBe(true));
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(late).not.toHaveBeenCalled();
  });

  test("a late or repeated answer is ignored", async () => {
    const [ours, theirs] = portPair();
    const client = connect<Api>(ours);
    theirs.onMessage((message: Message) => {
      if (message.kind !== "request") return;
      theirs.post({ kind: "result", id: 99, value: "nobody asked" });
      theirs.post({ kind: "result", id: message.id, value: 1 });
      theirs.post({ kind: "result", id: message.id, value: 2 });
      theirs.post({ kind: "error", id: message.id, message: "too late", code: "bug" });
    });
    expect(await client.call("double", { x: 0 })).toBe(1);
  });
});

test("events reach their listeners until these are removed", async () => {
  const { server, client } = start();
  const seen: number[] = [];
  const stop = client.on("tick", (n) => seen.push(n));
  server.send("tick", 1);
  await client.call("double", { x: 0 });
  stop();
  server.send("tick", 2);
  await client.call("double", { x: 0 });
  expect(seen).toEqual([1]);
});

describe("an untrusted side", () => {
  test.each(["erase", "constructor", "__proto__", "toString", "hasOwnProperty"])("cannot call %s", async (name) => {
    const { client } = start();
    await expect(client.call(name as "double", { x: 1 })).rejects.toMatchObject({ code: "unknownMethod" });
  });

  test("sends parameters that are checked before the handler gets them", async () => {
    const any = (params: unknown) => params as never;
    const { client } = start({
      double: (params) => {
        if (typeof (params as { x?: unknown }).x !== "number") throw new Error("double: x must be a number.");
        return params as { x: number };
      },
      values: any,
      count: any,
      fail: any,
      wait: any,
    });
    expect(await client.call("double", { x: 1 })).toBe(2);
    await expect(client.call("double", { x: "1" } as never)).rejects.toThrow("double: x must be a number.");
  });

  test.each([
    [null, false],
    ["request", false],
    [{ kind: "request", id: 1 }, false],
    [{ kind: "request", id: "1", method: "double" }, false],
    [{ kind: "request", id: 1, method: "double", params: {} }, true],
    [{ kind: "cancel", id: 1 }, true],
    [{ kind: "event", name: 3 }, false],
    [{ kind: "shout", id: 1 }, false],
  ])("%j is a message: %s", (value, expected) => expect(isMessage(value)).toBe(expected));
});
