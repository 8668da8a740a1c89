import { expect, test } from "vitest";
import { toJson } from "../../../webview/parts/tableJson";
import { createInspection } from "../../../webview/trace/inspection";
import { tinyTrace } from "../tinyTrace";

test("JSON keeps the full precision of numbers, names their trace, and has null for NaN and infinity", () => {
  const numbers = Float32Array.of(0.1, -1e-30, Number.NaN, Number.POSITIVE_INFINITY);
  const table = {
    title: "a “title”",
    columns: ["token", "0", "1", "2", "3"],
    rows: 1,
    row: () => ['0 "\n', ...numbers],
  };
  const { info } = tinyTrace("hi");
  const source = { kind: "typed", label: "", text: "hi", truncated: false } as const;
  const inspection = createInspection(info, source, { call: () => Promise.reject(new Error("nothing is asked")) });
  expect(JSON.parse(toJson(table, [inspection]))).toEqual({
    title: "a “title”",
    runs: [
      {
        model: { name: info.model.name, step: info.model.step },
        number: info.trace,
        text: "hi",
        interventions: [],
      },
    ],
    columns: ["token", "0", "1", "2", "3"],
    rows: [['0 "\n', numbers[0], numbers[1], null, null]],
  });
  expect(JSON.parse(toJson({ ...table, rows: 0 }, []))).toMatchObject({ runs: [], rows: [] });
});
