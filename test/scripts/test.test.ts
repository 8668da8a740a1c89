import { expect, test } from "vitest";
import { inRoot } from "../../scripts/paths";
import { countTests, type Report } from "../../scripts/test";

const report: Report = {
  testResults: [
    {
      name: inRoot("test", "a.test.ts"),
      assertionResults: [
        { status: "passed", fullName: "adds" },
        { status: "failed", fullName: "subtracts" },
        { status: "skipped", fullName: "multiplies" },
      ],
    },
    { name: inRoot("test", "b.test.ts"), assertionResults: [{ status: "todo", fullName: "divides" }] },
  ],
};
const reason = "no multiplier is installed";

test("a skipped test is counted under its reason", () => {
  const { passed, failed, skipped } = countTests(report, [
    { reason, holds: true, files: ["test/a.test.ts", "test/b.test.ts"] },
  ]);
  expect({ passed, failed }).toEqual({ passed: 1, failed: 1 });
  expect([...skipped]).toEqual([[reason, ["test/a.test.ts: multiplies", "test/b.test.ts: divides"]]]);
});

test("a skipped test fails without a reason, or with one that does not hold on this machine", () => {
  const { failed, skipped } = countTests(report, [{ reason, holds: false, files: ["test/a.test.ts"] }]);
  expect(failed).toBe(3);
  expect([...skipped]).toEqual([["", ["test/a.test.ts: multiplies", "test/b.test.ts: divides"]]]);
});
