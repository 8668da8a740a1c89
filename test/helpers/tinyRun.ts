/** Training runs of a small character model, in place of mocks. */

import { basename } from "node:path";
import type { TrainParams } from "../../src/engine/api/run";

/** A text that a run learns within a few steps. */
export const cats = (lines: number): string => "the cat sat on the mat and the dog sat on the cat\n".repeat(lines);

/** A run of one layer, 16 wide, on the CPU. */
export const tinyRun = (out: string, text: string, set: TrainParams["set"] = {}): TrainParams => ({
  preset: "char",
  data: { kind: "text", name: "cats", text },
  out,
  name: basename(out),
  device: "cpu",
  set: { "model.nLayers": 1, "model.nHeads": 2, "model.dModel": 16, ...set },
});
