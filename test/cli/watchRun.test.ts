import { expect, test } from "vitest";
import { watchRun } from "../../src/cli/watchRun";

/** What a run does while its text is read: nothing, until it is aborted. */
const preparing = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("Ctrl+C while the text is prepared is told in a sentence", async () => {
  const end = watchRun(false, ({ signal }) => preparing(signal));
  process.emit("SIGINT");
  await expect(end).rejects.toMatchObject({
    name: "EngineError",
    message: expect.stringMatching(/nothing was written/),
  });
});
