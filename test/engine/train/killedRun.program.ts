/**
 * Trains, or goes on training, once its parent says so, and prints the steps that it has saved. It is killed meanwhile;
 * waiting for the word lets the next one start while this one still runs.
 */

import type { TrainParams } from "../../../src/engine/api/run";
import type { RunControl } from "../../../src/engine/train/control";
import { resume, train } from "../../../src/engine/train/run";

const run = JSON.parse(process.argv[2] ?? "") as TrainParams;
const control: RunControl = {
  signal: new AbortController().signal,
  whilePaused: async () => {},
  report: (event) => {
    if (event.kind === "checkpoint") console.log(event.step);
  },
};

process.on("message", async (word) => {
  await (word === "train" ? train(run, control) : resume(run.out, {}, control));
  process.disconnect();
});
