/** Does one job when its parent tells it to, and is killed meanwhile. Starting beforehand keeps the kills dense. */

import { type TrainParams, train } from "../../../src/engine";
import type { RunControl } from "../../../src/engine/train/control";
import { downloading, exporting, importing, tokenizing } from "./jobs";

export interface Job {
  readonly kind: "train" | "import" | "convert" | "download" | "export" | "quantize" | "tokenize";
  /** The model, file, hub or text that the job reads. */
  readonly from: string;
  readonly run: TrainParams;
}

const control: RunControl = { signal: new AbortController().signal, whilePaused: async () => {}, report: () => {} };

const jobs: { readonly [Kind in Job["kind"]]: (job: Job) => Promise<unknown> } = {
  train: ({ run }) => train(run, control),
  import: ({ from, run }) => importing(from, run.out),
  convert: ({ from, run }) => importing(from, run.out),
  download: ({ from, run }) => downloading(from, run.out),
  quantize: ({ from, run }) => importing(from, run.out, "int8"),
  export: ({ from, run }) => exporting(from, run.out),
  tokenize: ({ from, run }) => tokenizing(from, run.out),
};

process.on("message", async (job: Job) => {
  await jobs[job.kind](job);
  process.send?.("done");
});
process.send?.("ready");
