import { expect } from "vitest";
import { EngineError } from "../../src/engine/errors";

/** Maximum memory, in bytes, for reading a malformed file. */
const MAX_MEMORY = 400e6;

/** CPU seconds of this process, which the load of the machine does not affect. */
export function secondsOfWork(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Expects that a malformed file is rejected with a message that says what to do, within one second, without much memory. */
export async function expectRejected(open: () => Promise<unknown>, message: RegExp): Promise<void> {
  const [since, memory] = [secondsOfWork(), process.resourceUsage().maxRSS];
  const error: unknown = await open().then(
    () => "it was opened",
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(EngineError);
  expect((error as EngineError).message).toMatch(message);
  expectAdvice((error as EngineError).message);
  expect(secondsOfWork() - since).toBeLessThan(1);
  expect((process.resourceUsage().maxRSS - memory) * 1024).toBeLessThan(MAX_MEMORY);
}

/** Expects one line that says what happened, then what to do. */
export function expectAdvice(message: string): void {
  expect(message).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}]{20,700}\. (Download|Choose|Use|Import|Close) .*\.$/u);
}
