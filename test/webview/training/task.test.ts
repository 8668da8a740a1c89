import { expect, test } from "vitest";
import { confusionShares, digitShares } from "../../../webview/training/task/layout";
import { carrylessTask } from "../tinyRun";

test("an adder that never carries is right in every last digit, and off by one in the others", () => {
  const task = carrylessTask();
  expect(digitShares(task).map(({ share }) => share)).toEqual([0.505, 0.55, 1]);
  const shares = confusionShares(task.confusion[1] as number[][]);
  expect(Array.from(shares.slice(0, 10), (share) => Math.round(100 * share))).toEqual([55, 0, 0, 0, 0, 0, 0, 0, 0, 45]);
});
