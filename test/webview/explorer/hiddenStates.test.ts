import { expect, test } from "vitest";
import {
  cosinesByRow,
  formulaOf,
  mapRows,
  mapTable,
  normsOf,
  ofLayer,
  quantities,
  statisticsOf,
  vectorNames,
  wrapped,
} from "../../../webview/explorer/hiddenStates/layout";
import { matrixOf } from "../../../webview/trace/inspection";
import { tinyTrace } from "../tinyTrace";
import { tinyTranslation } from "../tinyTranslation";

const { info, tensor } = tinyTrace("hello");

test("the norms in a trace are those of the values that name the rows", () => {
  const rows = mapRows(info, "norm", false);
  expect(rows.map(({ label }) => label)).toEqual(["embed", "0 post", "1 post", "2 post"]);
  for (const { names, known } of rows) {
    const { cols, values } = matrixOf(tensor(names[0]));
    for (const [position, norm] of normsOf(values, cols).entries()) expect(known?.[position]).toBeCloseTo(norm, 4);
  }
});

test("an output norm has a row per layer, and a cosine compares the stream before and after a layer", () => {
  expect(mapRows(info, "mlp", false).map(({ names }) => names)).toEqual([0, 1, 2].map((l) => [`blocks.${l}.mlpOut`]));
  const row = mapRows(info, "cosine", false)[1]!;
  expect(formulaOf(row, 4)).toBe("cos(blocks.1.residPre[0, 4], blocks.1.residPost[0, 4])");
  const a = Float32Array.of(1, 0, 3, 4, 0, 0);
  const b = Float32Array.of(1, 1, -3, -4, 1, 2);
  expect([...cosinesByRow(a, b, 2)]).toEqual([Math.fround(Math.SQRT1_2), -1, Number.NaN]);
});

test("only quantities of the trace are offered, for both stacks of a translator", () => {
  expect(quantities(info, false)).toEqual(["norm", "attention", "mlp", "cosine"]);
  const translation = tinyTranslation("hello", "hallo").info;
  const values = [...translation.values, { name: "blocks.0.crossOut", shape: [1, 5, 48] }];
  expect(quantities({ ...translation, values }, false)).toContain("cross");
  expect(quantities({ ...translation, values }, true)).not.toContain("cross");
  expect(mapRows(translation, "norm", true)[0]?.names).toEqual(["enc.blocks.0.residPre"]);
  expect(mapRows(info, "norm", true)).toEqual([]);
});

test("the table has a row per position, and its columns name the values", () => {
  const rows = mapRows(info, "norm", false);
  const table = mapTable(
    rows,
    rows.map(({ known }) => known),
    ["h", "e"],
    "Norm",
  );
  expect(table.columns.slice(0, 3)).toEqual(["token", "‖blocks.0.residPre‖", "‖blocks.0.residPost‖"]);
  expect(table.row(1)[0]).toBe("1 e");
  expect(table.row(1)[2]).toBe(rows[1]?.known?.[1]);
});

test("the statistics of a vector include the dimensions of its extremes", () => {
  const { min, minAt, max, maxAt, mean, std, norm, largest } = statisticsOf(Float32Array.of(1, -4, 3, 0), 3);
  expect([min, minAt, max, maxAt, mean, largest]).toEqual([-4, 1, 3, 2, 0, [1, 2, 0]]);
  expect(norm).toBeCloseTo(Math.sqrt(26), 6);
  expect(std).toBeCloseTo(Math.sqrt(26 / 4), 6);
});

test("vectors are selected by name and mapped to another layer", () => {
  const names = vectorNames(info.values);
  expect(names).toContain("blocks.0.attnOut");
  expect(names.filter((name) => /logits|ids|attn\./.test(name))).toEqual([]);
  expect(ofLayer("enc.blocks.12.residMid", 3)).toBe("enc.blocks.3.residMid");
  expect(ofLayer("embed", 3)).toBe("embed");
});

test("a long vector is wrapped into equal lines", () => {
  expect([8, 64, 96, 768, 97].map(wrapped)).toEqual([
    { rows: 1, cols: 8 },
    { rows: 1, cols: 64 },
    { rows: 2, cols: 48 },
    { rows: 12, cols: 64 },
    { rows: 2, cols: 64 },
  ]);
});
