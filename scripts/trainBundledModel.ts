/**
 * Trains the bundled model, so that hover, inspector, and completions work before the user trains anything: a GPT-2 with
 * 0.95 million parameters (< 4 MB in float32) and a vocabulary of 1,000 byte pairs, on samples/stories.txt. It takes
 * minutes on two cores.
 *
 *   npm run build && node scripts/trainBundledModel.ts && node scripts/walkthroughPictures.ts
 *
 * The pictures of the walkthrough show numbers of this model, so they are drawn again.
 */

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inRoot } from "./paths.ts";

const SETTINGS = [
  "data.vocabSize=1000",
  "train.batchSize=16",
  "train.dropout=0",
  "train.evalEvery=250",
  "train.sampleEvery=250",
  "train.checkpointEvery=250",
];

const folder = join(mkdtempSync(join(tmpdir(), "decoder-lab-")), "model");
const args = ["train", "--preset", "gpt2", "--out", folder, "--name", "Stories", "--steps", "1500"];
execFileSync(process.execPath, [inRoot("dist/cli.js"), ...args, "--device", "cpu", "--set", ...SETTINGS], {
  stdio: "inherit",
});

const target = inRoot("media/model");
mkdirSync(target, { recursive: true });
for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]) {
  copyFileSync(join(folder, name), join(target, name));
}
// This run is never resumed, so it has no data.
const record = JSON.parse(readFileSync(join(folder, "training.json"), "utf8")) as Record<string, unknown>;
const { data: _data, ...rest } = record;
writeFileSync(join(target, "training.json"), `${JSON.stringify(rest, null, 2)}\n`);
rmSync(folder, { recursive: true });
