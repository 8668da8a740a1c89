import { expect, test } from "vitest";
import { createIntervening } from "../../../webview/explorer/intervening";
import { createSharedTraces } from "../../../webview/explorer/sharedTraces";
import type { Inspection } from "../../../webview/trace/inspection";
import type { ActiveIntervention } from "../../../webview/trace/interventionHistory";

/** A stand-in for traces: their numbers, and what was asked of them. */
function createEngine() {
  const log: string[] = [];
  let last = 0;
  const trace = (name: string): Inspection => {
    const number = ++last;
    log.push(`${number}: ${name}`);
    return {
      trace: { trace: number, model: { dir: "tiny" } },
      intervened: async (list: readonly { readonly from?: { readonly trace: number } }[]) =>
        trace(`${number} with ${list.map(({ from }) => (from ? `patch from ${from.trace}` : "scale")).join(", ")}`),
    } as unknown as Inspection;
  };
  const others = createSharedTraces(
    async (_, text) => trace(text),
    ({ trace }) => log.push(`release ${trace.trace}`),
  );
  return { log, trace, others };
}

const scale = (factor: number): ActiveIntervention => ({ kind: "scale", part: { kind: "mlp", layer: 0 }, factor });
const patch = (text: string): ActiveIntervention => ({
  kind: "patch",
  value: { kind: "mlpOut", layer: 0 },
  position: 0,
  from: { trace: text, position: 0 },
});

function createPage() {
  const engine = createEngine();
  const page = { base: engine.trace("base"), list: [] as ActiveIntervention[] };
  const run = createIntervening(
    { alongside: engine.others.take, release: engine.others.release },
    () => ({ ...page }),
    {
      running: () => undefined,
      done: ({ trace }) => engine.log.push(`show ${trace.trace}`),
      failed: (reason) => engine.log.push(String(reason)),
      ended: () => undefined,
    },
  );
  return { ...engine, page, run };
}

test("changes made during a forward pass are run together after it", async () => {
  const { log, page, run } = createPage();
  page.list = [scale(0)];
  const first = run();
  page.list = [scale(1)];
  void run();
  page.list = [scale(2)];
  await Promise.all([first, run()]);
  expect(log).toEqual(["1: base", "2: 1 with scale", "release 2", "3: 1 with scale", "show 3"]);
});

test("a text is traced once for its patches, and released when no patch comes from it", async () => {
  const { log, page, run } = createPage();
  page.list = [patch("cat")];
  await run();
  page.list = [patch("cat"), scale(0)];
  await run();
  page.list = [scale(0)];
  await run();
  expect(log).toEqual([
    "1: base",
    "2: cat",
    "3: 1 with patch from 2",
    "show 3",
    "4: 1 with patch from 2, scale",
    "show 4",
    "release 2",
    "5: 1 with scale",
    "show 5",
  ]);
});

test("another trace of the prompt takes patches from new traces", async () => {
  const { log, page, run, trace } = createPage();
  page.list = [patch("cat")];
  await run();
  page.base = trace("again");
  await run();
  expect(log.slice(3)).toEqual(["show 3", "4: again", "release 2", "5: cat", "6: 4 with patch from 5", "show 6"]);
});

test("two views share a trace until both have released it", async () => {
  const { log, others } = createEngine();
  const [first, second] = await Promise.all([others.take("tiny", "cat"), others.take("tiny", "cat")]);
  expect(second).toBe(first);
  others.release(first);
  expect(log).toEqual(["1: cat"]);
  others.release(second);
  expect(log).toEqual(["1: cat", "release 1"]);
  await others.take("tiny", "cat");
  expect(log.at(-1)).toBe("2: cat");
});

test("a trace of another engine, or one that failed, is not shared", async () => {
  const { log, others } = createEngine();
  await others.take("tiny", "cat");
  others.outdate();
  await others.take("tiny", "cat");
  expect(log).toEqual(["1: cat", "2: cat"]);
  let attempts = 0;
  const failing = createSharedTraces(
    async () => {
      attempts += 1;
      throw new Error("gone");
    },
    () => undefined,
  );
  await expect(failing.take("tiny", "cat")).rejects.toThrow("gone");
  await expect(failing.take("tiny", "cat")).rejects.toThrow("gone");
  expect(attempts).toBe(2);
});
