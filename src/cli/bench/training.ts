/**
 * Measures training speed: Decoder Lab, PyTorch if it is installed, and the machine's limit.
 *
 * Both take turns for several rounds, and the best results are compared, because shared machines have slow phases. A step
 * includes drawing its batch.
 */

import { classicDecoder, type DecoderConfig } from "../../engine/nn/config";
import { initParams } from "../../engine/nn/params";
import { PRESETS, type Preset } from "../../engine/presets/presets";
import { withSettings } from "../../engine/presets/settings";
import { random } from "../../engine/random";
import { adderTrainingData, type TrainingData, textData } from "../../engine/train/data";
import { createStepper, freshState } from "../../engine/train/stepper";
import { matmulFlops } from "./machine";
import { findTorch, runForJson, scriptAt } from "./programs";
import { printFigure, row, shown } from "./table";

interface Work {
  readonly work: string;
  readonly variant: string;
  readonly title: string;
  readonly metric: "it/s" | "tok/s";
  readonly preset: Preset;
}

const named = (name: string) => PRESETS.find((preset) => preset.name === name) as Preset;

const WORKS: readonly Work[] = [
  {
    work: "T1",
    variant: "dropout 0",
    title: "adder, no dropout",
    metric: "it/s",
    preset: withSettings(named("adder"), { "train.dropout": 0 }),
  },
  { work: "T1", variant: "dropout 0.1", title: "adder, dropout 0.1", metric: "it/s", preset: named("adder") },
  { work: "T2", variant: "", title: "4 layers, d 128, T 64, batch 12", metric: "tok/s", preset: named("char") },
  {
    work: "T3",
    variant: "",
    title: "6 layers, d 384, T 256, batch 12",
    metric: "tok/s",
    preset: withSettings(named("char"), {
      "model.nLayers": 6,
      "model.nHeads": 6,
      "model.dModel": 384,
      "train.blockSize": 256,
    }),
  },
];

const ROUNDS = 3;

export async function benchTraining(options: {
  readonly only: readonly string[] | undefined;
  readonly seconds: number;
  readonly json: boolean;
}): Promise<void> {
  const { only, seconds, json } = options;
  const python = await findTorch(SCRIPT);
  const flops = await matmulFlops();
  if (!json) {
    console.log(`matrix products of this machine: ${(flops / 1e9).toFixed(0)} GFLOP/s`);
    if (!python) console.log("PyTorch: not installed (Debian: python3-torch)");
    console.log(row(["work", "ours", "PyTorch", "ratio", "limit", "of the limit"]));
  }
  for (const work of WORKS) {
    if (only && !only.includes(work.work)) continue;
    const perStep = work.metric === "it/s" ? 1 : work.preset.train.batchSize * work.preset.train.blockSize;
    const ours: number[] = [];
    const torch: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push(...(await timeOurs(work, seconds / ROUNDS)));
      if (python) torch.push(...(await timeTorch(python, work, seconds / ROUNDS)));
    }
    const best = (samples: readonly number[]) => perStep / Math.min(...samples);
    const limit = (perStep * flops) / stepFlops(work);
    if (json) {
      const line = (variant: string, samples: readonly number[]) =>
        printFigure({
          work: work.work,
          variant,
          metric: work.metric,
          value: best(samples),
          samples: samples.map((s) => perStep / s),
        });
      line(work.variant, ours);
      if (torch.length > 0) line(`${work.variant} PyTorch`.trim(), torch);
    } else {
      const compared =
        torch.length > 0 ? [shown(best(torch)), `${(best(ours) / best(torch)).toFixed(2)}x`] : ["-", "-"];
      const share = `${((100 * best(ours)) / limit).toFixed(0)} %`;
      console.log(
        row([`${work.work} ${work.title} (${work.metric})`, shown(best(ours)), ...compared, shown(limit), share]),
      );
    }
  }
}

/** Seconds per step of Decoder Lab on the CPU. */
async function timeOurs({ preset }: Work, seconds: number): Promise<number[]> {
  const { cfg, data } = workload(preset);
  const start = freshState(initParams(cfg, preset.train.init, 1));
  const stepper = await createStepper(cfg, preset.train, start, { device: "cpu", seed: 1 });
  const samples: number[] = [];
  let step = 1;
  let steps = 1;
  const end = performance.now() + seconds * 1000;
  for (let call = 0; call < 3 || performance.now() < end; call++) {
    const startTime = performance.now();
    const batches = Array.from({ length: steps }, (_, i) => data.batch(step + i));
    await stepper.run(step, batches, () => 1e-3);
    const each = (performance.now() - startTime) / 1000 / steps;
    if (call > 0) samples.push(each); // The first call warms up.
    step += steps;
    steps = Math.max(1, Math.min(32, Math.round(0.15 / each)));
  }
  await stepper.release();
  return samples;
}

/** A preset's model with random data of the right kind. */
function workload({ data, model, train }: Preset): { cfg: DecoderConfig; data: TrainingData } {
  if (data.kind === "adder")
    return { cfg: classicDecoder({ ...model, vocabSize: 18, nCtx: 11 }), data: adderTrainingData(train) };
  const draws = random(1, "bench");
  const tokens = Uint16Array.from({ length: 1_000_000 }, () => draws.below(65));
  const none = tokens.subarray(0, 0);
  const splits = { train: tokens, validation: none, test: none };
  return { cfg: classicDecoder({ ...model, vocabSize: 65, nCtx: train.blockSize }), data: textData(splits, train) };
}

/** Floating-point operations of a step's matrix products: forward once, backward twice. */
function stepFlops({ preset }: Work): number {
  const { cfg } = workload(preset);
  const { dModel: D, dMlp: F, nLayers: L, vocabSize: V } = cfg;
  const { batchSize: B, blockSize: T } = preset.train;
  const perToken = L * (4 * D * D + 2 * D * F) + D * V + L * 2 * T * D;
  return 3 * 2 * B * T * perToken;
}

const SCRIPT = scriptAt("torch_train.py");

async function timeTorch(python: string, { work, variant }: Work, seconds: number): Promise<number[]> {
  const { samples } = await runForJson<{ samples: number[] }>(python, [SCRIPT, work, variant, String(seconds)]);
  return samples;
}
