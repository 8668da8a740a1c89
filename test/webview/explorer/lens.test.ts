import { expect, test } from "vitest";
import type { Lens } from "../../../src/protocol/traceApi";
import {
  columnsOf,
  depthLabel,
  lensTable,
  missingTiles,
  rankPath,
  shownDepths,
} from "../../../webview/explorer/lens/layout";
import { LensLoader } from "../../../webview/explorer/lens/loader";
import type { Inspection } from "../../../webview/trace/inspection";

const DEPTHS = ["blocks.0.residPre", "blocks.0.residMid", "blocks.0.residPost"];

/** Two positions from 4 on with two tokens per cell; every number is different. */
const lens: Lens = {
  depths: DEPTHS,
  positions: [4, 6],
  ids: Uint32Array.from({ length: 12 }, (_, i) => i),
  probabilities: Float32Array.from({ length: 12 }, (_, i) => i / 16),
  entropies: Float32Array.from({ length: 6 }, (_, i) => i),
  tracked: {
    probabilities: Float32Array.from({ length: 6 }, (_, i) => i / 8),
    ranks: Uint32Array.from({ length: 6 }, (_, i) => 10 + i),
  },
  tokens: { 0: " a", 1: "" },
  convention: "",
};

test("a cell has the tokens of its depth and position", () => {
  const columns = columnsOf(lens);
  expect([...columns.keys()]).toEqual([4, 5]);
  expect(columns.get(5)?.[1]).toEqual({
    top: [
      { id: 6, label: "#6", probability: 6 / 16 },
      { id: 7, label: "#7", probability: 7 / 16 },
    ],
    entropyBits: 3,
    tracked: { probability: 3 / 8, rank: 13 },
  });
  expect(columns.get(4)?.[0]?.top.map(({ label }) => label)).toEqual(["·a", "#1"]);
  const table = lensTable(DEPTHS, columns, ["", "", "", "", "x", "y"], "Lens");
  expect(table.rows).toBe(6);
  expect(table.row(4)).toEqual(["blocks.0.residMid", 5, "y", 3, 3 / 8, 13, 6, "#6", 6 / 16, 7, "#7", 7 / 16]);
});

test("only missing tiles in view are requested", () => {
  expect(missingTiles(3, 40, 1000, () => false)).toEqual([
    [0, 16],
    [16, 32],
    [32, 48],
  ]);
  expect(missingTiles(17, 40, 37, (position) => position === 16)).toEqual([[32, 37]]);
});

test("depths are listed upward, those after attention only on request", () => {
  expect(shownDepths(DEPTHS, true)).toEqual([2, 1, 0]);
  expect(shownDepths(DEPTHS, false)).toEqual([2, 0]);
  expect(DEPTHS.map(depthLabel)).toEqual(["embed", "0 mid", "0 post"]);
  expect(rankPath([37, 37, 12, 1, 1])).toBe("37 → 12 → 1");
});

test("a loader requests each tile once and drops answers from before a reset", async () => {
  const requested: (readonly number[])[] = [];
  const pending: (() => void)[] = [];
  const inspection = (length: number) =>
    ({
      trace: { tokens: Array.from({ length }) },
      ask: (_: "lens", { positions }: { positions: [number, number] }) => {
        requested.push(positions);
        const [from, to] = positions;
        const answer = { ...lens, depths: DEPTHS, positions, ids: new Uint32Array(3 * (to - from)) };
        return new Promise((resolve) => pending.push(() => resolve(answer)));
      },
      // Only these members are used.
    }) as unknown as Inspection;
  let loads = 0;
  const loader = new LensLoader({ loaded: () => void loads++, failed: () => undefined });
  loader.reset(inspection(20), null);
  const outdated = loader.load(0, 20);
  loader.reset(inspection(5), null);
  const current = loader.load(0, 5);
  for (const answer of pending) answer();
  await Promise.all([outdated, current]);
  await loader.load(2, 4);
  expect(requested).toEqual([
    [0, 16],
    [0, 5],
  ]);
  expect([loads, loader.columns.size]).toEqual([1, 5]);
});
