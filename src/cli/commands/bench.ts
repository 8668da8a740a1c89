import { EngineError } from "../../engine";
import { benchDecoding } from "../bench/decoding";
import { benchLarge } from "../bench/large";
import { type Job, measure } from "../bench/measure";
import { benchTraining, measureTraining, type TrainJob } from "../bench/training";
import { benchWebgpu } from "../bench/webgpu";
import { restartWithHugePages } from "../hugePages";
import type { Command } from "../options";
import { print } from "../terminal";

/** Benchmarks that run by default. M1 needs minutes and gigabytes, W1 a GPU. */
const DEFAULT = ["T1", "T2", "T3", "G1", "A1"];
const BENCHMARKS = [...DEFAULT, "M1", "W1"];

export const bench: Command = {
  summary: "Measure the speed of training and generation",
  usage: "bench [--only T1,T2,T3,G1,A1,M1,W1] [--peers] [--seconds N] [--json]",
  // Each measurement runs in its own process through `measure`; `shape` and `rounds` shorten tests.
  values: ["only", "seconds", "measure", "shape", "rounds"],
  flags: ["json", "peers"],
  async run(options) {
    const job = options.text("measure");
    if (job !== undefined) {
      const parsed = JSON.parse(job) as Job | TrainJob;
      if (parsed.kind === "train") restartWithHugePages();
      print(JSON.stringify(await (parsed.kind === "train" ? measureTraining(parsed) : measure(parsed))));
      // Threads of other libraries would keep the process alive.
      process.exit(0);
    }
    const only = options.text("only")?.split(",") ?? DEFAULT;
    const unknown = only.find((name) => !BENCHMARKS.includes(name));
    if (unknown !== undefined)
      throw new EngineError("config", `There is no benchmark "${unknown}". Choose from ${BENCHMARKS.join(", ")}.`);
    const json = options.has("json");
    const seconds = options.number("seconds", { min: 1, max: 3600 }) ?? 10;
    if (only.some((work) => work.startsWith("T"))) await benchTraining({ only, seconds, json });
    const works = (["G1", "A1"] as const).filter((work) => only.includes(work));
    const rounds = options.count("rounds") ?? 3;
    const shape = options.text("shape") === "tiny" ? "tiny" : "gpt2";
    if (works.length > 0) await benchDecoding({ works, shape, peers: options.has("peers"), rounds, json });
    if (only.includes("M1")) await benchLarge({ shape: shape === "tiny" ? "tiny" : "opt1_3b", json });
    if (only.includes("W1")) await benchWebgpu({ rounds, json });
  },
};
