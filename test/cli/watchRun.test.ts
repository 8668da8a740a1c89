import { expect, test } from "vitest";
import { watchRun } from "../../src/cli/watchRun";

/** Waits until aborted, like a run that is reading its text. */
const preparing = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("Ctrl+C while preparing the text is reported with advice", async () => {
  const end = watchRun(false, ({ signal }) => preparing(signal));
  process.emit("SIGINT");
  await expect(end).rejects.toMatchObject({
    name: "EngineError",
    message: expect.stringMatching(/Nothing was written/),
  });
});
