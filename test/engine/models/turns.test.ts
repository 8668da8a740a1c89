import { expect, test } from "vitest";
import { Turns } from "../../../src/engine/models/turns";

const use = (name: string, log: string[]) => ({
  release: async () => {
    log.push(`unload ${name}`);
  },
});

test("turns run one after the other, also after one that fails", async () => {
  const turns = new Turns(false);
  const log: string[] = [];
  const slow = turns.take(null, async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    log.push("slow");
    throw new Error("slow failed");
  });
  const fast = turns.take(null, async () => {
    log.push("fast");
    return 1;
  });
  await expect(slow).rejects.toThrow("slow failed");
  expect(await fast).toBe(1);
  expect(log).toEqual(["slow", "fast"]);
});

test.each([
  [true, ["unload b", "run a"]],
  [false, ["run a"]],
])("a turn unloads the other uses of a large model (%s)", async (isLarge, expected) => {
  const turns = new Turns(isLarge);
  const log: string[] = [];
  const [a] = [turns.add(use("a", log)), turns.add(use("b", log))];
  await turns.take(a, async () => {
    log.push("run a");
  });
  expect(log).toEqual(expected);
});

test("releasing unloads every use after the turns before it", async () => {
  const turns = new Turns(true);
  const log: string[] = [];
  turns.add(use("a", log));
  void turns.take(null, async () => {
    log.push("run");
  });
  await turns.release();
  expect(log).toEqual(["run", "unload a"]);
});
