import { expect, test } from "vitest";
import { connect, serve } from "../../../src/protocol/rpc";
import type { TraceQuestions } from "../../../src/protocol/webviewApi";
import { createInspection } from "../../../webview/trace/inspection";
import { portPair } from "../../helpers/portPair";
import { tinyAnswers } from "../tinyAnswers";
import { tinyTrace } from "../tinyTrace";

test("a tensor is requested once, and again after an error", async () => {
  const trace = tinyTrace("a");
  const [page, host] = portPair();
  let requests = 0;
  serve<TraceQuestions>(host, {
    ...tinyAnswers(() => trace),
    traceTensor: ({ name, head }) => {
      requests++;
      if (requests === 1) throw new Error("gone");
      return trace.tensor(name, head);
    },
  });
  const source = { kind: "typed", label: "", text: "a", truncated: false } as const;
  const inspection = createInspection(trace.info, source, connect<TraceQuestions>(page));
  await expect(inspection.tensor("embed")).rejects.toThrow("gone");
  await inspection.tensor("embed");
  await inspection.tensor("embed");
  expect(requests).toBe(2);
});

test("the cache keeps a few heads of a long text, not all", async () => {
  const requested: number[] = [];
  const call = async (_method: string, { head }: { head: number }) => {
    requested.push(head);
    return { name: "pattern", shape: [1, 1024, 1024], data: new Float32Array(1024 * 1024) };
  };
  const source = { kind: "typed", label: "", text: "hello", truncated: false } as const;
  const inspection = createInspection(tinyTrace("hello").info, source, { call: call as never });
  for (let head = 0; head < 30; head++) await inspection.tensor("pattern", head);
  await inspection.tensor("pattern", 29);
  expect(requested).toHaveLength(30);
  await inspection.tensor("pattern", 0);
  expect(requested).toHaveLength(31);
});
