/**
 * Measures training speed: Decoder Lab, each PyTorch that is found, and the machine's limit.
 *
 * All take turns for several rounds, and the best results are compared, because shared machines have slow phases. A step
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
import { findTorches, runForJson, scriptAt } from "./programs";
import { measureApart } from "./sides";
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
  const torches = await findTorches(SCRIPT);
  const flops = await matmulFlops();
  if (!json) {
    console.log(`matrix products of this machine: ${(flops / 1e9).toFixed(0)} GFLOP/s`);
    console.log(
      torches.length > 0
        ? torches.map(({ python, version }) => `PyTorch ${version}: ${python}`).join("\n")
        : "PyTorch: not found (set DECODER_LAB_PYTHON to a Python that has it)",
    );
    console.log(row(["work", "ours", "PyTorch", "ratio", "limit", "of the limit"]));
  }
  for (const work of WORKS) {
    if (only && !only.includes(work.work)) continue;
    const perStep = work.metric === "it/s" ? 1 : work.preset.train.batchSize * work.preset.train.blockSize;
    const ours: number[] = [];
    const rivals = torches.flatMap(({ python, version }) =>
      MODES.map((mode) => ({
        python,
        mode,
        name: `PyTorch ${version} ${mode}`,
        samples: [] as number[],
        fails: false,
      })),
    );
    for (let round = 0; round < ROUNDS; round++) {
      const job: TrainJob = { kind: "train", work: work.work, variant: work.variant, seconds: seconds / ROUNDS };
      ours.push(...(await measureApart<Samples>(job)).samples);
      for (const rival of rivals.filter(({ fails }) => !fails)) {
        const args = [SCRIPT, work.work, work.variant, String(seconds / ROUNDS), rival.mode];
        const measured = await runForJson<Samples>(rival.python, args).catch(() => undefined);
        if (measured) rival.samples.push(...measured.samples);
        // Old versions lack some modes, and compiling needs a C++ compiler.
        else rival.fails = true;
      }
    }
    const speed = (samples: readonly number[]) => perStep / Math.min(...samples);
    const measured = rivals.filter(({ samples }) => samples.length > 0);
    const limit = (perStep * flops) / stepFlops(work);
    if (json) {
      for (const { name, samples } of [{ name: "", samples: ours }, ...measured]) {
        const variant = `${work.variant} ${name}`.trim();
        const all = samples.map((seconds) => perStep / seconds);
        printFigure({ work: work.work, variant, metric: work.metric, value: speed(samples), samples: all });
      }
    } else {
      const share = `${((100 * speed(ours)) / limit).toFixed(0)} %`;
      const title = `${work.work} ${work.title} (${work.metric})`;
      console.log(row([title, shown(speed(ours)), "", "", shown(limit), share]));
      for (const { name, samples } of measured)
        console.log(row([`   ${name}`, "", shown(speed(samples)), `${(speed(ours) / speed(samples)).toFixed(2)}x`]));
    }
  }
}

/** A measurement of Decoder Lab in its own process. */
export interface TrainJob {
  readonly kind: "train";
  readonly work: string;
  readonly variant: string;
  readonly seconds: number;
}

interface Samples {
  /** Seconds per step. */
  readonly samples: readonly number[];
}

export async function measureTraining({ work, variant, seconds }: TrainJob): Promise<Samples> {
  const found = WORKS.find((known) => known.work === work && known.variant === variant) as Work;
  return { samples: await timeOurs(found, seconds) };
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

/** Attention as plain operators or as one function, and torch.compile; the script explains. */
const MODES = ["eager", "sdpa", "compile"] as const;
