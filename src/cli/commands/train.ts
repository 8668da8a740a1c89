import { basename, resolve } from "node:path";
import { branch, EngineError, findLearningRate, type TrainParams, train } from "../../engine";
import type { Command, Options } from "../options";
import { watchRun } from "../watchRun";

export const trainModel: Command = {
  usage:
    "train (--preset NAME | --from MODEL | --branch CHECKPOINT) [--data PATH…] (--out DIR | --find-lr) [--name NAME] [--steps N] [--seed N] [--device D] [--set key=value…] [--json]",
  values: ["preset", "from", "branch", "out", "name", "steps", "seed", "device"],
  many: ["data", "set"],
  flags: ["find-lr", "json"],
  async run(options) {
    if (options.has("find-lr")) return tellRate(options);
    const out = resolve(options.needed("out"));
    const name = options.text("name") ?? basename(out);
    const checkpoint = options.text("branch");
    const json = options.has("json");
    if (checkpoint === undefined)
      return watchRun(json, (control) => train({ ...planned(options), out, name }, control));
    for (const option of ["preset", "from", "data"]) {
      if (!options.has(option)) continue;
      throw new EngineError(
        "config",
        `--${option} is that of the run which --branch goes on from; leave one of the two out.`,
      );
    }
    const branched = { dir: resolve(checkpoint), out, name, device: options.device(), set: settings(options) };
    await watchRun(json, (control) => branch(branched, control));
  },
};

/** What the options say of a run, but for where it goes. */
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

/** Tries learning rates and says which to take. Nothing is written. */
async function tellRate(options: Options): Promise<void> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  const json = options.has("json");
  const report = (point: { lr: number; loss: number }) =>
    console.log(json ? JSON.stringify(point) : `${point.lr.toExponential(2)}  loss ${point.loss.toFixed(4)}`);
  const run = { ...planned(options), name: "" };
  const { suggestion, set } = await findLearningRate(run, { signal: stop.signal, report }).catch((error: unknown) => {
    if (error !== stop.signal.reason) throw error;
    throw new EngineError("canceled", "Stopped; nothing was written.", { cause: error });
  });
  if (json) return console.log(JSON.stringify({ event: "done", suggestion, set }));
  const settings = Object.entries(set).map(([name, value]) => `--set ${name}=${value}`);
  console.log(`The loss falls fastest at a learning rate of ${suggestion}: ${settings.join(" ")}`);
}
