import { expect, test } from "vitest";
import type { Lens } from "../../../src/protocol/traceApi";
import {
  columnsOf,
  lensTable,
  missingTiles,
  placeLabel,
  rankPath,
  shownPlaces,
} from "../../../webview/explorer/lens/layout";

const PLACES = ["blocks.0.residPre", "blocks.0.residMid", "blocks.0.residPost"];

/** Two positions from 4 on, two tokens a cell; every number says where it is from. */
const lens: Lens = {
  places: PLACES,
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

test("a cell has the tokens of its place and position", () => {
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
  const table = lensTable(PLACES, columns, ["", "", "", "", "x", "y"], "Lens");
  expect(table.rows).toBe(6);
  expect(table.row(4)).toEqual(["blocks.0.residMid", 5, "y", 3, 3 / 8, 13, 6, "#6", 6 / 16, 7, "#7", 7 / 16]);
});

test("only what is in view and not there yet is asked for", () => {
  expect(missingTiles(3, 40, 1000, () => false)).toEqual([
    [0, 16],
    [16, 32],
    [32, 48],
  ]);
  expect(missingTiles(17, 40, 37, (position) => position === 16)).toEqual([[32, 37]]);
});

test("places go upwards, those after attention where they are wanted", () => {
  expect(shownPlaces(PLACES, true)).toEqual([2, 1, 0]);
  expect(shownPlaces(PLACES, false)).toEqual([2, 0]);
  expect(PLACES.map(placeLabel)).toEqual(["embed", "0 mid", "0 post"]);
  expect(rankPath([37, 37, 12, 1, 1])).toBe("37 → 12 → 1");
});
