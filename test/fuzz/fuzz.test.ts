/** A short run of the fuzzer. `npm run fuzz` has more inputs and other seeds. */

import { expect, test } from "vitest";
import { fuzz, targetNames } from "../../scripts/fuzz";

test("changed files of every format are accepted or rejected with a message, within limits", {
  timeout: 240_000,
}, async () => {
  const targets = (await targetNames()).filter((name) => !["tokenizer", "slowFiles"].includes(name));
  const { accepted, rejected, failures } = await fuzz({ targets, seed: 12, from: 0, to: 40 });
  expect(failures).toEqual([]);
  expect(accepted + rejected).toBe(40 * targets.length);
});
