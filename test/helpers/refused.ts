import { expect } from "vitest";
import { EngineError } from "../../src/engine/errors";

/** Bytes; what reading a malformed file may take at most, whatever it says that it holds. */
const MOST_MEMORY = 400e6;

/** Seconds that this process has computed: what others do on the machine does not count. */
export function secondsOfWork(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The law of malformed files: one sentence that says what to do, within a second, and no memory taken on their word. */
export async function expectRefused(open: () => Promise<unknown>, message: RegExp): Promise<void> {
  const [since, memory] = [secondsOfWork(), process.resourceUsage().maxRSS];
  const error: unknown = await open().then(
    () => "it was opened",
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(EngineError);
  const sentence = (error as EngineError).message;
  expect(sentence).toMatch(message);
  expectSentence(sentence);
  expect(secondsOfWork() - since).toBeLessThan(1);
  expect((process.resourceUsage().maxRSS - memory) * 1024).toBeLessThan(MOST_MEMORY);
}

export function expectSentence(sentence: string): void {
  expect(sentence).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}]{20,700}; (take|choose|use|import|close) .*\.$/u);
}
