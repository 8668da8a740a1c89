import { basename, resolve } from "node:path";
import { branch, EngineError, findLearningRate, PRESETS, type TrainParams, train } from "../../engine";
import { restartWithHugePages } from "../hugePages";
import { cancelable } from "../interrupt";
import type { Command, Options } from "../options";
import { print } from "../terminal";
import { watchRun } from "../watchRun";

export const trainModel: Command = {
  summary: "Train a model, fine-tune one, or find a learning rate",
  usage:
    "train (--preset NAME | --from MODEL | --branch CHECKPOINT) [--data PATH…] (--out DIR | --find-lr) [--name NAME] [--steps N] [--seed N] [--device D] [--set key=value…] [--json]",
  values: ["preset", "from", "branch", "out", "name", "steps", "seed", "device"],
  many: ["data", "set"],
  flags: ["find-lr", "json"],
  async run(options) {
    restartWithHugePages();
    if (options.has("find-lr")) return printLearningRate(options);
    const out = resolve(options.needed("out"));
    const name = options.text("name") ?? basename(out);
    const checkpoint = options.text("branch");
    const json = options.has("json");
    if (checkpoint === undefined) {
      const run = planned(options);
      const sample = run.data ? undefined : PRESETS.find((preset) => preset.name === run.preset)?.sample;
      if (sample && !json) print(`Training on the sample ${sample}. Use --data to train on other files.`);
      return watchRun(json, (control) => train({ ...run, out, name }, control));
    }
    for (const option of ["preset", "from", "data"]) {
      if (!options.has(option)) continue;
      throw new EngineError(
        "config",
        `--${option} cannot be combined with --branch, which uses that of the original run. Omit one of them.`,
      );
    }
    const branched = { dir: resolve(checkpoint), out, name, device: options.device(), set: settings(options) };
    await watchRun(json, (control) => branch(branched, control));
  },
};

/** The parameters of a new run, except its folder and name. */
function planned(options: Options): Omit<TrainParams, "out" | "name"> {
  const from = options.text("from");
  const data = options.source();
  return {
    preset: options.text("preset") ?? (from === undefined ? options.needed("preset") : "finetune"),
    ...(from !== undefined && { from: resolve(from) }),
    device: options.device(),
    set: settings(options),
    ...(data && { data }),
  };
}

function settings(options: Options): NonNullable<TrainParams["set"]> {
  const steps = options.count("steps");
  const seed = options.number("seed", { whole: true });
  return {
    ...options.settings(),
    ...(steps !== undefined && { "train.steps": steps }),
    ...(seed !== undefined && { "train.seed": seed }),
  };
}

/** Tries learning rates and suggests one. Writes no files. */
async function printLearningRate(options: Options): Promise<void> {
  const json = options.has("json");
  const report = (point: { lr: number; loss: number }) =>
    print(json ? JSON.stringify(point) : `${point.lr.toExponential(2)}  loss ${point.loss.toFixed(4)}`);
  const run = { ...planned(options), name: "" };
  const { suggestion, set } = await cancelable("Stopped. Nothing was written.", (signal) =>
    findLearningRate(run, { signal, report }),
  );
  if (json) return print(JSON.stringify({ event: "done", suggestion, set }));
  const settings = Object.entries(set).map(([name, value]) => `--set ${name}=${value}`);
  print(`Suggested learning rate (steepest decrease of the loss): ${suggestion}. Use ${settings.join(" ")}`);
}
