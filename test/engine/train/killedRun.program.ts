/**
 * Trains or resumes a run when its parent tells it to, and prints the saved steps until it is killed. Waiting for the
 * parent allows the next process to start while this one is still running.
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
