import { expect, test } from "vitest";
import { type Inspection, matrixOf } from "../../../webview/trace/inspection";
import { dimensionsOf, residualNorm, streamNorms, valueGroups } from "../../../webview/trace/layers/layout";
import { valueChart } from "../../../webview/trace/layers/valueChart";
import { tinyTrace } from "../tinyTrace";

const { info, tensor } = tinyTrace("hello");

test("values are grouped by block in order", () => {
  const groups = valueGroups(info.values);
  expect(groups.map(({ title, block }) => [title, block])).toEqual([
    ["Input", null],
    ["Block", 0],
    ["Block", 1],
    ["Block", 2],
    ["Output", null],
  ]);
  expect(groups[1]!.values.map(({ label }) => label)).toContain("attn.pattern");
  expect(groups[4]!.values.map(({ name }) => name)).toEqual(["lnFinal", "logits"]);
});

test("block 10 comes after block 9", () => {
  const groups = valueGroups([10, 9, 2].map((l) => ({ name: `blocks.${l}.residPre`, shape: [1, 2, 3] })));
  expect(groups.map(({ block }) => block)).toEqual([2, 9, 10]);
});

test("values have named dimensions", () => {
  expect(dimensionsOf("blocks.0.residPre", [1, 6, 48])).toEqual(["batch", "position", "dModel"]);
  expect(dimensionsOf("blocks.0.attn.k", [1, 4, 6, 12])).toEqual(["batch", "KV head", "position", "dHead"]);
  expect(dimensionsOf("blocks.0.attn.pattern", [1, 4, 6, 6])).toEqual(["batch", "head", "query", "key"]);
});

test("a residual norm is the norm of the token's row", () => {
  const { cols, values } = matrixOf(tensor("blocks.1.residPost"));
  const row = values.subarray(3 * cols, 4 * cols);
  expect(residualNorm(info, 2, 3)).toBeCloseTo(Math.hypot(...row), 4);
});

test("norms of the residual stream come from the trace, for every block", () => {
  const norms = streamNorms(info, valueGroups(info.values), { token: 3, layer: 0, head: 0 });
  expect(norms.size).toBe(6);
  expect(norms.get("blocks.1.residPost")).toBe(residualNorm(info, 2, 3));
  expect(norms.get("blocks.2.residPre")).toBe(residualNorm(info, 2, 3));
});

test("a pattern is charted with its mask and tokens, other values with numbered columns", () => {
  const all = valueGroups(info.values).flatMap(({ values }) => values);
  const row = (name: string) => all.find((each) => each.name === name)!;
  const chart = (name: string) =>
    valueChart({
      of: { trace: info } as Inspection,
      row: row(name),
      head: 1,
      ...matrixOf(tensor(name, name.endsWith("pattern") ? 1 : undefined)),
    });
  expect(chart("blocks.0.attn.pattern")).toMatchObject({ scale: "sequential", rowHeight: "square" });
  expect(chart("blocks.0.attn.pattern").masked?.(0, 1)).toBe(true);
  expect(chart("blocks.0.residPost")).toMatchObject({ colLabels: "numbers", scale: "diverging" });
  expect(chart("blocks.0.residPost").describe(2, 5)).toContain("blocks.0.residPost[0, 2, 5] = ");
});
