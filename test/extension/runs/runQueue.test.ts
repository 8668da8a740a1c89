import { beforeEach, describe, expect, test } from "vitest";
import { type EndTurn, RunQueue } from "../../../src/extension/runs/runQueue";
import { isCanceled } from "../../../src/protocol/rpc";

let queue: RunQueue;
let changes: string[][];
const started: string[] = [];
const ends = new Map<string, EndTurn>();

beforeEach(() => {
  changes = [];
  started.length = 0;
  queue = new RunQueue(() => changes.push(names()));
});

const names = () => queue.state.waiting.map(({ name }) => name);
const idOf = (name: string) => queue.state.waiting.find((each) => each.name === name)?.id ?? -1;
const enter = (name: string) =>
  queue.turn(name, "char", "500 steps").then((end) => {
    started.push(name);
    ends.set(name, end);
  });
const settled = () => new Promise((resolve) => setTimeout(resolve));

describe("queued runs", () => {
  test("take turns in order, one at a time", async () => {
    for (const name of ["a", "b", "c"]) void enter(name);
    await settled();
    expect(started).toEqual(["a"]);
    ends.get("a")?.();
    // Ending a turn twice, as an error after the end would, starts only one run.
    ends.get("a")?.();
    await settled();
    expect(started).toEqual(["a", "b"]);
    expect(names()).toEqual(["c"]);
  });

  test("can be moved, also to the front", async () => {
    for (const name of ["a", "b", "c", "d"]) void enter(name);
    await settled();
    queue.change(idOf("d"), "up");
    expect(names()).toEqual(["b", "d", "c"]);
    queue.change(idOf("b"), "down");
    expect(names()).toEqual(["d", "b", "c"]);
    queue.change(idOf("c"), "now");
    expect(changes.at(-1)).toEqual(["c", "d", "b"]);
    ends.get("a")?.();
    await settled();
    expect(started).toEqual(["a", "c"]);
  });

  test("are canceled when they are removed, and the others move up", async () => {
    void enter("a");
    const removed = enter("b");
    void enter("c");
    queue.change(idOf("b"), "remove");
    await expect(removed).rejects.toSatisfy(isCanceled);
    expect(names()).toEqual(["c"]);
  });

  test("are held after a turn that ended with a reason, until the queue is resumed", async () => {
    for (const name of ["a", "b"]) void enter(name);
    await settled();
    ends.get("a")?.("The engine ended.");
    await settled();
    expect(queue.state.held).toBe("The engine ended.");
    expect(started).toEqual(["a"]);
    // A run that is added later waits too.
    void enter("c");
    await settled();
    expect(started).toEqual(["a"]);
    queue.resume();
    await settled();
    expect(started).toEqual(["a", "b"]);
  });

  test("are not held if the queue was empty when the turn ended", async () => {
    void enter("a");
    await settled();
    ends.get("a")?.("The engine ended.");
    void enter("b");
    await settled();
    expect(started).toEqual(["a", "b"]);
  });
});
