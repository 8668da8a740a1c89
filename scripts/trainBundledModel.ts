/**
 * Trains the bundled model, so that hover, inspector, and completions work before the user trains anything: a character
 * GPT with 0.46 million parameters (< 2 MB) on samples/stories.txt. It takes minutes on two cores.
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
  "model.dModel=96",
  "train.blockSize=128",
  "train.batchSize=16",
  "train.schedule.lr=3e-3",
  "train.schedule.minLr=1e-4",
  "train.evalEvery=500",
  "train.sampleEvery=500",
];

const folder = join(mkdtempSync(join(tmpdir(), "decoder-lab-")), "model");
const data = inRoot("samples/stories.txt");
const args = ["train", "--preset", "char", "--data", data, "--out", folder, "--name", "Stories", "--steps", "4000"];
execFileSync(process.execPath, [inRoot("dist/cli.js"), ...args, "--device", "cpu", "--set", ...SETTINGS], {
  stdio: "inherit",
});

const target = inRoot("media/model");
mkdirSync(target, { recursive: true });
for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]) {
  copyFileSync(join(folder, name), join(target, name));
}
// The path of the data is private, and this run is never resumed.
const record = JSON.parse(readFileSync(join(folder, "training.json"), "utf8")) as Record<string, unknown>;
const { data: _data, ...rest } = record;
writeFileSync(join(target, "training.json"), `${JSON.stringify(rest, null, 2)}\n`);
rmSync(folder, { recursive: true });
